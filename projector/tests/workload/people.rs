//! What happens where a run asks people.

use headwater_core::run::{PersonTask, RunEvent};
use headwater_core::{Actor, Attempt, CommandId, NodeAddress, Timestamp};

use super::Dice;
use super::actor::payload;

pub fn asked(dice: &mut Dice, now: Timestamp) -> PersonTask {
    PersonTask {
        title: format!("Is it {}?", dice.below(9)),
        description: dice.one_in(2).then(|| "a \"quoted\" question\nin two lines 💥".to_owned()),
        assignees: if dice.one_in(2) { vec!["ada".parse().unwrap(), "Bo Moe".parse().unwrap()] } else { Vec::new() },
        quorum: 1 + dice.below(3) as u32,
        due_at: dice.one_in(2).then(|| now.after(std::time::Duration::from_secs(9))),
    }
}

pub fn of_people(dice: &mut Dice, what: u64, node: NodeAddress, attempt: Attempt) -> RunEvent {
    let by = Actor::Claimed("ada".parse().unwrap());
    match what {
        0 => RunEvent::PersonReminded { node, attempt },
        1 => RunEvent::PersonReassigned {
            operation: CommandId::from_uuid(uuid::Uuid::from_u128(dice.wide())),
            node,
            attempt,
            assignees: vec![format!("p{}", dice.below(9)).parse().unwrap()],
            by: None,
            reason: "away".into(),
        },
        _ => {
            let answer = CommandId::from_uuid(uuid::Uuid::from_u128(dice.wide()));
            RunEvent::PersonAnswered { node, attempt, answer, by, value: payload(dice), invalid: None }
        }
    }
}
