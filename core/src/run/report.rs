//! What a worker says of how an attempt ended, read field by field.
//!
//! Whatever stands there, the report is one: what cannot be read is a failure of the attempt, permanent, with the code
//! `output_invalid`, `result_invalid` or `partition_key` and the place and reason in its message.

use std::fmt;
use std::str::FromStr;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::command::{Report, ReportOutcome};
use super::{ProducedAsset, RunFailure};
use crate::definition::{Freshness, Problem, nearest};
use crate::{Attempt, Flaw, InvalidName, Json, LeaseToken, NodeAddress, Timestamp, WorkerId};

/// The earliest time of an asset, 1970-02-18: whoever counts seconds or milliseconds of this century is below it.
const MICROS_MIN: u64 = 4_200_000_000_000;

impl<'de> Deserialize<'de> for ReportOutcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = Box::<RawValue>::deserialize(deserializer)?;
        Ok(read_outcome(said.get()).unwrap_or_else(unreadable))
    }
}

impl<'de> Deserialize<'de> for Report {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Said {
            node: NodeAddress,
            attempt: Attempt,
            lease: LeaseToken,
            worker: WorkerId,
            started_at: Box<RawValue>,
            outcome: ReportOutcome,
        }
        let Said { node, attempt, lease, worker, started_at, outcome } = Said::deserialize(deserializer)?;
        let (started_at, outcome) = match micros(&started_at, "/startedAt") {
            Ok(started_at) => (started_at, outcome),
            // The latest there is: the decision takes its own time instead.
            Err(failure) => (Timestamp::MAX, unreadable(failure)),
        };
        Ok(Self { node, attempt, lease, worker, started_at, outcome })
    }
}

fn unreadable(RunFailure { code, message, .. }: RunFailure) -> ReportOutcome {
    ReportOutcome::failed(code, message, true)
}

/// Reads an outcome as workers write it.
///
/// # Errors
/// `output_invalid` for what the strict reader refuses, `result_invalid` and `partition_key` for what has another form.
fn read_outcome(text: &str) -> Result<ReportOutcome, RunFailure> {
    let mended;
    let text = match Json::check(text) {
        Ok(()) => text,
        // What went wrong is worth more than that its message was printed with zeros: the decision leaves them out.
        Err(error) if error.flaw == Flaw::NulCharacter && error.path.starts_with("/failed/") => {
            mended = Json::from_text(text.to_owned()).unwrap_or_default();
            mended.as_str()
        }
        Err(error) => {
            let message = format!("the report cannot be read: {} (at /outcome{})", error.flaw, error.path);
            return Err(RunFailure::new("output_invalid", message));
        }
    };
    const AT: &str = "/outcome";
    match members(text, AT, ["succeeded", "failed"])? {
        [Some(said), None] => {
            let at = format!("{AT}/succeeded");
            let [output, assets] = members(said.get(), &at, ["output", "assets"])?;
            let output = Json::checked(output.ok_or_else(|| missing(&at, "output"))?);
            let assets = assets.map_or(Ok(Vec::new()), |assets| read_list(assets, &format!("{at}/assets")))?;
            Ok(ReportOutcome::Succeeded { output, assets })
        }
        [None, Some(said)] => {
            let at = format!("{AT}/failed");
            let names = ["code", "message", "permanent", "details", "retryAfterMs"];
            let [code, message, permanent, details, retry_after] = members(said.get(), &at, names)?;
            let code = value(code.ok_or_else(|| missing(&at, "code"))?, &format!("{at}/code"), "a text")?;
            let message = value(message.ok_or_else(|| missing(&at, "message"))?, &format!("{at}/message"), "a text")?;
            let permanent = permanent.map(|raw| value(raw, &format!("{at}/permanent"), "true or false")).transpose()?;
            let whole = |raw| value(raw, &format!("{at}/retryAfterMs"), "a whole number of milliseconds");
            let retry_after_ms = given(retry_after).map(whole).transpose()?;
            let details = given(details).map(Json::checked);
            Ok(ReportOutcome::Failed { code, message, permanent: permanent.unwrap_or(false), details, retry_after_ms })
        }
        [Some(_), Some(_)] | [None, None] => Err(invalid(AT, "is not either `succeeded` or `failed`")),
    }
}

/// Reads the produced assets of a result: `{assetId, payload, producedAt?, partitionKey?, schema?, freshness?}` each.
/// `producedAt` is RFC 3339 or whole microseconds since 1970, after 1970-02-18, where seconds and milliseconds end. `at` is where the list stands.
///
/// # Errors
/// `output_invalid` for what [`Json::parse_strict`] refuses, `partition_key` for a key that is not one, and
/// `result_invalid` for anything else, each with the place in its message.
pub fn read_assets(text: &str, at: &str) -> Result<Vec<ProducedAsset>, RunFailure> {
    Json::check(text).map_err(|invalid| {
        let message = format!("the result cannot be read: {} (at {at}{})", invalid.flaw, invalid.path);
        RunFailure::new("output_invalid", message)
    })?;
    let list = serde_json::from_str(text).map_err(|_| invalid(at, "is not a list"))?;
    read_list(list, at)
}

fn read_list(list: &RawValue, at: &str) -> Result<Vec<ProducedAsset>, RunFailure> {
    let items: Vec<&RawValue> = value(list, at, "a list")?;
    items.into_iter().enumerate().map(|(position, item)| read_asset(item, &format!("{at}/{position}"))).collect()
}

fn read_asset(item: &RawValue, at: &str) -> Result<ProducedAsset, RunFailure> {
    let names = ["assetId", "payload", "producedAt", "partitionKey", "schema", "freshness"];
    let [asset_id, payload, produced_at, partition_key, schema, freshness] = members(item.get(), at, names)?;
    let asset_id = asset_id.ok_or_else(|| missing(at, "assetId"))?;
    let produced_at = given(produced_at).map(|raw| time(raw, &format!("{at}/producedAt"))).transpose()?;
    let key = |raw| name(raw, &format!("{at}/partitionKey"), "partition_key");
    let partition_key = given(partition_key).map(key).transpose()?;
    Ok(ProducedAsset {
        asset_id: name(asset_id, &format!("{at}/assetId"), "result_invalid")?,
        payload: Json::checked(payload.ok_or_else(|| missing(at, "payload"))?),
        produced_at,
        partition_key,
        schema: given(schema).map(Json::checked),
        freshness: given(freshness).map(|raw| told(raw, &format!("{at}/freshness"))).transpose()?,
    })
}

fn told(raw: &RawValue, at: &str) -> Result<Json, RunFailure> {
    let wrong =
        |problem: Problem| invalid(&format!("{at}{}", problem.path), format!("is refused: {}", problem.message));
    Freshness::told(&Json::checked(raw)).map_err(wrong)
}

/// `null` is as good as a field that is left out.
fn given(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

fn invalid(at: &str, what: impl fmt::Display) -> RunFailure {
    RunFailure::new("result_invalid", format!("{at} {what}"))
}

fn missing(at: &str, name: &str) -> RunFailure {
    invalid(at, format!("has no `{name}`"))
}

fn value<'t, T: Deserialize<'t>>(raw: &'t RawValue, at: &str, wanted: &str) -> Result<T, RunFailure> {
    serde_json::from_str(raw.get()).map_err(|_| invalid(at, format!("is not {wanted}")))
}

fn name<T: FromStr<Err = InvalidName>>(raw: &RawValue, at: &str, code: &str) -> Result<T, RunFailure> {
    let refused = |reason: String| RunFailure::new(code, format!("{at} is refused: {reason}"));
    let text: String = serde_json::from_str(raw.get()).map_err(|_| refused("it is not a text".to_owned()))?;
    text.parse().map_err(|error: InvalidName| refused(error.to_string()))
}

fn time(raw: &RawValue, at: &str) -> Result<Timestamp, RunFailure> {
    let time = if raw.get().starts_with('"') {
        let text: String = value(raw, at, "a text")?;
        text.parse().map_err(|error: crate::InvalidTimestamp| invalid(at, format!("is not a time: {error}")))?
    } else {
        micros(raw, at)?
    };
    if time < Timestamp::from_micros(MICROS_MIN) {
        let message = format!("is {}, which is {time}: a number is whole microseconds since 1970", seen(raw));
        return Err(invalid(at, message));
    }
    Ok(time)
}

fn micros(raw: &RawValue, at: &str) -> Result<Timestamp, RunFailure> {
    let number = serde_json::from_str(raw.get()).ok().and_then(|micros| Timestamp::try_from_micros(micros).ok());
    number
        .ok_or_else(|| invalid(at, format!("is {}, not whole microseconds since 1970, up to the year 9999", seen(raw))))
}

fn seen(raw: &RawValue) -> String {
    raw.get().chars().take(40).collect()
}

/// Takes the members of an object by name, each at most once.
fn members<'t, const N: usize>(
    text: &'t str,
    at: &str,
    names: [&'static str; N],
) -> Result<[Option<&'t RawValue>; N], RunFailure> {
    let mut unknown = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = reader.deserialize_map(Members { names, unknown: &mut unknown });
    match (found, unknown) {
        (Ok(found), None) => Ok(found),
        (_, Some(name)) => {
            let hint = nearest_field(&name, names);
            Err(invalid(at, format!("has a field `{name}`, which does not exist{hint}")))
        }
        (Err(_), None) => Err(invalid(at, "is not an object")),
    }
}

fn nearest_field<const N: usize>(name: &str, names: [&'static str; N]) -> String {
    let lower = name.to_lowercase();
    match names.iter().find(|known| lower.len() > 3 && known.to_lowercase().starts_with(&lower)) {
        Some(known) => format!(": did you mean `{known}`?"),
        None => nearest(name, names.into_iter()),
    }
}

struct Members<'u, const N: usize> {
    names: [&'static str; N],
    unknown: &'u mut Option<String>,
}

impl<'t, const N: usize> Visitor<'t> for Members<'_, N> {
    type Value = [Option<&'t RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'t>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(key) = entries.next_key::<std::borrow::Cow<'_, str>>()? {
            match self.names.iter().position(|name| *name == key) {
                Some(place) => found[place] = Some(entries.next_value()?),
                None => {
                    self.unknown.get_or_insert_with(|| key.chars().take(60).collect());
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}
