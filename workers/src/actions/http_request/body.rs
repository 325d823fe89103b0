//! What of an answer's body is kept: decompressed and decoded as its headers say, within bounds, or refused by name.

use std::io::Read;

use encoding_rs::{Encoding, UTF_8};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use headwater_core::Json;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};

use super::failed;
use crate::sdk::{Context, HandlerError};

/// How often a body may have been compressed.
const CODINGS_MAX: usize = 2;

/// Reads at most `bytes_max`, before and after it is decompressed.
pub(super) async fn read(
    context: &Context,
    mut answer: reqwest::Response,
    bytes_max: usize,
) -> Result<Vec<u8>, HandlerError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        context.heartbeat();
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    decompressed(answer.headers(), body, bytes_max)
}

fn too_large(bytes_max: usize) -> HandlerError {
    HandlerError::new("http_too_large", format!("the answer has more than {bytes_max} bytes")).permanent()
}

fn invalid(message: String) -> HandlerError {
    HandlerError::new("http_body_invalid", message).permanent()
}

fn header(headers: &HeaderMap, name: HeaderName) -> String {
    let values =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    values.collect::<Vec<_>>().join(",")
}

/// Nobody asked for a compressed body; what comes so all the same is decompressed, or refused by the name of its coding.
fn decompressed(headers: &HeaderMap, mut body: Vec<u8>, bytes_max: usize) -> Result<Vec<u8>, HandlerError> {
    let codings = header(headers, CONTENT_ENCODING);
    let codings: Vec<&str> =
        codings.split(',').map(str::trim).filter(|coding| !matches!(*coding, "" | "identity")).collect();
    if codings.len() > CODINGS_MAX {
        return Err(invalid(format!("the answer is compressed {} times", codings.len())));
    }
    for coding in codings.into_iter().rev() {
        if body.is_empty() {
            break;
        }
        body = match coding {
            "gzip" | "x-gzip" => inflate(MultiGzDecoder::new(body.as_slice()), coding, bytes_max)?,
            "deflate" => inflate(ZlibDecoder::new(body.as_slice()), coding, bytes_max)?,
            other => {
                let message = format!("the answer is compressed as {other:?}, which is not known here");
                return Err(invalid(message));
            }
        };
    }
    Ok(body)
}

fn inflate(compressed: impl Read, coding: &str, bytes_max: usize) -> Result<Vec<u8>, HandlerError> {
    let (mut body, room) = (Vec::new(), bytes_max as u64 + 1);
    let read = compressed.take(room).read_to_end(&mut body);
    read.map_err(|error| invalid(format!("the answer says that it is compressed as {coding}: {error}")))?;
    if body.len() > bytes_max { Err(too_large(bytes_max)) } else { Ok(body) }
}

/// A body that says it is JSON is the value, or a failure that says why not; an empty one is an empty text. Any other
/// is text in the charset it names. Without one it is UTF-8, with U+FFFD for what is not.
pub(super) fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Json, HandlerError> {
    let content = header(headers, CONTENT_TYPE);
    let mut parts = content.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let charset = parts.find_map(|part| part.strip_prefix("charset=")).map(|name| name.trim_matches(['"', '\'']));
    let encoding = match charset {
        None | Some("") => UTF_8,
        Some(name) => Encoding::for_label_no_replacement(name.as_bytes())
            .ok_or_else(|| invalid(format!("the answer has the charset {name:?}, which is not known here")))?,
    };
    let is_json = kind == "application/json" || kind.ends_with("+json");
    if is_json && !body.is_empty() {
        let parsed = match encoding == UTF_8 {
            true => Json::parse_bytes(body),
            false => Json::parse_bytes(text(encoding, body)?.as_bytes()),
        };
        return parsed
            .map_err(|error| invalid(format!("the answer says that it is JSON, and cannot be kept as such: {error}")));
    }
    let text = match charset {
        Some(_) => text(encoding, body)?,
        None => String::from_utf8_lossy(body).into_owned(),
    };
    Ok(Json::of(&text.replace('\0', "\u{fffd}")))
}

fn text(encoding: &'static Encoding, body: &[u8]) -> Result<String, HandlerError> {
    let (text, used, broken) = encoding.decode(body);
    if broken {
        return Err(invalid(format!("the answer says that its charset is {}, and is not", used.name())));
    }
    Ok(text.into_owned())
}

/// The beginning of a body for people, whatever it is.
pub(super) fn excerpt(headers: &HeaderMap, body: &[u8], chars: usize) -> String {
    let text = decode(headers, body).ok().and_then(|json| serde_json::from_str::<String>(json.as_str()).ok());
    text.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()).chars().take(chars).collect()
}
