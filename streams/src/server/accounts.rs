//! Which accounts a broker has for Headwater, and what crosses from one into the other: the one list behind the configuration of a
//! broker of one's own, and behind what `docs/security.md` says of others.
//!
//! The account of the engine holds every stream. Workers are walled off in one of their own, which imports and exports just what
//! they may hear and say: whoever has any right on the broker's own API can name a reply subject there, which the broker answers
//! with its own rights, journals included.
//!
//! Everything crosses as a stream, what workers ask and are answered too: a service costs the broker some forty microseconds more
//! for each request (ADR 23). Brokers where it is one, as their accounts were first described, go on working.

use crate::subject::FLUSH;

/// The account that holds every stream.
pub const ENGINE_ACCOUNT: &str = "ENGINE";
/// The account of workers.
pub const WORKER_ACCOUNT: &str = "WORKERS";
/// Where workers get their answers. Not `_INBOX.>`, where they could read those of the engine.
pub const WORKER_INBOX: &str = "_INBOX_WORKER";

/// What one account exports and the other imports, as a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// Workers say something on it.
    Said(&'static str),
    /// The engine says something on it.
    Heard(&'static str),
}

/// Everything that crosses.
pub const CROSSINGS: [Crossing; 5] = [
    Crossing::Said("hw.work.*.*"),
    // Answers, to whoever of the workers asked.
    Crossing::Heard("_INBOX_WORKER.>"),
    Crossing::Heard("hw.hand.*.*"),
    Crossing::Heard("hw.call.*"),
    Crossing::Heard("hw.cancel.*"),
];

impl Crossing {
    /// Returns its subject.
    pub fn subject(self) -> &'static str {
        match self {
            Self::Said(subject) | Self::Heard(subject) => subject,
        }
    }

    /// Returns the account that exports it.
    pub fn exporter(self) -> &'static str {
        match self {
            Self::Said(_) => WORKER_ACCOUNT,
            Self::Heard(_) => ENGINE_ACCOUNT,
        }
    }

    /// Returns the account that imports it.
    pub fn importer(self) -> &'static str {
        match self {
            Self::Said(_) => ENGINE_ACCOUNT,
            Self::Heard(_) => WORKER_ACCOUNT,
        }
    }
}

/// Returns the subjects that a worker may publish on, and no others.
pub fn worker_publishes() -> Vec<String> {
    let said = CROSSINGS.iter().filter(|crossing| matches!(crossing, Crossing::Said(_)));
    said.map(|crossing| crossing.subject().to_owned()).chain([FLUSH.to_owned()]).collect()
}

/// Returns the subjects that a worker may subscribe to, and no others.
pub fn worker_hears() -> Vec<String> {
    let heard = CROSSINGS.iter().filter(|crossing| matches!(crossing, Crossing::Heard(_)));
    heard.map(|crossing| crossing.subject().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documented() -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
        std::fs::read_to_string(path).unwrap()
    }

    /// What the commands call a crossing.
    fn name(crossing: Crossing) -> &'static str {
        match crossing.subject().split('.').nth(1) {
            Some(">") | None => "answer",
            Some(name) => name,
        }
    }

    fn quoted(subjects: &[String]) -> String {
        subjects.iter().map(|subject| format!("\"{subject}\"")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_documented_configuration_says_what_the_list_says_and_nothing_else() {
        let text = documented();
        for crossing in CROSSINGS {
            let (subject, exporter) = (crossing.subject(), crossing.exporter());
            assert!(text.contains(&format!("{{ stream: \"{subject}\" }}")), "the export of {subject}");
            let import = format!("{{ stream: {{ account: {exporter}, subject: \"{subject}\" }} }}");
            assert!(text.contains(&import), "the import of {subject}");
        }
        assert_eq!(text.matches("{ account: ").count(), CROSSINGS.len(), "other imports");
        assert_eq!(text.matches("{ stream: \"").count(), CROSSINGS.len(), "other exports");
        assert!(text.contains(&format!("publish: {{ allow: [{}] }}", quoted(&worker_publishes()))));
        assert!(text.contains(&format!("subscribe: {{ allow: [{}] }}", quoted(&worker_hears()))));
    }

    #[test]
    fn the_documented_commands_of_operator_mode_say_what_the_list_says_and_nothing_else() {
        let text = documented();
        let of = |begin: &str| -> Vec<String> {
            text.lines().map(str::trim).filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
        };
        let exports = CROSSINGS.map(|it| {
            format!("nsc add export --account {} --name {} --subject '{}'", it.exporter(), name(it), it.subject())
        });
        assert_eq!(of("nsc add export"), exports);
        let imports = CROSSINGS.map(|it| {
            let (importer, name, subject) = (it.importer(), name(it), it.subject());
            let exporter = it.exporter().to_lowercase();
            format!(
                "nsc add import --account {importer} --src-account \"${exporter}\" --name {name} --remote-subject '{subject}'"
            )
        });
        assert_eq!(of("nsc add import"), imports);
        let users = [
            format!("nsc add user --account {ENGINE_ACCOUNT} --name engine"),
            format!(
                "nsc add user --account {WORKER_ACCOUNT} --name worker --allow-pub '{}' --allow-sub '{}'",
                worker_publishes().join(","),
                worker_hears().join(",")
            ),
        ];
        assert_eq!(of("nsc add user"), users);
    }
}
