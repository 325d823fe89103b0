//! Which accounts a broker has for Headwater, and what crosses from one into the other: the one list behind the configuration of a
//! broker of one's own, and behind what `docs/security.md` says of others.
//!
//! The account of the engine holds every stream. Workers are walled off in one of their own, which imports just what they may
//! say and hear: whoever has any right on the broker's own API can name a reply subject there, which the broker answers with
//! its own rights, journals included.

use crate::subject::FLUSH;

/// The account that holds every stream.
pub const ENGINE_ACCOUNT: &str = "ENGINE";
/// The account of workers.
pub const WORKER_ACCOUNT: &str = "WORKERS";
/// Where workers get their answers. Not `_INBOX.>`, where they could read those of the engine.
pub const WORKER_INBOX: &str = "_INBOX_WORKER";

/// What the engine's account exports and that of workers imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// Workers ask on it, and are answered.
    Service(&'static str),
    /// The engine says something on it.
    Stream(&'static str),
}

/// Everything that crosses.
pub const CROSSINGS: [Crossing; 4] = [
    Crossing::Service("hw.work.*.*"),
    Crossing::Stream("hw.hand.*.*"),
    Crossing::Stream("hw.call.*"),
    Crossing::Stream("hw.cancel.*"),
];

impl Crossing {
    /// Returns its subject.
    pub fn subject(self) -> &'static str {
        match self {
            Self::Service(subject) | Self::Stream(subject) => subject,
        }
    }

    /// Returns what configurations and JWTs call its kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Service(_) => "service",
            Self::Stream(_) => "stream",
        }
    }
}

/// Returns the subjects that a worker may publish on, and no others.
pub fn worker_publishes() -> Vec<String> {
    let asked = CROSSINGS.iter().filter(|crossing| matches!(crossing, Crossing::Service(_)));
    asked.map(|crossing| crossing.subject().to_owned()).chain([FLUSH.to_owned()]).collect()
}

/// Returns the subjects that a worker may subscribe to, and no others.
pub fn worker_hears() -> Vec<String> {
    let heard = CROSSINGS.iter().filter(|crossing| matches!(crossing, Crossing::Stream(_)));
    [format!("{WORKER_INBOX}.>")].into_iter().chain(heard.map(|crossing| crossing.subject().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documented() -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
        std::fs::read_to_string(path).unwrap()
    }

    fn quoted(subjects: &[String]) -> String {
        subjects.iter().map(|subject| format!("\"{subject}\"")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_documented_configuration_says_what_the_list_says_and_nothing_else() {
        let text = documented();
        for crossing in CROSSINGS {
            let (kind, subject) = (crossing.kind(), crossing.subject());
            assert!(text.contains(&format!("{{ {kind}: \"{subject}\" }}")), "the export of {subject}");
            let import = format!("{{ {kind}: {{ account: {ENGINE_ACCOUNT}, subject: \"{subject}\" }} }}");
            assert!(text.contains(&import), "the import of {subject}");
        }
        assert_eq!(text.matches("{ account: ").count(), CROSSINGS.len(), "other imports");
        assert!(text.contains(&format!("publish: {{ allow: [{}] }}", quoted(&worker_publishes()))));
        assert!(text.contains(&format!("subscribe: {{ allow: [{}] }}", quoted(&worker_hears()))));
    }

    #[test]
    fn the_documented_commands_of_operator_mode_say_what_the_list_says_and_nothing_else() {
        let text = documented();
        let of = |begin: &str| -> Vec<String> {
            text.lines().map(str::trim).filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
        };
        let service = |crossing: Crossing| match crossing {
            Crossing::Service(_) => " --service",
            Crossing::Stream(_) => "",
        };
        let name = |crossing: Crossing| crossing.subject().split('.').nth(1).unwrap();
        let exports = CROSSINGS.map(|it| {
            let (name, subject, service) = (name(it), it.subject(), service(it));
            format!("nsc add export --account {ENGINE_ACCOUNT} --name {name} --subject '{subject}'{service}")
        });
        assert_eq!(of("nsc add export"), exports);
        let imports = CROSSINGS.map(|it| {
            let (name, subject, service) = (name(it), it.subject(), service(it));
            format!(
                "nsc add import --account {WORKER_ACCOUNT} --src-account \"$engine\" --name {name} --remote-subject \
                 '{subject}'{service}"
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
