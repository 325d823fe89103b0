//! What was ever written of runs that somebody took in hand.

use headwater_core::run::RunEvent;
use headwater_core::{Attempt, CommandId, DefinitionVersion, Timestamp};

use crate::runs::name;

fn operation() -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(11))
}

/// One event of each kind.
pub fn hands() -> Vec<(&'static str, RunEvent)> {
    vec![
        (
            "run-paused",
            RunEvent::RunPaused { operation: operation(), node: None, reason: Some("the supplier is away".to_owned()) },
        ),
        ("node-paused", RunEvent::RunPaused { operation: operation(), node: Some(name("report")), reason: None }),
        ("run-resumed", RunEvent::RunResumed { operation: operation(), node: None, reason: None }),
        (
            "node-resumed",
            RunEvent::RunResumed {
                operation: operation(),
                node: Some(name("report")),
                reason: Some("it is back".to_owned()),
            },
        ),
        (
            "run-migrated",
            RunEvent::RunMigrated {
                operation: operation(),
                version: DefinitionVersion::new(2),
                map: [("a".parse().unwrap(), Some("b".parse().unwrap())), ("c".parse().unwrap(), None)].into(),
                taken: vec![0, 3],
                reason: Some("better".to_owned()),
            },
        ),
        (
            "run-stopping",
            RunEvent::RunStopping {
                until: Timestamp::from_micros(1_750_000_030_000_000),
                reason: "enough".to_owned(),
                keeps: true,
            },
        ),
        ("run-terminated", RunEvent::RunTerminated { reason: Some("now".to_owned()) }),
        ("node-overruled", RunEvent::NodeOverruled { node: name("build"), reason: Some("done by phone".to_owned()) }),
        (
            "timer-changed",
            RunEvent::TimerChanged {
                operation: operation(),
                node: name("build"),
                attempt: Attempt::new(2),
                due_at: Timestamp::from_micros(1_750_000_000_000_000),
                reason: None,
            },
        ),
    ]
}
