//! What a node takes and gives: the parameters that its action names, and schemas of them and of the output.

use serde_json::Value;

use super::ActionRef;
use crate::definition::contract::schema;
use crate::definition::document::Fields;
use crate::definition::template::{Use, template};
use crate::definition::{ProblemCode, Schema};
use crate::expr::Template;

/// The fields of nodes that are read here.
pub(in crate::definition) const PARAMS_OF_NODES: [&str; 4] = ["params", "paramsSchema", "outputSchema", "ref"];

/// What a node says of its parameters and its output.
#[derive(Debug)]
pub struct Signature {
    /// What `params` is in its action and its input. Absent: it has none.
    pub params: Option<Template>,
    /// The parameters are held to it when the node begins.
    pub params_schema: Option<Schema>,
    /// The output is held to it; a breach fails the attempt.
    pub output_schema: Option<Schema>,
    /// Which version of which action it says that it comes from: a word of the author's, which decides nothing.
    pub origin: Option<ActionRef>,
}

/// Reads what a node says of its parameters and its output; `None` where it says nothing of them.
pub(in crate::definition) fn read(fields: &mut Fields<'_>, uses: &mut Vec<Use>) -> Option<Signature> {
    let params = fields.take(&["params"]);
    let params_schema = schema(fields, &["paramsSchema"]);
    let output_schema = schema(fields, &["outputSchema"]);
    let origin = fields.take(&["ref"]);
    let needs_params = [("paramsSchema", "the schema of `params`"), ("ref", "what `params` are for")];
    for (name, what) in needs_params.into_iter().filter(|(name, _)| params.is_none() && fields.has(name)) {
        let message = format!("is {what}, and there are none: write `action: {{ref: …}}` and an `input`, or `params`");
        fields.findings().error(&fields.below(name), ProblemCode::MissingField, message);
    }
    let origin = origin.and_then(|field| {
        let origin: ActionRef = field.name()?;
        if origin.version.is_none() {
            let message = "names a version, like `fetch@3`; the current one is taken by `action: {ref: fetch}`";
            field.error(ProblemCode::InvalidValue, message);
        }
        fields.keep("ref", Value::from(origin.to_string()));
        Some(origin)
    });
    let params = params.and_then(|field| {
        fields.keep("params", field.value.clone());
        template(&field.at, field.value, field.findings(), uses)
    });
    let says_nothing = params.is_none() && params_schema.is_none() && output_schema.is_none() && origin.is_none();
    (!says_nothing).then_some(Signature { params, params_schema, output_schema, origin })
}
