//! Which assets a node produces and consumes.
//!
//! What is declared of an asset and not in effect yet is read leniently here, for journals hold what earlier releases
//! took; what comes in now is held to its form in [`door`].

mod automation;
mod declared;
mod door;
mod freshness;
mod partitioning;

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::document::{Field, Fields, Findings, escaped};
use super::template::{Use, template};
use super::{Consumes, OnMiss, ProblemCode, Produces, Require, Schema, hints};
use crate::{AssetId, Json, Version};

pub use automation::{Automation, Mode, Wait};
pub use declared::{Declared, Meaning};
pub use door::refused_at_the_door;
pub(super) use door::{check_document, check_patterns};
pub use freshness::Freshness;
pub use partitioning::{Granularity, Partitioning, TimeWindow};

/// The most assets one node may declare on either side.
const ASSETS_MAX: usize = 100;

/// Reads `produces`.
pub(super) fn produces(node: &mut Fields<'_>) -> Vec<Produces> {
    let Some(field) = node.take(&["produces"]) else { return Vec::new() };
    let mut declared = Vec::new();
    let mut source = Vec::new();
    for entry in entries(&field) {
        let Some((mut fields, asset)) = open(&entry) else { continue };
        for name in ["partition", "partitionKey"] {
            if let Some(field) = fields.take(&[name]) {
                let message = "the key of a partition comes with the result: a produced asset names its `partitionKey`";
                field.error(ProblemCode::UnknownField, message);
            }
        }
        let about = about(&mut fields, &["parameterDefaults"]);
        let optional = flag(&mut fields, "optional");
        let primary = flag(&mut fields, "primary");
        source.push(Value::Object(fields.finish()));
        let Some(asset) = asset else { continue };
        declared.push(Produces {
            asset,
            schema: about.schema,
            freshness: about.freshness,
            partitioning: about.partitioning,
            auto_materialize: about.auto_materialize,
            optional,
            primary,
        });
    }
    if !source.is_empty() {
        node.keep("produces", Value::Array(source));
    }
    declared
}

/// A `consumes` entry as read: how old a version may be is settled once all producers are known.
pub(super) struct Wanted {
    pub(super) consumes: Consumes,
    /// The path of a `require: fresh` that does not itself say how fresh.
    pub(super) fresh_without_age: Option<String>,
    pub(super) at: String,
}

/// Reads `consumes`.
pub(super) fn consumes(node: &mut Fields<'_>, uses: &mut Vec<Use>) -> Vec<Wanted> {
    let Some(field) = node.take(&["consumes"]) else { return Vec::new() };
    let mut wanted = Vec::new();
    let mut source = Vec::new();
    for entry in entries(&field) {
        let Some((mut fields, asset)) = open(&entry) else { continue };
        let about = about(&mut fields, &[]);
        let (require, fresh_without_age) = require(&mut fields, about.freshness.as_ref());
        let on_miss = on_miss(&mut fields);
        let mut mapping = |name: &'static str| {
            let field = fields.take(&[name])?;
            fields.keep(name, field.value.clone());
            template(&field.at, field.value, field.findings(), uses)
        };
        let partition = mapping("partition");
        let producer_input = mapping("producerInput");
        source.push(Value::Object(fields.finish()));
        let Some(asset) = asset else { continue };
        let consumes = Consumes {
            asset,
            schema: about.schema,
            freshness: about.freshness,
            partitioning: about.partitioning,
            auto_materialize: about.auto_materialize,
            require,
            on_miss,
            partition,
            producer_input,
        };
        wanted.push(Wanted { consumes, fresh_without_age, at: entry.at });
    }
    if !source.is_empty() {
        node.keep("consumes", Value::Array(source));
    }
    wanted
}

/// Returns how old a fresh version may be, in milliseconds, where a declared freshness says so.
pub(super) fn age_of(freshness: &Declared<Freshness>) -> Option<u64> {
    freshness.meaning()?.age().and_then(|age| u64::try_from(age.as_millis()).ok())
}

/// Lists the entries, each asset once.
fn entries<'d>(field: &Field<'d>) -> Vec<Field<'d>> {
    let mut items = field.items();
    field.at_most(ASSETS_MAX, items.len(), "assets", "share them out among several nodes");
    items.truncate(ASSETS_MAX);
    let mut seen = BTreeSet::new();
    for item in &items {
        let id = item.value.get("assetId").and_then(Value::as_str);
        if let Some(id) = id
            && !seen.insert(id.to_ascii_lowercase())
        {
            let found = item.findings();
            let message = format!("asset `{id}` stands here twice (names are compared ignoring case)");
            found.error(&format!("{}/assetId", item.at), ProblemCode::Duplicate, message);
        }
    }
    items
}

fn open<'d>(entry: &Field<'d>) -> Option<(Fields<'d>, Option<AssetId>)> {
    let like = |given: &Value| given.as_str().map(|id| format!("{{assetId: {id}}}"));
    let mut fields = entry.fields_like(like)?;
    let asset: Option<AssetId> = fields.need(&["assetId"]).and_then(|field| field.name());
    if let Some(asset) = &asset {
        fields.keep("assetId", json!(asset.as_str()));
    }
    Some((fields, asset))
}

/// What both sides may say about an asset.
struct About {
    schema: Option<Schema>,
    freshness: Option<Declared<Freshness>>,
    partitioning: Option<Declared<Partitioning>>,
    auto_materialize: Option<Declared<Automation>>,
}

/// Reads it; of `autoMaterialize`, the fields in `read` are in effect.
fn about(fields: &mut Fields<'_>, read: &[&str]) -> About {
    let about = About {
        schema: schema(fields, &["schema"]),
        freshness: freshness::read(fields),
        partitioning: object(fields, "partitioning"),
        auto_materialize: object(fields, "autoMaterialize"),
    };
    if about.partitioning.is_some() {
        not_in_effect(fields.findings(), &fields.below("partitioning"), "partitions are made by their keys alone");
    }
    if let Some(auto) = &about.auto_materialize {
        let (at, auto) = (fields.below("autoMaterialize"), auto.source().to_value());
        let instead = "nothing starts a producer by itself but a consumer that waits (`onMiss: materialize`)";
        let unread =
            auto.as_object().into_iter().flatten().map(|(name, _)| name).filter(|name| !read.contains(&name.as_str()));
        unread.for_each(|name| not_in_effect(fields.findings(), &format!("{at}/{}", escaped(name)), instead));
    }
    about
}

fn not_in_effect(found: &Findings, at: &str, instead: &str) {
    found.warning(at, ProblemCode::NotInEffect, format!("has no effect in this release: {instead}"));
}

/// Reads a JSON Schema under any of its spellings.
pub(super) fn schema(fields: &mut Fields<'_>, spellings: &[&'static str]) -> Option<Schema> {
    let field = fields.take(spellings)?;
    if !matches!(field.value, Value::Object(_) | Value::Bool(_)) {
        field.error(ProblemCode::BadSchema, "a JSON Schema is an object (or true or false)");
        return None;
    }
    if let Some(name) = spellings.first() {
        fields.keep(name, field.value.clone());
    }
    let wrong = |reason: String| match hints::odd_type(field.value) {
        Some((at, message)) => field.findings().error(&format!("{}{at}", field.at), ProblemCode::BadSchema, message),
        None => field.error(ProblemCode::BadSchema, reason),
    };
    Schema::compile(field.value).map_err(wrong).ok()
}

/// Keeps an object as it stands.
fn object<T: Meaning>(fields: &mut Fields<'_>, name: &'static str) -> Option<Declared<T>> {
    let field = fields.take(&[name])?;
    if !field.value.is_object() {
        field.wrong_kind("an object", field.value);
        return None;
    }
    fields.keep(name, field.value.clone());
    Some(Declared::of(Json::of(field.value)))
}

fn flag(fields: &mut Fields<'_>, name: &'static str) -> bool {
    let Some(field) = fields.take(&[name]) else { return false };
    let flag = field.flag().unwrap_or(false);
    fields.keep(name, Value::Bool(flag));
    flag
}

fn require(fields: &mut Fields<'_>, freshness: Option<&Declared<Freshness>>) -> (Require, Option<String>) {
    #[derive(Clone, Copy)]
    enum Word {
        Exists,
        Fresh,
    }
    let version_field = fields.take(&["version"]);
    let field = fields.take(&["require"]);
    let version_of = |field: &Field<'_>| field.number(1, i64::MAX as u64).map(Version::new);
    if let Some(version_field) = version_field {
        if let Some(field) = field {
            field.error(ProblemCode::InvalidValue, "`version` already says which version is required");
        }
        let Some(version) = version_of(&version_field) else { return (Require::Exists, None) };
        fields.keep("require", json!({ "version": version }));
        return (Require::Version(version), None);
    }
    let Some(field) = field else { return (Require::Exists, None) };
    if field.value.is_object() {
        let inner = field.fields().and_then(|mut inner| {
            let version = inner.need(&["version"]).as_ref().and_then(version_of);
            inner.finish();
            version
        });
        let Some(version) = inner else { return (Require::Exists, None) };
        fields.keep("require", json!({ "version": version }));
        return (Require::Version(version), None);
    }
    match field.word(&[("exists", Word::Exists), ("fresh", Word::Fresh)]) {
        Some(Word::Fresh) => {
            fields.keep("require", json!("fresh"));
            match freshness.and_then(age_of) {
                Some(max_age_ms) => (Require::Fresh { max_age_ms }, None),
                None => (Require::Exists, Some(field.at)),
            }
        }
        Some(Word::Exists) => {
            fields.keep("require", json!("exists"));
            (Require::Exists, None)
        }
        None => (Require::Exists, None),
    }
}

fn on_miss(fields: &mut Fields<'_>) -> Option<OnMiss> {
    let field = fields.take(&["onMiss"])?;
    let words = [
        ("materialize", OnMiss::Materialize),
        ("wait", OnMiss::Wait),
        ("fail", OnMiss::Fail),
        ("ignore", OnMiss::Ignore),
    ];
    let read = field.word(&words)?;
    fields.keep("onMiss", field.value.clone());
    Some(read)
}

/// Settles what needs more than one entry: how fresh, and nodes that would wait for themselves. `ages` are by asset in lower
/// case.
pub(super) fn settle(wanted: &mut Wanted, own: &[Produces], ages: &HashMap<String, u64>, found: &Findings) {
    let asset = &wanted.consumes.asset;
    if let Some(at) = wanted.fresh_without_age.take() {
        match ages.get(&asset.as_str().to_ascii_lowercase()) {
            Some(max_age_ms) => wanted.consumes.require = Require::Fresh { max_age_ms: *max_age_ms },
            None => {
                let message = "nothing says how long a version is fresh: give `freshness: {maxAge: …}`";
                found.error(&at, ProblemCode::MissingField, message);
            }
        }
    }
    let itself = own.iter().any(|produced| same(&produced.asset, asset));
    if itself && matches!(wanted.consumes.on_miss, None | Some(OnMiss::Materialize)) {
        let message = format!(
            "the node produces `{asset}` itself: the first version would wait for itself; say `onMiss: ignore`"
        );
        found.error(&wanted.at, ProblemCode::Cycle, message);
    }
}

/// Names of assets are compared ignoring case.
pub(super) fn same(a: &AssetId, b: &AssetId) -> bool {
    a.as_str().eq_ignore_ascii_case(b.as_str())
}
