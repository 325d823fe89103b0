//! A read of the catalogue: as it is, or as of a moment (ADR 22).

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use headwater_core::Timestamp;
use headwater_projector::queries::View;

use super::reading::Reading;
use super::token::Token;
use crate::api::{Api, Problem};
use crate::codes::Code;

/// Names the parameter. Whatever is not of the catalogue refuses it with a code of its own.
pub const AS_OF: &str = "asOf";
/// Stands between the place of a page and the moment it is of: in no name, number, time or token.
const OF: char = '@';

/// A moment as it is asked for. Text form: an RFC 3339 time, or a consistency token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsOf {
    /// Everything that was committed at or before it.
    Time(Timestamp),
    /// Of the shards it names everything up to these places, of all others what was committed by then.
    Token(Token),
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Token(token) => token.fmt(f),
        }
    }
}

impl FromStr for AsOf {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        if let Ok(time) = text.parse() {
            return Ok(Self::Time(time));
        }
        let is_like_a_token = text.contains(':') && !text.contains(|c: char| !matches!(c, '0'..='9' | ':' | ','));
        if is_like_a_token {
            return Ok(Self::Token(text.parse().map_err(|problem: Problem| problem.with("parameter", AS_OF))?));
        }
        let short: String = text.chars().take(80).collect();
        let detail = format!(
            "`{AS_OF}` is {short:?}, neither an RFC 3339 time in the years 1970 to 9999 nor a token `shard:sequence` \
             (a `+` in a query is written %2B)"
        );
        Err(Problem::new(Code::InvalidParameter, detail).with("parameter", AS_OF))
    }
}

/// What a read of the catalogue asks for. Its own parameters are taken from it as from [`Reading`], and then it begins.
#[derive(Debug)]
pub struct CatalogueReading {
    reading: Reading,
    as_of: Option<AsOf>,
}

impl FromRequestParts<Arc<Api>> for CatalogueReading {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let mut reading = Reading::from_request_parts(parts, api).await?;
        let as_of = reading.take(AS_OF).map(|text| text.parse()).transpose()?;
        Ok(Self { reading, as_of })
    }
}

impl Deref for CatalogueReading {
    type Target = Reading;

    fn deref(&self) -> &Reading {
        &self.reading
    }
}

impl DerefMut for CatalogueReading {
    fn deref_mut(&mut self) -> &mut Reading {
        &mut self.reading
    }
}

impl CatalogueReading {
    /// Takes the place where a page begins, and the moment that its pages are of.
    ///
    /// # Errors
    /// [`Code::InvalidCursor`], also where it was returned by a read as of another moment.
    pub fn page<T: FromStr>(&mut self) -> Result<Option<T>, Problem> {
        let Some(text) = self.take("cursor") else { return Ok(None) };
        let short: String = text.chars().take(80).collect();
        let invalid =
            |what: &str| Problem::new(Code::InvalidCursor, format!("{short:?} is {what}")).with("parameter", "cursor");
        let (place, of) = text.split_once(OF).map_or((text.as_str(), None), |(place, of)| (place, Some(of)));
        let of = of.map(str::parse::<AsOf>).transpose().map_err(|_| invalid("not a cursor"))?;
        match (&self.as_of, of) {
            (None, of) => self.as_of = of,
            (Some(asked), Some(of)) if *asked == of => {}
            (Some(asked), _) => return Err(invalid(&format!("not a cursor of a read as of {asked}"))),
        }
        place.parse().map(Some).map_err(|_| invalid("not a cursor"))
    }

    /// Refuses parameters that nobody took, waits until the read models contain what must be seen, and until what the moment
    /// is made of is certain.
    ///
    /// # Errors
    /// Those of [`Reading::begin`]; [`Code::NotYet`].
    pub async fn begin(self, api: &Api) -> Result<Catalogue, Problem> {
        let workspace = self.reading.begin(api).await?;
        let as_of = match &self.as_of {
            None => None,
            Some(as_of) => Some(api.settle(as_of).await?),
        };
        Ok(Catalogue { view: View { workspace, as_of }, as_of: self.as_of })
    }
}

/// The catalogue as a read sees it.
#[derive(Debug)]
pub struct Catalogue {
    view: View,
    as_of: Option<AsOf>,
}

impl Deref for Catalogue {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Catalogue {
    /// Returns the cursor of the page that begins behind a place: of the same moment.
    pub fn next(&self, place: impl fmt::Display) -> String {
        match &self.as_of {
            None => place.to_string(),
            Some(as_of) => format!("{place}{OF}{as_of}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_back_what_it_shows() {
        for text in ["2026-11-26T12:00:00.000001Z", "3:17", "3:17,0:4"] {
            assert_eq!(text.parse::<AsOf>().unwrap().to_string(), text);
        }
        let east: AsOf = "2026-11-26T14:00:00+02:00".parse().unwrap();
        assert_eq!(east.to_string(), "2026-11-26T12:00:00.000000Z");
    }

    #[test]
    fn what_is_no_moment_is_refused_and_says_where() {
        for bad in
            ["", "yesterday", "2026-11-26", "2026-11-26T14:00:00 02:00", "1969-12-31T23:59:59Z", "17", "a:b", "1:-1"]
        {
            assert_eq!(bad.parse::<AsOf>().unwrap_err().code(), Code::InvalidParameter, "{bad}");
        }
        for bad in [":", "1:", ":1", "1024:1", "1:2,", "1:2:3", "0:18446744073709551615"] {
            assert_eq!(bad.parse::<AsOf>().unwrap_err().code(), Code::InvalidToken, "{bad}");
        }
    }
}
