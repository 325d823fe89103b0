//! What stands around the nodes: names, schemas, defaults, limits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::contract::schema;
use super::document::{Field, Fields, escaped, sorted};
use super::template::{Use, template};
use super::{Naming, ProblemCode, Schema, SchemaRefusal, SnapshotPolicy, naming, node, policy, snapshots};
use crate::expr::Template;
use crate::{Json, Slug};

/// The most labels.
const LABELS_MAX: usize = 64;
/// The most that `parallelism` may be.
const PARALLELISM_MAX: u64 = 10_000;

/// What stands around the nodes.
pub(super) struct Header {
    pub(super) slug: Option<Slug>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) schemas: Schemas,
    pub(super) output: Output,
    pub(super) defaults: Json,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) named: Named,
    pub(super) course: Course,
}

/// How its runs go on.
pub(super) struct Course {
    pub(super) timeout: Option<Duration>,
    pub(super) parallelism: Option<u32>,
    pub(super) snapshots: Option<SnapshotPolicy>,
}

/// What runs are called, and what that names.
#[derive(Default)]
pub(super) struct Named {
    pub(super) naming: Option<Naming>,
    pub(super) uses: Vec<Use>,
}

/// What runs are held to.
pub(super) struct Schemas {
    pub(super) input: Option<Schema>,
    pub(super) state: Option<Schema>,
    pub(super) output: Option<Schema>,
}

/// What the output of a run is made of, and what that names.
#[derive(Default)]
pub(super) struct Output {
    pub(super) template: Option<Template>,
    pub(super) uses: Vec<Use>,
}

/// Reads everything but the nodes.
pub(super) fn read(fields: &mut Fields<'_>) -> Header {
    if let Some(kind) = fields.take(&["kind"]) {
        kind.word(&[("workflow", ())]);
    }
    let slug: Option<Slug> = fields.need(&["slug"]).and_then(|field| field.name());
    if let Some(slug) = &slug {
        fields.keep("slug", Value::from(slug.as_str()));
    }
    let name = fields.label("name");
    let description = fields.label("description");
    if let Some(field) = fields.take(&["version"]) {
        let message = "the engine counts versions itself: `version` is ignored";
        field.warning(ProblemCode::InvalidValue, message);
    }
    node::object(fields, "metadata");
    triggers(fields);
    let input = schema(fields, &["inputSchema", "parametersSchema"]);
    let state = schema(fields, &["stateSchema", "contextSchema"]);
    let schemas = Schemas { input, state, output: schema(fields, &["outputSchema"]) };
    let output = output(fields);
    let defaults = defaults(fields, schemas.input.as_ref());
    let timeout = policy::time(fields, &["timeoutMs", "timeout"], policy::TIMEOUT_MIN);
    let labels = labels(fields);
    let mut named = Named::default();
    named.naming = naming::of_runs(fields, &mut named.uses);
    let course = Course { timeout, parallelism: parallelism(fields), snapshots: snapshots::read(fields) };
    Header { slug, name, description, schemas, output, defaults, labels, named, course }
}

/// Reads how many nodes of a run may be under way at once.
fn parallelism(fields: &mut Fields<'_>) -> Option<u32> {
    let count = fields.take(&["parallelism"])?.number(1, PARALLELISM_MAX)?;
    fields.keep("parallelism", Value::from(count));
    u32::try_from(count).ok()
}

fn output(fields: &mut Fields<'_>) -> Output {
    let Some(field) = fields.take(&["output"]) else { return Output::default() };
    fields.keep("output", field.value.clone());
    let mut uses = Vec::new();
    Output { template: template(&field.at, field.value, field.findings(), &mut uses), uses }
}

fn triggers(fields: &mut Fields<'_>) {
    let Some(field) = fields.take(&["triggers"]) else { return };
    for item in field.items() {
        let like = |given: &Value| given.as_str().map(|kind| format!("{{type: {kind}}}"));
        let Some(mut trigger) = item.fields_like(like) else { continue };
        let Some(kind) = trigger.need(&["type"]) else { continue };
        if kind.text().is_some_and(|kind| kind != "manual") {
            kind.error(ProblemCode::InvalidValue, "only `manual` triggers are in this release; others come later");
        } else {
            trigger.finish();
        }
    }
}

/// Returns the keys an object can have, where the schema names them all.
pub(super) fn closed_keys(schema: &Schema) -> Option<BTreeSet<String>> {
    let schema = schema.source().to_value();
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) || schema.get("patternProperties").is_some() {
        return None;
    }
    Some(schema.get("properties")?.as_object()?.keys().cloned().collect())
}

/// Reads `defaults` and checks them against the input schema, except that they need not be complete.
fn defaults(fields: &mut Fields<'_>, input_schema: Option<&Schema>) -> Json {
    let Some(field) = fields.take(&["defaults", "defaultParameters"]) else { return Json::empty_object() };
    if !field.value.is_object() {
        field.wrong_kind("an object", field.value);
        return Json::empty_object();
    }
    fields.keep("defaults", field.value.clone());
    let defaults = Json::of(&sorted(field.value.clone()));
    let partial = input_schema.map(|schema| schema.source().to_value()).and_then(|mut schema| {
        schema.as_object_mut()?.remove("required");
        Schema::compile(&schema).ok()
    });
    match partial.map_or(Ok(()), |schema| schema.check(&defaults)) {
        Ok(()) => {}
        Err(SchemaRefusal::Breach(breaches)) => {
            for breach in breaches.iter() {
                let at = format!("{}{}", field.at, breach.path.trim_end_matches('/'));
                let message = format!("does not fit the input schema: {}", breach.message);
                field.findings().error(&at, ProblemCode::InvalidValue, message);
            }
        }
        Err(SchemaRefusal::Limit(limit)) => {
            let message = format!("is not checked against the input schema: {limit}");
            field.findings().error(&field.at, ProblemCode::InvalidValue, message);
        }
    }
    defaults
}

fn labels(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let Some(field) = fields.take(&["labels"]) else { return BTreeMap::new() };
    let Value::Object(entries) = field.value else {
        field.wrong_kind("an object", field.value);
        return BTreeMap::new();
    };
    field.at_most(LABELS_MAX, entries.len(), "labels", "keep others in `metadata`");
    let mut labels = BTreeMap::new();
    for (key, value) in entries {
        let at = format!("{}/{}", field.at, escaped(key));
        if let Some(text) = Field::new(at, value, field.findings()).text() {
            labels.insert(key.clone(), text.to_owned());
        }
    }
    fields.keep("labels", Value::from_iter(labels.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str())))));
    labels
}
