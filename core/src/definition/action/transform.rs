//! `transform`: a template is the output.

use serde_json::json;

use super::{Input, Kind, Read, Said, missing};
use crate::definition::Execution;
use crate::definition::document::Fields;
use crate::definition::template::{Use, template};

pub(super) static KIND: Kind = Kind {
    word: "transform",
    read,
    input: Input::Nothing("a transform has no input: its `output` can name everything"),
};

fn read(node: &mut Fields<'_>, said: Said<'_>, uses: &mut Vec<Use>) -> Option<Read> {
    match said {
        Said::Word(field) => {
            missing(&field, "output", "write `action: {kind: transform, output: …}`");
            None
        }
        Said::Object(mut own) => {
            let output = own.need(&["output", "value"])?;
            own.finish();
            let parsed = template(&output.at, output.value, output.findings(), uses);
            node.keep("action", json!({"kind": KIND.word, "output": output.value}));
            Some(Execution::Inside { output: Some(parsed?) }.into())
        }
    }
}
