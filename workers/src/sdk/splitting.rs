//! The result contract: what of a result is output, and what are produced assets.

use std::fmt;

use headwater_core::Json;
use headwater_core::run::{RunFailure, read_assets};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{HandlerError, Outcome};

/// Says why `result.assets` are not produced assets: the code that an attempt fails with, and place and reason.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ResultError {
    code: String,
    message: String,
}

impl ResultError {
    /// Returns the code: `result_invalid`, `output_invalid` or `partition_key`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Makes the failure of the attempt: another try would return the same.
    pub fn into_failure(self) -> HandlerError {
        HandlerError::new(self.code, self.message).permanent()
    }
}

impl From<RunFailure> for ResultError {
    fn from(RunFailure { code, message, .. }: RunFailure) -> Self {
        Self { code, message }
    }
}

/// Splits a result: `assets` of an object are the produced assets, the other fields are the output; anything but an
/// object is output as it stands.
///
/// # Errors
/// [`ResultError`] for assets that do not have the form `{assetId, payload, producedAt?, partitionKey?, schema?,
/// freshness?}`.
pub fn split_result(result: &Json) -> Result<Outcome, ResultError> {
    let whole = || Outcome::from(result.clone());
    // The common case costs a search of the text, not a parse.
    if !result.as_str().starts_with('{') || !result.as_str().contains("\"assets\"") {
        return Ok(whole());
    }
    let unreadable = |error: serde_json::Error| RunFailure::new("result_invalid", error.to_string());
    let mut fields: Fields<'_> = serde_json::from_str(result.as_str()).map_err(unreadable)?;
    let Some(place) = fields.0.iter().position(|(name, _)| name == "assets") else { return Ok(whole()) };
    let (_, assets) = fields.0.remove(place);
    Ok(Outcome { assets: read_assets(assets.get(), "/assets")?, ..Outcome::of(&fields) })
}

/// The fields of an object in their order, their values unparsed.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::Timestamp;

    use super::*;

    fn json(text: &str) -> Json {
        Json::from_text(text.to_owned()).unwrap()
    }

    #[test]
    fn assets_are_split_off_and_the_rest_keeps_its_order_and_text() {
        let result = json(
            r#"{"z":1.50,"assets":[{"assetId":"a.b","payload":{"n":1},"producedAt":"2025-01-02T03:04:05Z",
                "partitionKey":"2025-01","schema":null},{"assetId":"c","payload":null,"producedAt":1764100000000001}],"a":"ü"}"#,
        );
        let outcome = split_result(&result).unwrap();
        assert_eq!(outcome.output().as_str(), r#"{"z":1.50,"a":"ü"}"#);
        let [first, second] = outcome.assets() else { panic!() };
        assert_eq!((first.asset_id.as_str(), first.payload.as_str()), ("a.b", r#"{"n":1}"#));
        assert_eq!(first.produced_at, Some("2025-01-02T03:04:05Z".parse().unwrap()));
        assert_eq!((first.partition_key.as_ref().unwrap().as_str(), &first.schema), ("2025-01", &None));
        assert_eq!(second.produced_at, Some(Timestamp::from_micros(1_764_100_000_000_001)));
    }

    #[test]
    fn a_result_without_assets_of_its_own_is_all_output() {
        for text in ["null", "[1,2]", r#""assets""#, "{}", r#"{"a":{"assets":[1]}}"#] {
            let outcome = split_result(&json(text)).unwrap();
            assert_eq!((outcome.output().as_str(), outcome.assets()), (text, [].as_slice()));
        }
    }

    #[test]
    fn assets_that_cannot_be_read_are_refused_with_code_and_place() {
        let asset = |fields: &str| format!(r#"{{"assets":[{{"assetId":"a","payload":1{fields}}}]}}"#);
        let cases = [
            (r#"{"assets":1}"#.to_owned(), "result_invalid", "/assets is not a list"),
            (r#"{"assets":[{"assetId":"a"}]}"#.to_owned(), "result_invalid", "/assets/0 has no `payload`"),
            (r#"{"assets":[{"assetId":"*","payload":1}]}"#.to_owned(), "result_invalid", "not a valid asset id"),
            (asset(r#","partition":"x""#), "result_invalid", "did you mean `partitionKey`?"),
            (asset(r#","partitionKey":"*""#), "partition_key", "/assets/0/partitionKey"),
            (asset(r#","producedAt":"2025-02-01""#), "result_invalid", "/assets/0/producedAt is not a time"),
            (asset(r#","producedAt":1738368000"#), "result_invalid", "whole microseconds since 1970"),
            (asset(r#","producedAt":1738368000000"#), "result_invalid", "whole microseconds since 1970"),
            (asset(r#","schema":{"a":1,"a":2}"#), "output_invalid", "/assets/0/schema"),
        ];
        for (text, code, message) in cases {
            let error = split_result(&json(&text)).expect_err(&text);
            assert_eq!(error.code(), code, "{text}");
            assert!(error.to_string().contains(message), "{text}: {error}");
            assert!(error.into_failure().permanent);
        }
    }
}
