//! `job`: a handler of a worker program does it.

use serde_json::json;

use super::{Action, Input, Kind, Read, Said};
use crate::JobSlug;
use crate::definition::document::{Field, Fields};
use crate::definition::template::Use;
use crate::definition::{Execution, ProblemCode};

pub(super) static KIND: Kind = Kind { word: "job", read, input: Input::Anything };

fn read(node: &mut Fields<'_>, said: Said<'_>, _uses: &mut Vec<Use>) -> Option<Read> {
    match said {
        Said::Word(_) => {
            let message = "`jobSlug` is missing: which handler does the work";
            node.findings().error(&node.below("jobSlug"), ProblemCode::MissingField, message);
            None
        }
        Said::Object(mut own) => {
            let job = own.need(&["jobSlug", "job", "slug"]);
            own.finish();
            Some(handler(node, &job?)?.into())
        }
    }
}

/// Reads the job of a node that says no more than which.
pub(super) fn named(node: &mut Fields<'_>, field: &Field<'_>) -> Option<Action> {
    Some(Action { kind: &KIND, execution: handler(node, field)? })
}

fn handler(node: &mut Fields<'_>, field: &Field<'_>) -> Option<Execution> {
    let job: JobSlug = field.name()?;
    node.keep("jobSlug", json!(job.as_str()));
    Some(Execution::Fleet { job })
}
