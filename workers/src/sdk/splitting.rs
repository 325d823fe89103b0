//! The result contract: what of a result is output, and what are produced assets.

use std::fmt;

use headwater_core::run::ProducedAsset;
use headwater_core::{AssetId, Json, PartitionKey, Timestamp};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Outcome;

/// Says why `result.assets` are not produced assets.
#[derive(Debug, thiserror::Error)]
#[error("`assets` of the result cannot be read: {0}")]
pub struct ResultError(#[source] serde_json::Error);

/// Splits a result: `assets` of an object are the produced assets, the other fields are the output; anything but an
/// object is output as it stands.
///
/// # Errors
/// [`ResultError`] for assets that do not have the form `{assetId, payload, producedAt?, partitionKey?, schema?,
/// freshness?}`.
pub fn split_result(result: &Json) -> Result<Outcome, ResultError> {
    let whole = || Outcome { output: result.clone(), assets: Vec::new() };
    // The common case costs a search of the text, not a parse.
    if !result.as_str().starts_with('{') || !result.as_str().contains("\"assets\"") {
        return Ok(whole());
    }
    let mut fields: Fields<'_> = serde_json::from_str(result.as_str()).map_err(ResultError)?;
    let Some(place) = fields.0.iter().position(|(name, _)| name == "assets") else { return Ok(whole()) };
    let (_, assets) = fields.0.remove(place);
    let assets: Vec<Produced> = serde_json::from_str(assets.get()).map_err(ResultError)?;
    Ok(Outcome { output: Json::of(&fields), assets: assets.into_iter().map(ProducedAsset::from).collect() })
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

/// A produced asset as handlers write it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Produced {
    asset_id: AssetId,
    payload: Json,
    #[serde(default)]
    produced_at: Option<ProducedAt>,
    #[serde(default)]
    partition_key: Option<PartitionKey>,
    #[serde(default)]
    schema: Option<Json>,
    #[serde(default)]
    freshness: Option<Json>,
}

/// RFC 3339, or milliseconds since 1970.
#[derive(Deserialize)]
#[serde(untagged)]
enum ProducedAt {
    Millis(u64),
    Text(String),
}

impl From<Produced> for ProducedAsset {
    fn from(produced: Produced) -> Self {
        let produced_at = produced.produced_at.and_then(|at| match at {
            ProducedAt::Millis(millis) => Some(Timestamp::from_micros(millis.saturating_mul(1000))),
            // A time nobody can read is no time: the shard puts its own.
            ProducedAt::Text(text) => text.parse().ok(),
        });
        let given = |json: Option<Json>| json.filter(|json| !json.is_null());
        Self {
            asset_id: produced.asset_id,
            payload: produced.payload,
            produced_at,
            partition_key: produced.partition_key,
            schema: given(produced.schema),
            freshness: given(produced.freshness),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::from_text(text.to_owned()).unwrap()
    }

    #[test]
    fn assets_are_split_off_and_the_rest_keeps_its_order_and_text() {
        let result = json(
            r#"{"z":1.50,"assets":[{"assetId":"a.b","payload":{"n":1},"producedAt":"2025-01-02T03:04:05Z",
                "partitionKey":"2025-01","schema":null},{"assetId":"c","payload":null,"producedAt":1000}],"a":"ü"}"#,
        );
        let outcome = split_result(&result).unwrap();
        assert_eq!(outcome.output().as_str(), r#"{"z":1.50,"a":"ü"}"#);
        let [first, second] = outcome.assets() else { panic!() };
        assert_eq!((first.asset_id.as_str(), first.payload.as_str()), ("a.b", r#"{"n":1}"#));
        assert_eq!(first.produced_at, Some("2025-01-02T03:04:05Z".parse().unwrap()));
        assert_eq!((first.partition_key.as_ref().unwrap().as_str(), &first.schema), ("2025-01", &None));
        assert_eq!(second.produced_at, Some(Timestamp::from_micros(1_000_000)));
    }

    #[test]
    fn a_result_without_assets_of_its_own_is_all_output() {
        for text in ["null", "[1,2]", r#""assets""#, "{}", r#"{"a":{"assets":[1]}}"#] {
            let outcome = split_result(&json(text)).unwrap();
            assert_eq!((outcome.output().as_str(), outcome.assets()), (text, [].as_slice()));
        }
    }

    #[test]
    fn assets_that_are_none_are_refused() {
        for text in
            [r#"{"assets":1}"#, r#"{"assets":[{"assetId":"a"}]}"#, r#"{"assets":[{"assetId":"*","payload":1}]}"#]
        {
            assert!(split_result(&json(text)).is_err(), "{text}");
        }
    }
}
