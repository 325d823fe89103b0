//! What a request brings: read up to a limit, and strictly.

use std::collections::BTreeMap;

use axum::body::Body as Stream;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt as _;
use headwater_core::Json;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::api::Problem;
use crate::codes::Code;
use crate::documents::Spelling;

/// A body as text.
#[derive(Debug)]
pub struct Body {
    pub text: String,
    pub spelling: Spelling,
    room: Room,
}

/// The room that a body takes among all that are held at once; given back when it is dropped.
pub type Room = Option<SemaphorePermit<'static>>;

/// The largest body.
pub const BYTES_MAX: usize = 1024 * 1024;
/// The largest body that brings definitions: one of 16 MiB, and what stands around it.
pub const DOCUMENTS_BYTES_MAX: usize = 17 * 1024 * 1024;
/// A body that may bring definitions.
pub struct DocumentsBody(pub Body);

/// How much of a body that is too large is read and thrown away, so that the sender hears the answer on this connection and
/// can go on using it. Beyond that, the connection ends.
const DRAINED_MAX: usize = 8 * BYTES_MAX;
/// What all bodies may have together that are being read, or wait until what they wish is decided, in KiB.
const HELD_KIB_MAX: usize = 256 * 1024;

/// Memory is a matter of the process, so there is one for all of it.
static HELD: Semaphore = Semaphore::const_new(HELD_KIB_MAX);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Self::read(request, BYTES_MAX).await
    }
}

impl<S: Send + Sync> FromRequest<S> for DocumentsBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Body::read(request, DOCUMENTS_BYTES_MAX).await.map(Self)
    }
}

impl Body {
    async fn read(request: Request, bytes_max: usize) -> Result<Self, Problem> {
        let spelling = spelling(request.headers())?;
        if content_length(request.headers()).is_some_and(|length| length > (bytes_max + DRAINED_MAX) as u64) {
            return Err(too_large(bytes_max));
        }
        let (bytes, room) = collect(request.into_body(), bytes_max, &HELD).await?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::new(Code::NotUtf8, format!("the body is not UTF-8 from byte {at} on"))
        })?;
        Ok(Self { text, spelling, room })
    }
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Code::TooLarge, format!("the body has more than {bytes_max} bytes"))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whoever names no type sends JSON.
fn spelling(headers: &HeaderMap) -> Result<Spelling, Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Spelling::Json) };
    let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let media = value.split(';').next().unwrap_or_default().trim();
    match media {
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Ok(Spelling::Yaml),
        "application/json" => Ok(Spelling::Json),
        _ if media.starts_with("application/") && media.ends_with("+json") => Ok(Spelling::Json),
        _ => Err(Problem::new(Code::MediaType, format!("{media:?} is not a type that is taken here"))),
    }
}

async fn collect(body: Stream, bytes_max: usize, all: &'static Semaphore) -> Result<(Vec<u8>, Room), Problem> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut room, mut length) = (Vec::new(), None, 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Problem::new(Code::Incomplete, error.to_string()))?;
        length += chunk.len();
        match length {
            _ if length <= bytes_max => {
                make_room(&mut room, length, all)?;
                bytes.extend_from_slice(&chunk);
            }
            _ if length > bytes_max + DRAINED_MAX => return Err(too_large(bytes_max)),
            _ => (bytes, room) = (Vec::new(), None),
        }
    }
    if length > bytes_max { Err(too_large(bytes_max)) } else { Ok((bytes, room)) }
}

/// Takes the room that a body of so many bytes needs.
fn make_room(room: &mut Room, bytes: usize, all: &'static Semaphore) -> Result<(), Problem> {
    let more = bytes.div_ceil(1024) - room.as_ref().map_or(0, SemaphorePermit::num_permits);
    let more = u32::try_from(more).ok().and_then(|more| all.try_acquire_many(more).ok());
    let more = more.ok_or_else(|| {
        Problem::new(Code::Overloaded, "the bodies of other requests take all the room that this process has for them")
    })?;
    match room {
        Some(room) => room.merge(more),
        None => *room = Some(more),
    }
    Ok(())
}

impl Body {
    /// Reads a JSON object; an empty body is an empty one.
    ///
    /// # Errors
    /// Every way in which a body can be wrong, with its own code.
    pub fn fields(self) -> Result<Fields, Problem> {
        if self.spelling == Spelling::Yaml {
            return Err(Problem::new(Code::MediaType, "YAML is taken for definitions only"));
        }
        if self.text.trim().is_empty() {
            return Ok(Fields(BTreeMap::new(), self.room));
        }
        let json = Json::parse_strict(&self.text).map_err(crate::documents::Unreadable::from)?;
        let fields = serde_json::from_str(json.as_str());
        fields
            .map(|fields| Fields(fields, self.room))
            .map_err(|_| Problem::new(Code::InvalidField, "the body is not an object"))
    }
}

/// The fields of a body, taken one by one; [`Self::finish`] refuses what nobody took.
#[derive(Debug)]
pub struct Fields(BTreeMap<String, Json>, Room);

impl Fields {
    /// Returns whether a field is given, be it as `null`.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Takes a field; `null` is none.
    pub fn take(&mut self, name: &str) -> Option<Json> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field of some kind.
    ///
    /// # Errors
    /// [`Code::InvalidField`].
    pub fn field<T: serde::de::DeserializeOwned>(&mut self, name: &str, kind: &str) -> Result<Option<T>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let invalid = |_| Problem::new(Code::InvalidField, format!("`{name}` is not {kind}")).with("field", name);
        serde_json::from_str(value.as_str()).map(Some).map_err(invalid)
    }

    /// Refuses fields that nobody took. Keep the room as long as what was taken of them.
    ///
    /// # Errors
    /// [`Code::UnknownField`].
    pub fn finish(self) -> Result<Room, Problem> {
        match self.0.into_keys().next() {
            None => Ok(self.1),
            Some(name) => {
                let short: String = name.chars().take(80).collect();
                Err(Problem::new(Code::UnknownField, format!("there is no field `{short}` here")).with("field", short))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_that_are_held_have_so_much_room_together() {
        static ALL: Semaphore = Semaphore::const_new(1_536);
        let body = |bytes: usize| Stream::from(vec![b'x'; bytes]);
        let (first, room) = collect(body(BYTES_MAX), BYTES_MAX, &ALL).await.unwrap();
        assert_eq!(first.len(), BYTES_MAX);
        let refused = collect(body(BYTES_MAX), BYTES_MAX, &ALL).await.unwrap_err();
        assert_eq!(refused.code(), Code::Overloaded);
        let (_, small) = collect(body(BYTES_MAX / 2), BYTES_MAX, &ALL).await.unwrap();
        assert_eq!(collect(body(1), BYTES_MAX, &ALL).await.unwrap_err().code(), Code::Overloaded);
        drop((room, small));
        // One that is too large is read and thrown away: it keeps none.
        assert_eq!(collect(body(BYTES_MAX + 1), BYTES_MAX, &ALL).await.unwrap_err().code(), Code::TooLarge);
        assert_eq!(ALL.available_permits(), 1_536, "all of it came back");
    }

    #[tokio::test]
    async fn what_a_body_wishes_keeps_its_room_until_it_is_let_go() {
        static ALL: Semaphore = Semaphore::const_new(4);
        let (bytes, room) = collect(Stream::from(r#"{"a": 1}"#), BYTES_MAX, &ALL).await.unwrap();
        let body = Body { text: String::from_utf8(bytes).unwrap(), spelling: Spelling::Json, room };
        let mut fields = body.fields().unwrap();
        assert!(fields.take("a").is_some());
        let room = fields.finish().unwrap();
        assert_eq!(ALL.available_permits(), 3);
        drop(room);
        assert_eq!(ALL.available_permits(), 4);
    }
}
