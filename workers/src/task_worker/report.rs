//! What is said of an attempt that ended.

use headwater_core::run::ReportOutcome;

use super::outbox::{BYTES_MAX, outcome_bytes};
use crate::sdk::{HandlerError, Outcome};

/// A report may take as much of a frame as leaves room for the frame itself.
const OUTCOME_BYTES_MAX: usize = BYTES_MAX - 4096;
/// A longer message is cut: nobody reads it, and it travels with every copy of the run.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Turns what a handler returned into what is reported.
pub(super) fn outcome(result: Result<Outcome, HandlerError>) -> ReportOutcome {
    match result {
        Ok(Outcome { refused: Some(error), .. }) => failed(error),
        Ok(Outcome { output, assets, refused: None }) => {
            let outcome = ReportOutcome::Succeeded { output, assets };
            let bytes = outcome_bytes(&outcome);
            if bytes <= OUTCOME_BYTES_MAX {
                return outcome;
            }
            let message = format!("the output has about {bytes} bytes, at most {OUTCOME_BYTES_MAX} can be reported");
            failed(HandlerError::new("output_too_large", message).permanent())
        }
        Err(error) => failed(error),
    }
}

fn failed(failure: HandlerError) -> ReportOutcome {
    let HandlerError { code, mut message, permanent, details, retry_after } = failure;
    // Neither may break the row it ends in.
    message.retain(|c| c != '\0');
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    let retry_after_ms = retry_after.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    ReportOutcome::Failed { code, message, permanent, details, retry_after_ms }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_output_that_fits_no_frame_is_a_permanent_failure_that_says_so() {
        let fits = outcome(Ok(Outcome::of(&"x".repeat(OUTCOME_BYTES_MAX - 2))));
        assert!(matches!(fits, ReportOutcome::Succeeded { .. }));
        let outcome = outcome(Ok(Outcome::of(&"x".repeat(OUTCOME_BYTES_MAX))));
        let ReportOutcome::Failed { code, permanent, .. } = outcome else { panic!() };
        assert_eq!((code.as_str(), permanent), ("output_too_large", true));
    }

    #[test]
    fn what_a_failure_says_beside_its_message_is_reported_within_bounds() {
        let failure = HandlerError::new("busy", "later").with_details(&serde_json::json!({"queue": 7}));
        let outcome_of = |failure: HandlerError| match outcome(Err(failure)) {
            ReportOutcome::Failed { message, details, retry_after_ms, .. } => (message, details, retry_after_ms),
            ReportOutcome::Succeeded { .. } => panic!(),
        };
        let (message, details, after) = outcome_of(failure.clone().retry_after(Duration::from_millis(1500)));
        assert_eq!((message.as_str(), details.unwrap().as_str(), after), ("later", r#"{"queue":7}"#, Some(1500)));
        assert_eq!(outcome_of(failure.retry_after(Duration::MAX)).2, Some(u64::MAX));
        for bad in
            [serde_json::json!([1]), serde_json::json!({"a": "x".repeat(16 * 1024)}), serde_json::json!({"a": "\0"})]
        {
            let (message, details, _) = outcome_of(HandlerError::new("busy", "later").with_details(&bad));
            assert!(details.is_none() && message.starts_with("later (its details are left out: "), "{message}");
        }
    }

    #[test]
    fn a_message_is_cut_at_a_character_and_holds_no_nul() {
        let result = Err(HandlerError::new("x", format!("\0{}", "ü".repeat(MESSAGE_BYTES_MAX))));
        let ReportOutcome::Failed { message, .. } = outcome(result) else { panic!() };
        assert_eq!(message.len(), MESSAGE_BYTES_MAX);
        assert!(!message.contains('\0'));
    }
}
