//! One of each event of people and updates, as it is written.

use headwater_core::run::{PersonTask, Reply, RunEvent};
use headwater_core::{Actor, Attempt, CommandId, Json, NodeAddress};
use serde_json::json;

use crate::runs::{at, failure, name};

pub fn people() -> Vec<(&'static str, RunEvent)> {
    let (node, attempt): (NodeAddress, _) = (name("gate"), Attempt::FIRST);
    let task = PersonTask {
        title: "Publish the report?".into(),
        description: Some("It names **3** people.".into()),
        assignees: vec![name("ada"), name("Bo Moe")],
        quorum: 2,
        due_at: Some(at(90)),
    };
    let by = Actor::Claimed(name("ada"));
    let answer = CommandId::from_uuid(uuid::Uuid::from_u128(9));
    let answered = |invalid| RunEvent::PersonAnswered {
        node: node.clone(),
        attempt,
        answer,
        by: by.clone(),
        value: Json::of(&json!({"publish": true})),
        invalid,
    };
    let reply = |value, failure| RunEvent::SignalAnswered {
        node: name("gate"),
        attempt,
        signal: CommandId::from_uuid(uuid::Uuid::from_u128(9)),
        reply: Box::new(Reply { value, failure }),
    };
    vec![
        (
            "update-received",
            RunEvent::SignalReceived {
                signal: CommandId::from_uuid(uuid::Uuid::from_u128(9)),
                name: name("approved"),
                key: None,
                payload: Json::null(),
                broadcast: false,
                update: true,
            },
        ),
        ("signal-answered", reply(Json::of(&json!({"sum": 42})), None)),
        ("signal-answered-badly", reply(Json::null(), Some(failure()))),
        ("person-asked", RunEvent::PersonAsked { node: node.clone(), attempt, task: Box::new(task) }),
        ("person-answered", answered(None)),
        ("person-answered-invalid", answered(Some("\"publish\" is a required property (at /)".into()))),
        (
            "person-reassigned",
            RunEvent::PersonReassigned {
                operation: headwater_core::CommandId::from_uuid(uuid::Uuid::from_u128(11)),
                node: node.clone(),
                attempt,
                assignees: vec![name("cy")],
                by: Some(by.clone()),
                reason: "ada is away".into(),
            },
        ),
        ("person-reminded", RunEvent::PersonReminded { node: node.clone(), attempt }),
    ]
}
