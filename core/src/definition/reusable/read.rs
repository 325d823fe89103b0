//! What a document of an action means: `kind: action`.

use serde_json::{Map, Value, json};

use crate::definition::contract::{check_patterns, schema};
use crate::definition::document::{Field, Fields, Findings, sorted};
use crate::definition::template::Use;
use crate::definition::{Problem, ProblemCode, Problems, RetryPolicy, action, compile, node, policy, typed};
use crate::expr::PARAMS;
use crate::{Json, QueueName, Slug};

/// The largest document of an action, in bytes of JSON without white space: each node that uses it has a copy.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// What expressions of an action can name beside its parameters.
const NAMED: [&str; 2] = [PARAMS, "run"];
/// What those of its retry rules can.
const NAMED_IN_RULES: [&str; 2] = ["error", "run"];
/// The kinds whose input is free, which is their parameters where the document does not say.
const TAKES_PARAMS: [&str; 3] = ["job", "workflow_call", "noop"];

/// One version of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionDef {
    pub slug: Slug,
    pub name: Option<String>,
    pub description: Option<String>,
    /// The document in canonical form. Its hash is the content hash.
    pub source: Json,
    /// SHA-256 of `source`, 64 hex digits. The same content is the same version.
    pub content_hash: String,
}

/// Returns whether a document is meant to be one of an action.
pub fn is_action(document: &Value) -> bool {
    document.get("kind").and_then(Value::as_str) == Some("action")
}

/// Compiles a document of an action (already strict JSON); warnings come beside it. Compiling the `source` of the result gives the
/// same again.
///
/// # Errors
/// All problems at once, in document order; at least one is an error.
pub fn compile_action(document: &Value) -> Result<(ActionDef, Vec<Problem>), Problems> {
    let found = Findings::default();
    let read = if compile::fits_in(document, DOCUMENT_BYTES_MAX, &found) { read(document, &found) } else { None };
    let definition = read.filter(|_| !found.has_errors());
    let problems = found.into_document_order(document);
    definition.map(|definition| (definition, problems.clone())).ok_or(Problems(problems))
}

fn read(document: &Value, found: &Findings) -> Option<ActionDef> {
    let mut fields = Field::new("", document, found).fields()?;
    let kind = fields.need(&["kind"])?;
    kind.word(&[("action", ())])?;
    fields.keep("kind", json!("action"));
    let slug: Option<Slug> = fields.need(&["slug"]).and_then(|field| field.name());
    if let Some(slug) = &slug {
        fields.keep("slug", json!(slug.as_str()));
    }
    let name = fields.label("name");
    let description = fields.label("description");
    if let Some(field) = fields.take(&["version"]) {
        field.warning(ProblemCode::InvalidValue, "the engine counts versions itself: `version` is ignored");
    }
    node::object(&mut fields, "metadata");
    let takes = schema(&mut fields, &["inputSchema", "parametersSchema"]);
    schema(&mut fields, &["outputSchema"]);
    for schema in ["inputSchema", "parametersSchema", "outputSchema"] {
        if let Some(value) = document.get(schema) {
            check_patterns(&Field::new(format!("/{schema}"), value, found));
        }
    }
    refuse_references(document, found);
    what_it_does(&mut fields, found);
    let takes = takes.map(|schema| schema.source().to_value());
    typed::check_action(document, takes.as_ref(), found);
    let mut source = fields.finish();
    let kind = source.get("action").and_then(|action| action.get("kind")).and_then(Value::as_str).unwrap_or("job");
    if TAKES_PARAMS.contains(&kind) && !source.contains_key("input") {
        source.insert("input".to_owned(), json!(format!("${{{{ {PARAMS} }}}}")));
    }
    let source = Json::of(&sorted(Value::Object(source)));
    Some(ActionDef { slug: slug?, name, description, content_hash: compile::hash(&source), source })
}

/// Reads the action, and what nodes that use it are held to where they say nothing themselves.
fn what_it_does(fields: &mut Fields<'_>, found: &Findings) {
    let (mut uses, mut of_rules) = (Vec::new(), Vec::new());
    let read = found.binding(&[PARAMS], || action::read(fields, &mut uses));
    if let Some(field) = fields.take(&["queue"])
        && field.name::<QueueName>().is_some()
    {
        fields.keep("queue", field.value.clone());
    }
    let action = read.as_ref().map(|(action, _)| action);
    let _: Option<RetryPolicy> = policy::retry(fields, &mut of_rules);
    policy::tolerance(fields);
    policy::timeouts(fields, action);
    for (uses, named) in [(&uses, NAMED), (&of_rules, NAMED_IN_RULES)] {
        uses.iter().for_each(|used| check_roots(used, &named, found));
    }
}

/// An action that is used by many workflows knows nothing of any of them.
fn check_roots(used: &Use, named: &[&str], found: &Findings) {
    for root in used.roots.iter().filter(|root| !named.contains(&root.as_str())) {
        let message = format!(
            "an action knows nothing of the workflow that uses it, so there is no `{root}`: let it be a parameter, and name \
             `{PARAMS}`"
        );
        found.error(&used.at, ProblemCode::DanglingReference, message);
    }
}

fn refuse_references(document: &Value, found: &Findings) {
    let of = |value: &Value| value.as_object().map(Map::len);
    if let Some(name) =
        document.get("action").filter(|action| of(action).is_some()).and_then(|action| action.get("ref"))
    {
        let message = format!("an action is not made of another one ({name}): write out what it does");
        found.error("/action/ref", ProblemCode::InvalidValue, message);
    }
}
