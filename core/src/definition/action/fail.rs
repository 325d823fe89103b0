//! `fail`: the node fails, with a code and a message of the author's.

use serde_json::json;

use super::{Input, Kind, Read, Said, missing};
use crate::definition::document::{Field, Fields};
use crate::definition::template::{Use, template};
use crate::definition::{Execution, ProblemCode};

/// How many characters a code may have.
const CODE_CHARS_MAX: usize = 100;

pub(super) static KIND: Kind =
    Kind { word: "fail", read, input: Input::Nothing("a `fail` has no input: its `message` can name everything") };

fn read(node: &mut Fields<'_>, said: Said<'_>, uses: &mut Vec<Use>) -> Option<Read> {
    match said {
        Said::Word(field) => {
            missing(&field, "code", "write `action: {kind: fail, code: over_budget, message: …}`");
            None
        }
        Said::Object(mut own) => {
            let (code, message) = (own.need(&["code"]), own.need(&["message"]));
            own.finish();
            let (code_field, message) = (code?, message?);
            let code = code_of(&code_field)?;
            message.text()?;
            let parsed = template(&message.at, message.value, message.findings(), uses);
            node.keep("action", json!({"kind": KIND.word, "code": code, "message": message.value}));
            Some(Execution::Fails { code: code.to_owned(), message: parsed? }.into())
        }
    }
}

/// Reads a code, which is a word that conditions and policies can name.
fn code_of<'d>(field: &Field<'d>) -> Option<&'d str> {
    let code = field.text()?;
    let is_word = code.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/'));
    if !is_word || code.is_empty() || code.len() > CODE_CHARS_MAX {
        let message = format!("is 1–{CODE_CHARS_MAX} of A-Z a-z 0-9 _ - . : /, and holds no expression");
        field.error(ProblemCode::InvalidValue, message);
        return None;
    }
    Some(code)
}
