//! Where the engine may speak when somebody else names the subject: inboxes, and nothing else.
//!
//! Whoever asks names where the answer goes, and the engine may publish everywhere: without a check, a request could
//! make it write to a journal or a table with its own rights.

use async_nats::Subject;

use crate::Broker;

/// The first token of every inbox; those of users with a prefix of their own begin with it and `_`.
const INBOX: &str = "_INBOX";
/// What a request that came through a service import shows as its reply.
const IMPORTED: &str = "_R_";
/// What a broker puts, with two tokens more, before the reply of a request from another cluster.
const GATEWAY: &str = "_GR_";
/// Longer ones are not made by any client.
const SUBJECT_BYTES_MAX: usize = 512;

/// Says that a subject somebody named is not an inbox. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("answers go to inboxes only, and this is not one: {}", .0.escape_debug())]
pub struct NotAnInbox(String);

impl Broker {
    /// Returns where to answer somebody who named `subject`.
    ///
    /// # Errors
    /// [`NotAnInbox`]: drop the answer. It is counted in [`Broker::answers_refused`].
    pub(crate) fn inbox_named(&self, subject: &str) -> Result<Subject, NotAnInbox> {
        let own = self.config().inbox_prefix.as_deref();
        if is_inbox(subject, own) {
            return Ok(subject.to_owned().into());
        }
        self.count_refused_answer();
        let shown = subject.chars().take(100).collect();
        let error = NotAnInbox(shown);
        tracing::debug!(%error, "an answer is dropped");
        Err(error)
    }
}

/// Returns whether `subject` is an inbox: of `own` prefix, of `_INBOX` or `_INBOX_<name>`, or what stands for one.
fn is_inbox(subject: &str, own: Option<&str>) -> bool {
    let plain =
        |token: &str| !token.is_empty() && !token.contains(['*', '>']) && token.bytes().all(|b| b.is_ascii_graphic());
    if subject.len() > SUBJECT_BYTES_MAX || !subject.split('.').all(plain) {
        return false;
    }
    let behind = |prefix: &str| subject.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    if own.is_some_and(|own| !own.is_empty() && behind(own)) || behind(IMPORTED) {
        return true;
    }
    match subject.split_once('.') {
        // Another broker takes the three tokens off and publishes what is left: that has to be an inbox too.
        Some((GATEWAY, routed)) => {
            let reply = routed.splitn(3, '.').nth(2);
            reply.is_some_and(|reply| !reply.starts_with(GATEWAY) && is_inbox(reply, own))
        }
        Some((first, _)) => first == INBOX || first.strip_prefix(INBOX).is_some_and(|name| name.starts_with('_')),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inboxes_are_answered_also_those_behind_imports_and_gateways() {
        for subject in [
            "_INBOX.abc",
            "_INBOX.abc.7",
            "_INBOX_WORKER.abc.7",
            "_R_.k2J4.x1",
            "_R_.k2J4",
            "_GR_.cluster.server._INBOX.abc.7",
            "_GR_.cluster.server._R_.k2J4",
        ] {
            assert!(is_inbox(subject, None), "{subject}");
        }
        assert!(is_inbox("acme.inbox.7", Some("acme.inbox")));
    }

    #[test]
    fn nothing_else_is() {
        for subject in [
            "",
            "_INBOX",
            "_INBOX.",
            "_INBOX..x",
            "_INBOXES.x",
            "_inbox.x",
            "_R_",
            "_RX_.a",
            "_GR_",
            "_GR_.a.b",
            "_GR_.a.b.hw.journal.1",
            "_GR_.a.b.$KV.HW_SHARD_MAP.map",
            "_GR_.a.b._GR_.a.b._INBOX.x",
            "hw.journal.1",
            "hw.cmd.0",
            "$KV.HW_SHARD_MAP.map",
            "$JS.API.STREAM.DELETE.HW_JOURNAL_0",
            "$JS.ACK.HW_TASKS.q.1.2.3.4.5",
            "$SYS.REQ.SERVER.PING",
            "_INBOX.>",
            "_INBOX.*.x",
            "_INBOX.x y",
            "_INBOX.x\t2",
            "_INBOX.x\r\nPUB\thw.journal.1\t0\r\n",
            "_INBOX.\u{e9}",
            "acme.inbox.7",
        ] {
            assert!(!is_inbox(subject, None), "{subject:?}");
            assert!(!is_inbox(subject, Some("")), "{subject:?}");
        }
        for subject in ["acme.inbox", "acme.inboxes.x", "acme.journal.1"] {
            assert!(!is_inbox(subject, Some("acme.inbox")), "{subject}");
        }
        assert!(!is_inbox(&format!("_INBOX.{}", "x".repeat(600)), None));
    }
}
