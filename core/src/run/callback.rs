//! Attempts that somebody outside ends: the token by which he does, what he says, and what is remembered of those that are over.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attempt::Listening;
use super::state::{Due, Phase, Run};
use crate::definition::Node;
use crate::run::AwaitedSignal;
use crate::{Attempt, CommandId, Json, LeaseToken, NodeAddress, RunId, SignalKey, Timestamp};

/// Under which name of a signal a callback is said that goes by its key.
pub const CALLBACK_SIGNAL: &str = "callback";
/// How many callbacks that are over a run remembers, the newest: of those it knows with what they were ended.
pub const CALLBACKS_KEPT_MAX: usize = 1_000;
/// How many of those that are waited for are listed.
pub const CALLBACKS_LISTED_MAX: usize = 1_000;

/// By which somebody outside ends an attempt. Nobody can guess it, and every attempt has one of its own.
///
/// Its text is `run proof-attempt-node`, the first two as 32 hex digits each without anything between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackToken {
    pub run: RunId,
    pub node: NodeAddress,
    pub attempt: Attempt,
    /// What only whoever was given the token knows.
    pub proof: CommandId,
}

/// A text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not the token of a callback: copy it whole, as GET /runs/{{runId}}/callbacks has it")]
pub struct NoCallbackToken;

impl CallbackToken {
    /// Makes the token of an attempt, of what only its shard knew beforehand.
    pub(super) fn of(run: RunId, node: NodeAddress, attempt: Attempt, lease: LeaseToken) -> Self {
        let named = node.to_string();
        let proof = CommandId::derived(&[
            b"callback",
            &lease.bits().to_be_bytes(),
            run.as_uuid().as_bytes(),
            named.as_bytes(),
            &attempt.get().to_be_bytes(),
        ]);
        Self { run, node, attempt, proof }
    }
}

impl fmt::Display for CallbackToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (run, proof) = (self.run.as_uuid().simple(), self.proof.as_uuid().simple());
        write!(f, "{run}{proof}-{}-{}", self.attempt, self.node)
    }
}

impl FromStr for CallbackToken {
    type Err = NoCallbackToken;

    fn from_str(text: &str) -> Result<Self, NoCallbackToken> {
        let mut parts = text.splitn(3, '-');
        let (Some(ids), Some(attempt), Some(node)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoCallbackToken);
        };
        let is_hex = ids.len() == 64 && ids.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = attempt.parse::<u32>().ok().filter(|number| *number > 0 && attempt == number.to_string());
        let (Some(number), true) = (number, is_hex) else { return Err(NoCallbackToken) };
        let uuid = |text: &str| uuid::Uuid::try_parse(text).map_err(|_| NoCallbackToken);
        Ok(Self {
            run: RunId::from_uuid(uuid(&ids[..32])?),
            proof: CommandId::from_uuid(uuid(&ids[32..])?),
            attempt: Attempt::new(number),
            node: node.parse().map_err(|_| NoCallbackToken)?,
        })
    }
}

/// What somebody outside says of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CalledBack {
    /// It is done.
    Output { output: Json },
    /// It failed.
    Error {
        code: String,
        message: String,
        /// Another try is useless.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        permanent: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        details: Option<Json>,
    },
    /// It is still under way.
    Alive {},
}

impl CalledBack {
    /// Returns a hash of what is said: the same in every release.
    pub(super) fn hash(&self) -> u64 {
        CommandId::derived(&[b"called back", Json::of(self).as_str().as_bytes()]).as_uuid().as_u64_pair().0
    }

    /// Returns about how many bytes it has.
    pub(crate) fn len_bytes(&self) -> usize {
        match self {
            Self::Output { output } => output.len_bytes(),
            Self::Error { code, message, permanent: _, details } => {
                code.len() + message.len() + details.as_ref().map_or(0, Json::len_bytes)
            }
            Self::Alive {} => 0,
        }
    }
}

/// What an attempt waits for that somebody outside ends. Checkpoints hold it as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Calling {
    /// What is said under its key.
    pub listening: Listening,
    /// When somebody gave a sign of life last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
}

impl Calling {
    /// Returns what is due of it, and when.
    pub fn due(&self, node: &Node, scheduled_at: Timestamp) -> Option<(Timestamp, Due)> {
        let timeout = node.timeout.map(|span| (scheduled_at.after(span), Due::Timeout));
        let silence = self.silent_from(node, scheduled_at).map(|at| (at, Due::Time));
        timeout.into_iter().chain(silence).min()
    }

    /// Returns from when on it has been silent for too long.
    pub fn silent_from(&self, node: &Node, scheduled_at: Timestamp) -> Option<Timestamp> {
        let span = node.heartbeat_timeout?;
        // Not every sign of life is taken down.
        Some(self.heard_at.map_or_else(|| scheduled_at.after(span), |at| at.after(span + unheard(span))))
    }

    /// Returns whether a sign of life that comes now is taken down.
    pub fn minds_sign(&self, node: &Node, scheduled_at: Timestamp, now: Timestamp) -> bool {
        node.heartbeat_timeout.is_some_and(|span| now.since(self.heard_at.unwrap_or(scheduled_at)) >= unheard(span))
    }
}

/// For how long after a sign of life others are not taken down.
fn unheard(span: Duration) -> Duration {
    span / 4
}

/// The callbacks of a run that are over, the newest last: with what each was ended, if it was, by its hash. Most runs have none.
/// Checkpoints hold it as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Callbacks(VecDeque<(CommandId, Option<u64>)>);

impl Callbacks {
    pub const NONE: Self = Self(VecDeque::new());

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether this is known to be over, and with what it was ended.
    pub fn of(&self, proof: CommandId) -> Option<Option<u64>> {
        self.0.iter().rev().find(|(known, _)| *known == proof).map(|(_, said)| *said)
    }

    /// Notes that one is over.
    pub fn close(&mut self, proof: CommandId) {
        if self.of(proof).is_none() {
            self.0.push_back((proof, None));
            if self.0.len() > CALLBACKS_KEPT_MAX {
                self.0.pop_front();
            }
        }
    }

    /// Notes with what one was ended.
    pub fn answer(&mut self, proof: CommandId, said: u64) {
        self.close(proof);
        if let Some((_, known)) = self.0.iter_mut().rev().find(|(known, _)| *known == proof) {
            *known = Some(said);
        }
    }
}

/// Reads `{"output": …}` or `{"error": {code, message, permanent, details}}`.
///
/// # Errors
/// Why it is neither.
pub fn read(payload: &Json) -> Result<CalledBack, String> {
    let neither = || "what is called back is `{\"output\": …}` or `{\"error\": {code, message}}`".to_owned();
    let Value::Object(mut fields) = payload.to_value() else { return Err(neither()) };
    let (output, error) = (fields.remove("output"), fields.remove("error"));
    if !fields.is_empty() {
        return Err(neither());
    }
    match (output, error) {
        (Some(output), None) => Ok(CalledBack::Output { output: Json::of(&output) }),
        (None, Some(Value::Object(mut error))) => {
            let (code, message) = (error.remove("code"), error.remove("message"));
            let (permanent, details) = (error.remove("permanent"), error.remove("details"));
            let (Some(Value::String(code)), true) = (code, error.is_empty()) else { return Err(neither()) };
            let message = match message {
                Some(Value::String(message)) => message,
                None => String::new(),
                Some(_) => return Err(neither()),
            };
            let permanent = match permanent {
                None => false,
                Some(Value::Bool(permanent)) => permanent,
                Some(_) => return Err(neither()),
            };
            let details = details.filter(|details| !details.is_null()).map(|details| Json::of(&details));
            Ok(CalledBack::Error { code, message, permanent, details })
        }
        _neither => Err(neither()),
    }
}

/// Returns the token of the attempt that a node is at, where somebody outside ends that.
pub fn awaited(run: &Run, node: &NodeAddress) -> Option<CallbackToken> {
    let current = run.current(run.find(node)?)?;
    current.calling()?;
    Some(CallbackToken::of(run.id(), node.clone(), current.attempt, current.lease))
}

/// An attempt that waits for somebody outside.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'r> {
    node: NodeAddress,
    attempt: Attempt,
    /// What ends it.
    token: String,
    since: String,
    /// Under which it can be ended too.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'r SignalKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times_out_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_at: Option<String>,
}

/// Returns the attempts of a run that wait for somebody outside, in order, and how many there are.
pub(crate) fn listed(run: &Run) -> Json {
    #[derive(Serialize)]
    struct All<'r> {
        total: usize,
        callbacks: Vec<Listed<'r>>,
    }
    let (mut total, mut callbacks) = (0, Vec::new());
    for (place, state) in run.places() {
        let Phase::Current(current) = &state.phase else { continue };
        let Some(calling) = current.calling().filter(|_| !current.is_told() && run.goes_on(place)) else { continue };
        total += 1;
        if callbacks.len() >= CALLBACKS_LISTED_MAX {
            continue;
        }
        let (node, address) = (run.definition().node(place.node), run.address(place));
        let token = CallbackToken::of(run.id(), address.clone(), current.attempt, current.lease);
        callbacks.push(Listed {
            node: address,
            attempt: current.attempt,
            token: token.to_string(),
            since: current.scheduled_at.to_string(),
            key: calling.listening.signals.first().and_then(|signal: &AwaitedSignal| signal.key.as_ref()),
            times_out_at: node.timeout.map(|span| current.scheduled_at.after(span).to_string()),
            silent_from: calling.silent_from(node, current.scheduled_at).map(|at| at.to_string()),
            heard_at: calling.heard_at.map(|at| at.to_string()),
        });
    }
    Json::of(&All { total, callbacks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_written_and_nothing_else_is() {
        let run = RunId::from_uuid(uuid::Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001));
        let token = CallbackToken::of(run, "gate@3".parse().unwrap(), Attempt::new(2), LeaseToken::from_bits(7));
        let text = token.to_string();
        assert_eq!(text.parse::<CallbackToken>().unwrap(), token);
        assert!(text.ends_with("-2-gate@3"), "{text}");
        let other = CallbackToken::of(run, "gate@3".parse().unwrap(), Attempt::new(2), LeaseToken::from_bits(8));
        assert_ne!(other.proof, token.proof);
        let bad = [
            String::new(),
            "-".to_owned(),
            text.replace("-2-", "-0-"),
            text.replace("-2-", "-02-"),
            text.replace("-2-", "-4294967296-"),
            text[1..].to_owned(),
            text.to_uppercase(),
            text.replace("gate", "ga te"),
            format!("é{}", &text[2..]),
            "x".repeat(100_000),
        ];
        for text in bad {
            assert_eq!(text.parse::<CallbackToken>(), Err(NoCallbackToken), "{text:.80}");
        }
    }

    #[test]
    fn so_many_callbacks_that_are_over_are_remembered() {
        let mut callbacks = Callbacks::NONE;
        let proof = |number: u128| CommandId::from_uuid(uuid::Uuid::from_u128(number));
        for number in 0..=CALLBACKS_KEPT_MAX as u128 {
            callbacks.close(proof(number));
        }
        callbacks.answer(proof(5), 9);
        assert_eq!(callbacks.of(proof(0)), None);
        assert_eq!((callbacks.of(proof(1)), callbacks.of(proof(5))), (Some(None), Some(Some(9))));
    }
}
