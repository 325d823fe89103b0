//! How what a worker says is read: frame by frame, request by request, so that one that cannot be read silences no other.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Hello, PROTOCOL, WorkFrame, WorkRequest};
use crate::credit::Credit;
use crate::{QueueName, SessionId, WorkerId};

/// How many requests one frame may carry.
pub const REQUESTS_MAX: usize = 4_096;
/// How many queues one worker may serve.
pub const QUEUES_MAX: usize = 1_024;
/// How much is said of where, and of why, something cannot be read: both quote what was said.
const PATH_CHARS_MAX: usize = 400;
const REASON_CHARS_MAX: usize = 500;

/// Says why, and where, something a worker said cannot be read. It will not be readable the next time either.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{reason} (at {path:?})")]
pub struct Malformed {
    /// JSON Pointer into the frame or the request, its first 400 characters; empty for the whole.
    pub path: String,
    /// At most 500 characters.
    pub reason: String,
}

impl Malformed {
    fn new(path: &str, reason: &str) -> Self {
        let clipped = |text: &str, chars: usize| text.chars().take(chars).collect();
        Self { path: clipped(path, PATH_CHARS_MAX), reason: clipped(reason, REASON_CHARS_MAX) }
    }
}

/// A frame whose requests were read one by one.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadFrame {
    pub worker: WorkerId,
    pub session: SessionId,
    pub queues: Vec<QueueName>,
    pub credit: Credit,
    pub requests: Vec<Result<WorkRequest, Malformed>>,
}

#[derive(Deserialize)]
struct Spoken {
    protocol: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'f> {
    #[expect(dead_code, reason = "looked at before the rest, and named so that it is no unknown field")]
    protocol: u16,
    worker: WorkerId,
    session: SessionId,
    queues: Vec<QueueName>,
    credit: Credit,
    #[serde(borrow)]
    requests: Vec<&'f RawValue>,
}

impl ReadFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`Malformed`] when the envelope cannot be read; a request that cannot stands as that in its place.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let text = text(bytes)?;
        match Self::at_once(text) {
            Some(frame) => Ok(frame),
            None => Self::piece_by_piece(text),
        }
    }

    /// Reads a frame that is as it should be in one pass, which most are. `None` says nothing of what is wrong.
    fn at_once(text: &str) -> Option<Self> {
        let (mut reader, mut is_known) = (serde_json::Deserializer::from_str(text), true);
        let mut note = |_: serde_ignored::Path<'_>| is_known = false;
        let frame = WorkFrame::deserialize(serde_ignored::Deserializer::new(&mut reader, &mut note)).ok()?;
        reader.end().ok()?;
        (is_known && frame.protocol == PROTOCOL).then(|| frame.into())
    }

    fn piece_by_piece(text: &str) -> Result<Self, Malformed> {
        let version = spoken(text)?;
        let envelope: Envelope<'_> = read(text, version)?;
        bounded(envelope.requests.len(), REQUESTS_MAX, "/requests")?;
        bounded(envelope.queues.len(), QUEUES_MAX, "/queues")?;
        let requests = envelope.requests.into_iter().map(|request| read_request(request.get(), version)).collect();
        let Envelope { worker, session, queues, credit, .. } = envelope;
        Ok(Self { worker, session, queues, credit, requests })
    }
}

impl From<WorkFrame> for ReadFrame {
    fn from(frame: WorkFrame) -> Self {
        let WorkFrame { protocol: _, worker, session, queues, credit, requests } = frame;
        Self { worker, session, queues, credit, requests: requests.into_iter().map(Ok).collect() }
    }
}

impl Hello {
    /// Reads what a worker says of itself.
    ///
    /// # Errors
    /// [`Malformed`]: nobody answers it.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let text = text(bytes)?;
        let hello: Self = read(text, spoken(text)?)?;
        bounded(hello.queues.len(), QUEUES_MAX, "/queues")?;
        Ok(hello)
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes)
        .map_err(|error| Malformed::new("", &format!("not UTF-8 from byte {} on", error.valid_up_to())))
}

/// Returns the version of the protocol that is spoken. A newer one may say more than this release knows.
fn spoken(text: &str) -> Result<u16, Malformed> {
    let at = |path: &str, reason: String| Malformed::new(path, &reason);
    let Spoken { protocol } = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            at("/protocol", format!("a frame names its protocol, {PROTOCOL}: {error}"))
        }
        _ => at("", format!("not valid JSON: {error}")),
    })?;
    match protocol {
        0..PROTOCOL => Err(at("/protocol", format!("this engine speaks protocol {PROTOCOL}, not {protocol}"))),
        PROTOCOL.. => Ok(protocol),
    }
}

fn read_request(text: &str, version: u16) -> Result<WorkRequest, Malformed> {
    read(text, version).map_err(|malformed: Malformed| {
        // Unknown fields are found without the name of what they stand in.
        let said: HashMap<String, IgnoredAny> = serde_json::from_str(text).unwrap_or_default();
        let name = said.into_keys().next().map(|name| pointer(std::iter::once(name.as_str()))).unwrap_or_default();
        let path = if malformed.path.starts_with(&name) { malformed.path } else { name + &malformed.path };
        Malformed::new(&path, &malformed.reason)
    })
}

/// Reads a value strictly: a field that nobody knows is refused where this very version is spoken.
fn read<'t, T: Deserialize<'t>>(text: &'t str, version: u16) -> Result<T, Malformed> {
    let mut unknown = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut reader, &mut track);
    let mut note = |path: serde_ignored::Path<'_>| {
        unknown.get_or_insert_with(|| pointer(path.to_string().split('.')));
    };
    let value = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
    let value = value.map_err(|error| Malformed::new(&of_track(&track.path()), &error.to_string()))?;
    match unknown.filter(|_| version == PROTOCOL) {
        Some(path) => Err(Malformed::new(&path, "nobody knows this field")),
        None => Ok(value),
    }
}

fn of_track(path: &serde_path_to_error::Path) -> String {
    let text = path.to_string();
    if text == "." { String::new() } else { pointer(text.split(['.', '[']).map(|part| part.trim_end_matches(']'))) }
}

/// Writes steps as a JSON Pointer.
fn pointer<'p>(steps: impl Iterator<Item = &'p str>) -> String {
    // What is optional is a step of its own to the reader, and none to whoever wrote it.
    let steps = steps.filter(|step| !step.is_empty() && *step != "?");
    steps.map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Reads a list, and stops at one too many: whoever writes it does not say how much is kept of it.
pub(super) fn at_most<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct AtMost<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for AtMost<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                list.push(item);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(AtMost::<T, MAX>(PhantomData))
}

fn bounded(count: usize, max: usize, path: &str) -> Result<(), Malformed> {
    if count <= max {
        return Ok(());
    }
    Err(Malformed::new(path, &format!("there are {count}, at most {max} are taken")))
}

/// Reads the requests of one of the engine's own processes.
///
/// # Errors
/// [`Malformed`].
pub fn read_requests<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, Malformed> {
    serde_json::from_slice(bytes).map_err(|error| Malformed::new("", &error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: &str = r#"{"protocol":2,"worker":"w","session":"00000000000000aa","queues":["q"],"credit":{"term":{"epoch":1,"meeting":0},"word":1,"lent":4},"requests":[{"heartbeat":{"held":[]}},{"report":{"id":"0197a3f0-7c00-4abc-8def-0123456789ab","run":"0197a3f0-7c00-7abc-8def-0123456789ab","report":{"node":"a","attempt":1,"lease":"0123456789abcdef","worker":"w","startedAt":1764100000000000,"outcome":{"succeeded":{"output":{"n":1e3}}}}}}]}"#;
    const PIECES: [&str; 15] =
        ["1", "{}", "[]", "7", "-1", "1e400", "\"x\"", "null", ",", "{\"x\":1}", "\"x\":1,", "\\ud83d", "}", " ", "é"];

    /// A frame with something else in some of its places, or something more where a value or a field begins.
    fn spoilt() -> impl Strategy<Value = String> {
        let begins = FRAME.match_indices(['{', '[', ':', ',']).map(|(at, _)| (at + 1, 0..2_usize));
        let begins = prop::sample::select(begins.collect::<Vec<_>>()).prop_flat_map(|(at, length)| (Just(at), length));
        let anywhere = (0..=FRAME.len(), 0..12_usize);
        let place = (prop_oneof![begins, anywhere], prop::sample::select(&PIECES[..]));
        prop::collection::vec(place, 0..3).prop_map(|places| {
            places.into_iter().fold(FRAME.to_owned(), |mut text, ((from, length), piece)| {
                let edge = |at: usize| (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
                let (from, to) = (edge(from.min(text.len())), edge((from + length).min(text.len())));
                text.replace_range(from..to, piece);
                text
            })
        })
    }

    #[test]
    fn of_a_frame_no_more_is_kept_than_it_may_hold() {
        let of = |requests: usize, queues: usize| {
            let list = |item: &str, count: usize| vec![item; count].join(",");
            let start = FRAME.split_once(r#""q""#).expect("it names a queue").0;
            let credit = r#"{"term":{"epoch":1,"meeting":0},"word":1,"lent":4}"#;
            let (queues, requests) = (list(r#""q""#, queues), list(r#"{"heartbeat":{"held":[]}}"#, requests));
            serde_json::from_str::<WorkFrame>(&format!(
                "{start}{queues}],\"credit\":{credit},\"requests\":[{requests}]}}"
            ))
        };
        assert!(of(REQUESTS_MAX, QUEUES_MAX).is_ok());
        for (requests, queues) in [(REQUESTS_MAX + 1, 1), (1, QUEUES_MAX + 1)] {
            let error = of(requests, queues).unwrap_err().to_string();
            assert!(error.contains("a list of at most"), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_read_at_once_is_what_is_read_piece_by_piece(text in spoilt()) {
            let slow = ReadFrame::piece_by_piece(&text);
            let is_sound = slow.as_ref().is_ok_and(|frame| frame.requests.iter().all(Result::is_ok));
            let at_once = ReadFrame::at_once(&text);
            // Where a later protocol is spoken, it is left to the pieces.
            let is_ours = spoken(&text).is_ok_and(|version| version == PROTOCOL);
            prop_assert_eq!(at_once.is_some(), is_sound && is_ours);
            if let Some(frame) = at_once {
                prop_assert_eq!(Ok(frame), slow);
            }
        }
    }
}
