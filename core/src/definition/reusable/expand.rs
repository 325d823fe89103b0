//! What a node is with its action filled in, and whether it is what its `ref` says.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::named::{Form, Named, named};
use super::{ActionRef, PARAMS_OF_NODES};
use crate::definition::document::Findings;
use crate::definition::{Problem, ProblemCode, compile};
use crate::{DefinitionVersion, Json};

/// A version of an action, to be filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    pub version: DefinitionVersion,
    /// Its canonical document.
    pub source: Json,
}

/// A document whose actions are written out.
#[derive(Debug)]
pub struct Expanded {
    pub document: Value,
    /// What is wrong with its references; empty where all is well.
    pub problems: Vec<Problem>,
    /// By path in `document`, longest last: what its author finds under which other path.
    moved: Vec<(String, String)>,
}

/// What becomes of an action that is not among those known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// There is none: that is an error.
    Refused,
    /// There may be one elsewhere: its nodes are taken to do nothing, and a warning says so.
    Unchecked,
}

/// What a node has under which names, and an action has defaults for; the first is what canonical documents say.
const DEFAULTS: [&[&str]; 5] = [
    &["queue"],
    &["retry", "retryPolicy"],
    &["timeoutMs", "timeout"],
    &["heartbeatTimeoutMs", "heartbeatTimeout"],
    &["allowFailure"],
];
/// What of an action a node has of it alone, and what that is called there.
const OWN: [(&str, &str); 5] = [
    ("jobSlug", "jobSlug"),
    ("action", "action"),
    ("input", "input"),
    ("inputSchema", "paramsSchema"),
    ("outputSchema", "outputSchema"),
];
const INPUTS: [&str; 3] = ["input", "parameters", "with"];

/// Fills in the actions that nodes name, and checks those that are written out already. `known` holds what
/// [`super::references`] names, as far as it is there.
pub fn expand(document: &Value, known: &BTreeMap<ActionRef, Filled>, beyond: Beyond) -> Expanded {
    let found = Findings::default();
    let (mut written, mut moved) = (document.clone(), Vec::new());
    let mut bytes = Json::of(document).len_bytes();
    for named in named(document) {
        let Some(reference) = named.text.as_str().and_then(|text| read(&named, text, &found)) else {
            if !named.text.is_string() {
                let message = "is a text like `fetch@3`, or `fetch` for the current version";
                found.error(&named.place(), ProblemCode::InvalidValue, message);
            }
            continue;
        };
        let unchecked =
            Filled { version: DefinitionVersion::FIRST, source: Json::of(&json!({"action": {"kind": "noop"}})) };
        let filled = match (known.get(&reference), beyond) {
            (Some(filled), _) => filled,
            (None, Beyond::Refused) => {
                let message = format!("there is no action `{reference}`");
                found.error(&named.place(), ProblemCode::DanglingReference, message);
                continue;
            }
            (None, Beyond::Unchecked) => {
                let message = format!("is not checked: whether there is an action `{reference}`, the engine knows");
                found.warning(&named.place(), ProblemCode::DanglingReference, message);
                if named.form == Form::Written {
                    continue;
                }
                &unchecked
            }
        };
        match named.form {
            Form::Written => check_written(&named, filled, &found),
            Form::Open => {
                bytes = bytes.saturating_add(filled.source.len_bytes());
                if bytes > compile::DOCUMENT_BYTES_MAX {
                    let max = compile::DOCUMENT_BYTES_MAX;
                    let message = format!("with its actions filled in, the definition has more than {max} bytes");
                    found.error(&named.place(), ProblemCode::TooLarge, message);
                    break;
                }
                if let Some(node) = fill(&named, &reference, filled, &found, &mut moved)
                    && let Some(place) = written.pointer_mut(&named.at)
                {
                    *place = Value::Object(node);
                }
            }
        }
    }
    Expanded { document: written, problems: found.into_document_order(document), moved }
}

impl Expanded {
    /// Puts what was found about the document where its author finds it.
    pub fn place(&self, problems: &mut [Problem]) {
        for problem in problems {
            let is_below = |path: &str| {
                problem.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let Some((from, to)) = self.moved.iter().find(|(from, _)| is_below(from)) else { continue };
            let rest = if to.ends_with("/ref") { "" } else { &problem.path[from.len()..] };
            problem.path = format!("{to}{rest}");
        }
    }
}

fn read(named: &Named<'_>, text: &str, found: &Findings) -> Option<ActionRef> {
    text.parse()
        .map_err(|invalid: crate::InvalidName| {
            found.error(&named.place(), ProblemCode::InvalidName, invalid.to_string())
        })
        .ok()
}

/// Holds a node to what it says of itself.
fn check_written(named: &Named<'_>, filled: &Filled, found: &Findings) {
    let source = filled.source.to_value();
    let differs = OWN.iter().find(|(of_action, of_node)| named.node.get(of_node) != source.get(of_action));
    if let Some((_, name)) = differs {
        let text = named.text.as_str().unwrap_or_default();
        let message = format!(
            "this is not `{text}`: its `{name}` is another. Leave `ref` out, or write `action: {{ref: {text}}}`"
        );
        found.error(&named.place(), ProblemCode::InvalidValue, message);
    }
}

fn fill(
    named: &Named<'_>,
    reference: &ActionRef,
    filled: &Filled,
    found: &Findings,
    moved: &mut Vec<(String, String)>,
) -> Option<Map<String, Value>> {
    let (Value::Object(mut node), Value::Object(source)) = (named.node.clone(), filled.source.to_value()) else {
        return None;
    };
    let (at, is_there) =
        (&named.at, |node: &Map<String, Value>, name: &str| node.get(name).is_some_and(|v| !v.is_null()));
    let taken = PARAMS_OF_NODES.into_iter().chain(["jobSlug", "type"]);
    for name in taken.filter(|name| is_there(&node, name)) {
        let message = format!("stands beside `action: {{ref: {reference}}}`, which says that itself");
        found.error(&format!("{at}/{name}"), ProblemCode::InvalidValue, message);
    }
    let more = node.get("action").and_then(Value::as_object).into_iter().flatten();
    for (name, _) in more.filter(|(name, _)| *name != "ref") {
        let message = format!("there is no field `{name}` beside `ref`: parameters are the node's `input`");
        found.error(&format!("{at}/action/{name}"), ProblemCode::UnknownField, message);
    }
    node.remove("action");
    let given: Vec<&str> = INPUTS.into_iter().filter(|name| is_there(&node, name)).collect();
    if let [_, second, ..] = given[..] {
        found.error(&format!("{at}/{second}"), ProblemCode::Duplicate, "the parameters are there already: keep one");
    }
    let params = INPUTS.into_iter().filter_map(|name| node.remove(name)).find(|value| !value.is_null());
    let label = format!("{at}/action/ref");
    moved.push((format!("{at}/params"), given.first().map_or_else(|| label.clone(), |name| format!("{at}/{name}"))));
    for (of_action, of_node) in OWN {
        moved.push((format!("{at}/{of_node}"), label.clone()));
        if let Some(value) = source.get(of_action) {
            node.insert(of_node.to_owned(), value.clone());
        }
    }
    for names in DEFAULTS {
        let of_action = source.get(names[0]).filter(|_| names.iter().all(|name| !is_there(&node, name)));
        if let Some(value) = of_action {
            moved.push((format!("{at}/{}", names[0]), label.clone()));
            names.iter().for_each(|name| drop(node.remove(*name)));
            node.insert(names[0].to_owned(), value.clone());
        }
    }
    node.insert("params".to_owned(), params.unwrap_or_else(|| json!({})));
    let version = ActionRef { slug: reference.slug.clone(), version: Some(filled.version) };
    node.insert("ref".to_owned(), json!(version.to_string()));
    Some(node)
}
