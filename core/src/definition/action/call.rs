//! `workflow_call`: a run of another workflow, or of the same.

use serde_json::{Map, Value, json};

use super::{Input, Kind, Read, Said, missing};
use crate::DefinitionVersion;
use crate::Slug;
use crate::definition::document::Fields;
use crate::definition::template::Use;
use crate::definition::{Execution, ProblemCode};

pub(super) static KIND: Kind = Kind { word: "workflow_call", read, input: Input::Object };

/// Which workflow is called, and what its end means to the node.
#[derive(Debug)]
pub struct Call {
    pub workflow: Slug,
    /// Absent: the one that is current when the attempt begins.
    pub version: Option<DefinitionVersion>,
    pub on_failure: OnChildFailure,
    pub until: CallEnd,
}

/// Until when the node waits for the run that it called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// Until it has begun.
    Begun,
    /// Until the assets are recorded that the node produces, or it has ended.
    Recorded,
    Ended,
}

/// What becomes of the node when the called run fails or is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChildFailure {
    /// It fails too, with the same code and message.
    Propagate,
    /// It succeeds, with an output that says how the run ended.
    Catch,
}

fn read(node: &mut Fields<'_>, said: Said<'_>, _: &mut Vec<Use>) -> Option<Read> {
    let mut own = match said {
        Said::Word(field) => {
            missing(&field, "workflow", "write `action: {kind: workflow_call, workflow: other}`");
            return None;
        }
        Said::Object(own) => own,
    };
    let workflow = own.need(&["workflow"]).and_then(|field| field.name::<Slug>());
    let version = own.take(&["version"]).map(|field| field.number(1, u64::from(u32::MAX)));
    let input = own.take(&["input"]);
    let fails = [("propagate", OnChildFailure::Propagate), ("catch", OnChildFailure::Catch)];
    let on_failure = own.take(&["onFailure"]);
    let wait = own.take(&["wait"]);
    let words = [("end", CallEnd::Ended), ("assets", CallEnd::Recorded), ("none", CallEnd::Begun)];
    let until = wait.as_ref().map(|field| field.word(&words));
    own.finish();
    let said_on_failure = on_failure.as_ref().map(|field| field.word(&fails));
    if let (Some(field), Some(Some(CallEnd::Begun))) = (&on_failure, until) {
        let message = "has no effect beside `wait: none`: the node has gone on when the run ends";
        field.error(ProblemCode::InvalidValue, message);
        return None;
    }
    let call = Call {
        workflow: workflow?,
        version: version
            .map_or(Some(None), |number| number.map(Some))?
            .map(|number| DefinitionVersion::new(number as u32)),
        on_failure: said_on_failure.unwrap_or(Some(OnChildFailure::Propagate))?,
        until: until.unwrap_or(Some(CallEnd::Ended))?,
    };
    let mut source =
        Map::from_iter([("kind".to_owned(), json!(KIND.word)), ("workflow".to_owned(), json!(call.workflow.as_str()))]);
    source.extend(call.version.map(|version| ("version".to_owned(), json!(version.get()))));
    source.extend((call.on_failure == OnChildFailure::Catch).then(|| ("onFailure".to_owned(), json!("catch"))));
    let wait = wait.filter(|_| call.until != CallEnd::Ended);
    source.extend(wait.map(|field| ("wait".to_owned(), field.value.clone())));
    node.keep("action", Value::Object(source));
    let input = input.map(|field| (field.at.clone(), field.value.clone()));
    Some(Read { input, ..Execution::Calls(Box::new(call)).into() })
}
