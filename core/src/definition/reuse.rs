//! `reuse`: whether a node takes a result that was made before.

use serde_json::{Value, json};

use super::document::{Field, Fields, sorted};
use super::template::{Use, template};
use super::{Action, Execution, ProblemCode, compile, policy};
use crate::Json;
use crate::expr::Template;

/// How a node finds a result that was made before.
#[derive(Debug)]
pub struct Reuse {
    pub key: ReuseKey,
    pub scope: ReuseScope,
    /// A result that was kept longer ago is none. Absent: any will do.
    pub max_age_ms: Option<u64>,
}

/// What makes two results the same.
#[derive(Debug)]
pub enum ReuseKey {
    /// Its value; `null` finds none, and keeps none.
    Key(Template),
    /// What the node does, by this digest of its definition; its input, and the versions it consumes.
    Unchanged { definition: String },
}

/// For whom a result is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReuseScope {
    /// The same node of the same workflow.
    Node,
    /// Whatever node of the workspace has the same key.
    Workspace,
}

/// What of a node says nothing of what its result is.
const NOT_OF_RESULT: [&str; 17] = [
    "id",
    "name",
    "description",
    "metadata",
    "dependsOn",
    "when",
    "join",
    "onNoRoute",
    "queue",
    "retry",
    "timeoutMs",
    "heartbeatTimeoutMs",
    "allowFailure",
    "storeResultAs",
    "reuse",
    "ref",
    "consumes",
];

const HOW: &str = "`reuse` is `ifUnchanged`, or `{key: …, maxAge: 1d, scope: node}`";

/// Reads `reuse`, last of all fields of a node.
pub(super) fn read(node: &mut Fields<'_>, action: &Action, uses: &mut Vec<Use>) -> Option<Reuse> {
    let field = node.take(&["reuse"])?;
    if let Some(why) = refused(action) {
        field.error(ProblemCode::InvalidValue, why);
        return None;
    }
    let definition = compile::hash(&Json::of(&sorted(Value::Object(node.kept_but(&NOT_OF_RESULT)))));
    let (reuse, source) = match field.value {
        Value::String(_) => {
            field.word(&[("ifUnchanged", ())])?;
            let key = ReuseKey::Unchanged { definition };
            (Reuse { key, scope: ReuseScope::Node, max_age_ms: None }, json!("ifUnchanged"))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let mut own = field.fields_like(|_| Some(HOW.to_owned()))?;
            let read = spelled(&mut own, definition, uses);
            let source = Value::Object(own.finish());
            (read?, source)
        }
    };
    let calls_whatever = action.call().is_some_and(|call| call.version.is_none());
    if matches!(reuse.key, ReuseKey::Unchanged { .. }) && calls_whatever {
        let message =
            "`ifUnchanged` cannot see when another version of the called workflow is current: name its `version`";
        field.error(ProblemCode::InvalidValue, message);
        return None;
    }
    node.keep("reuse", source);
    Some(reuse)
}

fn spelled(own: &mut Fields<'_>, definition: String, uses: &mut Vec<Use>) -> Option<Reuse> {
    let key = own.take(&["key"]);
    let unchanged = own.take(&["ifUnchanged"]).and_then(|field| {
        let is_so = field.flag()?;
        own.keep("ifUnchanged", json!(is_so));
        Some(is_so)
    });
    let max_age = policy::time(own, &["maxAgeMs", "maxAge"], policy::TIMEOUT_MIN);
    let scope = match own.take(&["scope"]) {
        None => Some(ReuseScope::Node),
        Some(field) => {
            let scope = field.word(&[("node", ReuseScope::Node), ("workspace", ReuseScope::Workspace)]);
            own.keep("scope", field.value.clone());
            scope
        }
    };
    let key = match (key, unchanged) {
        (Some(field), None | Some(false)) => Some(ReuseKey::Key(keyed(own, &field, uses)?)),
        (None, Some(true)) => Some(ReuseKey::Unchanged { definition }),
        (Some(field), Some(true)) => {
            field
                .error(ProblemCode::InvalidValue, "stands beside `ifUnchanged: true`, which is a key itself: keep one");
            None
        }
        (None, None | Some(false)) => {
            own.error(ProblemCode::MissingField, format!("`key` is missing: {HOW}"));
            None
        }
    };
    let max_age_ms = max_age.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    Some(Reuse { key: key?, scope: scope?, max_age_ms })
}

fn keyed(own: &mut Fields<'_>, field: &Field<'_>, uses: &mut Vec<Use>) -> Option<Template> {
    own.keep("key", field.value.clone());
    template(&field.at, field.value, field.findings(), uses)
}

/// Says why a node has nothing to reuse.
fn refused(action: &Action) -> Option<&'static str> {
    match &action.execution {
        Execution::Fleet { .. } | Execution::Engine(_) | Execution::Calls(_) => None,
        Execution::Inside { .. } | Execution::Fails { .. } => {
            Some("has no effect: the node is done inside the decision")
        }
        Execution::Callback(_) | Execution::Waits(_) | Execution::Listens(_) | Execution::Asks(_) => {
            Some("has no effect: a node that waits has no result")
        }
        Execution::Continues(_) => Some("has no effect: the run ends with the node, and has no result of it"),
        Execution::Each(_) | Execution::Group(_) | Execution::Undoes => Some("belongs to the nodes within"),
    }
}
