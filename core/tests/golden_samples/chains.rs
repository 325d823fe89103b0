//! What was ever written of runs that go on as others.

use headwater_core::run::{Continuation, ContinuedFrom, RunEvent, Trigger};
use headwater_core::{CommandId, DefinitionVersion, Json, Revision, Version};
use serde_json::json;

use crate::InputVersion;
use crate::runs::{name, run};

/// One event of each kind.
pub fn chains() -> Vec<(&'static str, RunEvent)> {
    let recorded = vec![InputVersion { asset: name("site.report"), partition: None, version: Version::new(9) }];
    let how = Continuation::Successor { first: run(), number: 3, recorded, signals: 2, signal_bytes: 12 };
    let continued =
        Some(Box::new(ContinuedFrom { run: run(), revision: Revision::new(17), how, reason: None, pieces: 0 }));
    let signal = CommandId::from_uuid(uuid::Uuid::from_u128(12));
    vec![
        (
            "run-started-as-a-successor",
            RunEvent::RunStarted {
                workspace: name("default"),
                workflow: name("site"),
                version: DefinitionVersion::new(2),
                input: Json::of(&json!({"page": 4})),
                trigger: Trigger::Manual {},
                keyed: false,
                targets: Vec::new(),
                continued,
            },
        ),
        (
            "successor-chosen",
            RunEvent::SuccessorChosen {
                node: name("next"),
                successor: run(),
                workflow: name("site"),
                version: DefinitionVersion::new(2),
                input: Json::of(&json!({"page": 4})),
            },
        ),
        ("successor-called", RunEvent::SuccessorCalled { successor: run() }),
        (
            "successor-withdrawn",
            RunEvent::SuccessorWithdrawn { successor: run(), reason: "enough".to_owned(), keeps: true },
        ),
        (
            "signal-inherited",
            RunEvent::SignalInherited {
                signal,
                name: name("approved"),
                key: Some(name("42")),
                payload: Json::of(&json!({"by": "ada"})),
            },
        ),
        ("run-succeeded-and-goes-on", RunEvent::RunSucceeded { output: Json::null(), successor: Some(run()) }),
    ]
}
