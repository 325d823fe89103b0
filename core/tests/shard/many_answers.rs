//! As many answers as a run ever receives.

use headwater_core::run::{ANSWERS_MAX, RunCommand, RunRejection};
use headwater_core::shard::{Command, Rejection};
use headwater_core::{CommandId, Json, RunId};
use serde_json::json;

use crate::people::person;
use crate::world::World;

fn answer(world: &mut World, run: RunId, at: &str, number: u128, by: &str) -> Result<bool, RunRejection> {
    let command = RunCommand::AnswerPerson {
        workspace: "default".parse().unwrap(),
        node: at.parse().unwrap(),
        attempt: None,
        answer: CommandId::from_uuid(uuid::Uuid::from_u128(number)),
        by: person(by),
        value: Json::of(&true),
    };
    let decided = world.decide(Command::Run { run, command });
    decided.map(|decided| decided.commit.is_some()).map_err(|rejection| match rejection {
        Rejection::Run(rejection) => rejection,
        other => panic!("{other:?}"),
    })
}

#[test]
fn ten_thousand_answers_are_received_each_once_and_not_one_more() {
    const EACH: usize = 100;
    let ask = json!({"id": "ask", "action": {"kind": "human_input", "title": "Well?", "form": {"type": "boolean"}, "quorum": EACH}});
    let each = json!({"id": "each", "forEach": {"items": "${{ lists.range(101) }}", "body": ask}});
    let mut world = World::with(&json!({"slug": "w", "steps": [each], "output": {}}));
    let run = world.start("w", json!({}));
    world.settle();
    let mut number = 0;
    for task in 1..=ANSWERS_MAX / EACH {
        for by in 0..EACH {
            number += 1;
            let (at, by) = (format!("ask@{task}"), format!("p{by}"));
            assert_eq!(answer(&mut world, run, &at, number, &by), Ok(true), "{at} by {by}");
            if by == "p7" {
                // Said again it changes nothing, and in the name of somebody it is not another answer.
                assert_eq!(answer(&mut world, run, &at, number, &by), Ok(false));
            }
        }
        world.settle();
    }
    assert_eq!(number, ANSWERS_MAX as u128);
    assert_eq!(answer(&mut world, run, "ask@101", number + 1, "p0"), Err(RunRejection::AnswersExhausted));
    let late = answer(&mut world, run, "ask@1", number + 2, "p0");
    assert!(matches!(late, Err(RunRejection::TaskNotFound | RunRejection::TaskClosed)), "{late:?}");
}
