//! `continue_as`: the run ends, and goes on as another run with what it carries over.

use serde_json::{Map, Value, json};

use super::{Input, Kind, Read, Said};
use crate::Slug;
use crate::definition::document::Fields;
use crate::definition::template::Use;
use crate::definition::{Execution, ProblemCode};

pub(super) static KIND: Kind = Kind { word: "continue_as", read, input: Input::Object };

/// As what a run goes on.
#[derive(Debug)]
pub struct ContinueAs {
    /// Absent: the run's own.
    pub workflow: Option<Slug>,
    pub version: SuccessorVersion,
}

/// Of which version its successor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuccessorVersion {
    /// Of the run's own.
    Same,
    /// Of the one that is current when the node begins.
    Current,
}

fn read(node: &mut Fields<'_>, said: Said<'_>, _: &mut Vec<Use>) -> Option<Read> {
    let mut own = match said {
        Said::Word(_) => {
            node.keep("action", json!({ "kind": KIND.word }));
            return Some(of(None, SuccessorVersion::Same).into());
        }
        Said::Object(own) => own,
    };
    let workflow = own.take(&["workflow"]).map(|field| field.name::<Slug>());
    let version = own.take(&["version"]);
    let input = own.take(&["input"]);
    own.finish();
    let words = [("same", SuccessorVersion::Same), ("current", SuccessorVersion::Current)];
    let said = version.as_ref().map(|field| field.word(&words));
    let workflow = workflow.map_or(Some(None), |read| read.map(Some))?;
    if let (Some(field), Some(Some(SuccessorVersion::Same)), Some(_)) = (&version, said, &workflow) {
        let message = "has no meaning beside `workflow`: of another workflow the successor is of the current version";
        field.error(ProblemCode::InvalidValue, message);
        return None;
    }
    let by_default = if workflow.is_some() { SuccessorVersion::Current } else { SuccessorVersion::Same };
    let version = said.unwrap_or(Some(by_default))?;
    let mut source = Map::from_iter([("kind".to_owned(), json!(KIND.word))]);
    source.extend(workflow.as_ref().map(|workflow| ("workflow".to_owned(), json!(workflow.as_str()))));
    source.extend((version != by_default).then(|| ("version".to_owned(), json!("current"))));
    node.keep("action", Value::Object(source));
    let input = input.map(|field| (field.at.clone(), field.value.clone()));
    Some(Read { input, ..of(workflow, version).into() })
}

fn of(workflow: Option<Slug>, version: SuccessorVersion) -> Execution {
    Execution::Continues(Box::new(ContinueAs { workflow, version }))
}
