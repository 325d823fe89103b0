//! What every request carries beside its body: workspace, names in the path, parameters.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Query, RawPathParams};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use headwater_core::{Actor, InvalidName, WorkspaceId};
use headwater_projector::queries::PAGE_MAX;

use super::catalogue::AS_OF;
use crate::api::{Api, Problem};
use crate::codes::Code;

/// What a request asks for. Parameters are taken one by one; [`Self::finish`] refuses what nobody took.
#[derive(Debug)]
pub struct Asked {
    pub workspace: WorkspaceId,
    actor: Option<Actor>,
    pub headers: HeaderMap,
    path: Vec<(String, String)>,
    parameters: BTreeMap<String, String>,
}

/// Who wants something changed.
#[derive(Debug, Clone)]
pub struct Caller {
    pub workspace: WorkspaceId,
    /// As it says itself; recorded with what it changes.
    pub actor: Option<Actor>,
}

/// Names who asks: nobody checks it.
pub const ACTOR_HEADER: &str = "headwater-actor";
/// Names the workspace; absent: [`WORKSPACE`].
pub const WORKSPACE_HEADER: &str = "headwater-workspace";
/// The workspace of whoever names none.
pub const WORKSPACE: &str = "default";
/// A consistency token: writes answer it, reads take it back.
pub const TOKEN_HEADER: &str = "headwater-token";

impl FromRequestParts<Arc<Api>> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, api).await;
        let path = path.map_err(|_| Problem::new(Code::InvalidName, "the path is not UTF-8"))?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let workspace = named(&parts.headers, WORKSPACE_HEADER)?;
        let workspace = workspace.map_or_else(|| WORKSPACE.parse(), Ok);
        let workspace = workspace.map_err(|error: InvalidName| Problem::new(Code::Internal, error.to_string()))?;
        let actor = named(&parts.headers, ACTOR_HEADER)?.map(Actor::Claimed);
        Ok(Self { workspace, actor, headers: parts.headers.clone(), path, parameters: parameters(parts)? })
    }
}

/// Returns the name that a header has.
fn named<T: FromStr<Err = InvalidName>>(headers: &HeaderMap, name: &str) -> Result<Option<T>, Problem> {
    let invalid = |error: InvalidName| Problem::new(Code::InvalidHeader, error.to_string()).with("header", name);
    header(headers, name)?.map(|text| text.parse().map_err(invalid)).transpose()
}

/// Parameters that may be given several times.
const REPEATED: [&str; 3] = ["label", "attribute", "input"];
/// What stands between their values, which hold no control characters.
const APART: &str = "\n";

fn parameters(parts: &Parts) -> Result<BTreeMap<String, String>, Problem> {
    let invalid = |name: &str, detail: String| Problem::new(Code::InvalidParameter, detail).with("parameter", name);
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
    let Query(pairs) = pairs.map_err(|_| invalid("", "the query cannot be read".to_owned()))?;
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pairs {
        if value.chars().any(char::is_control) {
            return Err(invalid(&name, format!("`{name}` contains a control character")));
        }
        if let Some(before) = parameters.get_mut(&name).filter(|_| REPEATED.contains(&name.as_str())) {
            before.push_str(APART);
            before.push_str(&value);
            continue;
        }
        if parameters.contains_key(&name) {
            return Err(invalid(&name, format!("`{name}` is given twice")));
        }
        parameters.insert(name, value);
    }
    Ok(parameters)
}

/// Returns a header as text. One that is given twice says nothing.
pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Problem> {
    let invalid = |what: &str| Problem::new(Code::InvalidHeader, format!("`{name}` is {what}")).with("header", name);
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().map_err(|_| invalid("not text"))).transpose()?;
    if values.next().is_some() { Err(invalid("given twice")) } else { Ok(value) }
}

impl Asked {
    /// Returns a name from the path.
    ///
    /// # Errors
    /// [`Code::InvalidName`].
    pub fn name<T: FromStr<Err = InvalidName>>(&self, place: &str) -> Result<T, Problem> {
        self.segment(place).parse().map_err(|error: InvalidName| Problem::new(Code::InvalidName, error.to_string()))
    }

    /// Returns a segment of the path as it came; empty where the route has none of that name.
    pub fn segment(&self, place: &str) -> &str {
        self.path.iter().find(|(name, _)| name == place).map_or("", |(_, value)| value)
    }

    /// Takes a parameter as it came.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.parameters.remove(name)
    }

    /// Takes each value of a parameter that may be given several times.
    pub fn take_each(&mut self, name: &str) -> Vec<String> {
        self.take(name).map_or_else(Vec::new, |all| all.split(APART).map(str::to_owned).collect())
    }

    /// Takes a parameter of some form.
    ///
    /// # Errors
    /// [`Code::InvalidParameter`] with what `T` says of it.
    pub fn parameter<T>(&mut self, name: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.take(name) else { return Ok(None) };
        let invalid =
            |error: T::Err| Problem::new(Code::InvalidParameter, format!("`{name}`: {error}")).with("parameter", name);
        text.parse().map(Some).map_err(invalid)
    }

    /// Takes the place where a page begins.
    ///
    /// # Errors
    /// [`Code::InvalidCursor`].
    pub fn cursor<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let short: String = text.chars().take(80).collect();
        let invalid =
            |_| Problem::new(Code::InvalidCursor, format!("{short:?} is not a cursor")).with("parameter", name);
        text.parse().map(Some).map_err(invalid)
    }

    /// Takes `limit`: 1 to 100.
    ///
    /// # Errors
    /// [`Code::InvalidParameter`].
    pub fn limit(&mut self, usual: u32) -> Result<u32, Problem> {
        self.limit_within(usual, PAGE_MAX)
    }

    /// Takes `limit` where a page may be longer, or not as long: 1 to `most`.
    ///
    /// # Errors
    /// [`Code::InvalidParameter`].
    pub fn limit_within(&mut self, usual: u32, most: u32) -> Result<u32, Problem> {
        let limit = self.parameter::<u32>("limit")?.unwrap_or(usual);
        if (1..=most).contains(&limit) {
            return Ok(limit);
        }
        let detail = format!("`limit` is {limit}, not a number from 1 to {most}");
        Err(Problem::new(Code::InvalidParameter, detail).with("parameter", "limit"))
    }

    /// Takes a parameter that says how long something may take: `30s` and the like, at most `longest`.
    ///
    /// # Errors
    /// [`Code::InvalidParameter`].
    pub fn span(&mut self, name: &str, longest: Duration) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let span = headwater_core::definition::parse_span(&text).ok().filter(|span| *span <= longest);
        let detail = || format!("`{name}` is not a span like 500ms or 30s of at most {} s", longest.as_secs());
        span.map(Some).ok_or_else(|| Problem::new(Code::InvalidParameter, detail()).with("parameter", name))
    }

    /// Refuses parameters that nobody took.
    ///
    /// # Errors
    /// [`Code::InvalidParameter`]; [`Code::NotAsOf`].
    pub fn finish(self) -> Result<WorkspaceId, Problem> {
        self.finish_to_change().map(|caller| caller.workspace)
    }

    /// Does the same where something is to be changed: returns who wants it.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_to_change(self) -> Result<Caller, Problem> {
        match self.parameters.into_keys().next() {
            None => Ok(Caller { workspace: self.workspace, actor: self.actor }),
            Some(name) if name == AS_OF => {
                let detail = "only the catalogue is read as of a moment, and this is not of it";
                Err(Problem::new(Code::NotAsOf, detail).with("parameter", name))
            }
            Some(name) => {
                let short: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
                let detail = format!("there is no parameter `{short}` here");
                Err(Problem::new(Code::InvalidParameter, detail).with("parameter", short))
            }
        }
    }
}
