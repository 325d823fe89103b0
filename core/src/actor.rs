//! Who asks.

use serde::{Deserialize, Serialize};

use crate::ActorName;

/// Who asked for something from outside. Nothing is said of workers, whom a run's own events name, nor of what the engine
/// does by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Actor {
    /// As the caller says; nobody has checked it.
    Claimed(ActorName),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_claimed_is_written_as_that() {
        let actor = Actor::Claimed("Anna Moe <anna@example.org>".parse().unwrap());
        let text = r#"{"claimed":"Anna Moe <anna@example.org>"}"#;
        assert_eq!(serde_json::to_string(&actor).unwrap(), text);
        assert_eq!(serde_json::from_str::<Actor>(text).unwrap(), actor);
    }

    #[test]
    fn what_is_no_line_of_text_names_nobody() {
        for bad in ["", " anna", "anna ", "an\nna", "an\u{7f}na", "\u{202e}anna", &"x".repeat(129)] {
            assert!(bad.parse::<ActorName>().is_err(), "{bad:?}");
        }
        for good in ["a", "Zoë", "svc/nightly@10.0.0.1", &"ü".repeat(128)] {
            assert!(good.parse::<ActorName>().is_ok(), "{good:?}");
        }
    }
}
