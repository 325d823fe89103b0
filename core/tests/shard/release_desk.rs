//! Quarantine at a desk: what workers are told, and how a release gets its history.

use std::time::Duration;

use headwater_core::credit::{Credit, Term};
use headwater_core::desk::{Caller, Desk, DeskSettings, Input, Moment, Output};
use headwater_core::protocol::{
    Held, PROTOCOL, ShardReply, ShardRequest, WorkAnswer, WorkFrame, WorkReply, WorkRequest,
};
use headwater_core::shard::{AggregateId, Append, Bundle, Owner, Refolding, Rejection, ReleaseBy, ShardMap};
use headwater_core::{CommandId, Epoch, LeaseSecret, Revision, Sequence, SessionId};
use serde_json::json;

use crate::checkpoints::journal;
use crate::world::{World, chain, empty, ok, shard_zero, worker};

type TestDesk = Desk<&'static str, ()>;

struct Office {
    desk: TestDesk,
    journal: Vec<Vec<u8>>,
    at: Moment,
}

impl Office {
    /// Takes something in, and appends until nothing is left to append; returns the answers and whatever else is said.
    fn take(&mut self, input: Input<&'static str, ()>) -> (Vec<Vec<u8>>, Vec<Output<&'static str, ()>>) {
        let mut out = Vec::new();
        self.desk.take(input, self.at, &mut out);
        self.settle(out)
    }

    fn settle(&mut self, mut out: Vec<Output<&'static str, ()>>) -> (Vec<Vec<u8>>, Vec<Output<&'static str, ()>>) {
        let (mut answers, mut rest) = (Vec::new(), Vec::new());
        loop {
            self.desk.turn(false, self.at, &mut out);
            if out.is_empty() {
                return (answers, rest);
            }
            for output in std::mem::take(&mut out) {
                match output {
                    Output::Append(Append { bytes, expected, .. }) => {
                        self.journal.push(bytes);
                        self.desk.take(Input::Appended(expected.next()), self.at, &mut out);
                    }
                    Output::Answer { bytes, .. } => answers.push(bytes),
                    other => rest.push(other),
                }
            }
        }
    }

    fn ask(&mut self, request: ShardRequest) -> (Option<ShardReply>, Vec<Output<&'static str, ()>>) {
        let (answers, rest) = self.take(Input::Commands { requests: vec![request], reply: "process" });
        let replies = answers.first().map(|bytes| serde_json::from_slice::<Vec<ShardReply>>(bytes).unwrap());
        (replies.map(|mut replies| replies.remove(0)), rest)
    }

    fn work(&mut self, request: WorkRequest) -> WorkReply {
        let term = Term { epoch: Epoch::FIRST, meeting: 1 };
        let frame = WorkFrame {
            protocol: PROTOCOL,
            worker: worker(),
            session: SessionId::from_bits(1),
            queues: vec!["work".parse().unwrap()],
            credit: Credit { term, word: 1, lent: 0 },
            requests: vec![request],
        };
        let workspace = "default".parse().unwrap();
        let (answers, _) = self.take(Input::Work { workspace, frame: frame.into(), reply: "worker" });
        serde_json::from_slice::<WorkAnswer>(&answers[0]).unwrap().replies.remove(0)
    }
}

#[test]
fn workers_keep_what_they_hold_and_what_they_report_is_decided_after_the_release() {
    let mut world = World::with(&chain(&["a"]));
    let run = world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    let aggregate = AggregateId::Run(run);
    let journal = journal(&world.commits, 1);
    let mut owner: Owner<Caller<()>> = Owner::new(empty());
    for (sequence, bytes) in (1..).map(Sequence::new).zip(&journal) {
        let bundle = Bundle::read(bytes).unwrap();
        let first = bundle.commits.iter().position(|c| c.aggregate == aggregate && c.revision == Revision::FIRST);
        first.into_iter().for_each(|at| owner.spare((sequence, at), "it panics".to_owned()));
        owner.fold(sequence, &bundle, bytes).unwrap();
    }
    let settings =
        DeskSettings { lease_ttl: Duration::from_secs(15), requests_waiting_max: 99, message_bytes_max: 1 << 20 };
    let at = Moment { wall: world.now, steady: Duration::ZERO };
    let mut out = Vec::new();
    let desk = Desk::open(owner, &settings, 1, LeaseSecret::new(2), at, &mut out);
    let mut office = Office { desk, journal, at };
    office.settle(out);

    let held = Held { run, node: task.node.clone(), attempt: task.attempt, lease: task.lease, progress: None };
    let alive = office.work(WorkRequest::Heartbeat { held: vec![held] });
    assert_eq!(alive, WorkReply::Alive { cancelled: Vec::new(), unclear: vec![task.lease] });
    let headwater_core::shard::Command::Run { command, .. } = world.report_of(&task, ok(json!(1))) else { panic!() };
    let headwater_core::run::RunCommand::ReportAttempt(report) = command else { panic!() };
    let id = |number| CommandId::from_uuid(uuid::Uuid::from_u128(number));
    for number in 1_000..1_257 {
        let reply = office.work(WorkRequest::Report { id: id(number), run, report: report.clone() });
        match number {
            ..1_256 => assert_eq!(reply, WorkReply::Accepted { next: Vec::new() }),
            1_256.. => assert!(matches!(reply, WorkReply::Refused { rejection: Rejection::Quarantined { .. } })),
        }
    }

    let list = ShardRequest::ListQuarantine { aggregate: None };
    let Some(ShardReply::Quarantine { total: 1, aggregates }) = office.ask(list).0 else { panic!() };
    assert_eq!((&aggregates[0].aggregate, aggregates[0].parked), (&aggregate, 256));
    let release =
        ShardRequest::Release { id: id(9_000), aggregate: aggregate.clone(), by: ReleaseBy::Refold {}, actor: None };
    // Asked twice, because the first answer did not come in time.
    let (None, said) = office.ask(release.clone()) else { panic!() };
    let [Output::Refold(order)] = &said[..] else { panic!("{said:?}") };
    assert!(office.ask(release.clone()).1.is_empty(), "one history is enough");
    let mut refolding = Refolding::new(order.clone(), shard_zero(), ShardMap::even(1).unwrap()).unwrap();
    for (sequence, bytes) in (1..).map(Sequence::new).zip(&office.journal) {
        refolding.fold(sequence, &Bundle::read(bytes).unwrap());
    }
    let (answers, _) = office.take(Input::Refolded { order: order.clone(), outcome: refolding.finish() });
    let said: Vec<String> = answers.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect();
    assert!(said[0].contains("notOwner") && said[1].contains("done"), "{said:?}");
    assert!(matches!(office.ask(release).0, Some(ShardReply::Done { .. })), "asked again, it has happened");
    assert!(office.desk.owner().shard().ended_run(run).is_some(), "one of the reports ended it");
    let nothing = ShardRequest::Release { id: id(9_001), aggregate, by: ReleaseBy::Refold {}, actor: None };
    let refused = Some(ShardReply::Refused { rejection: Rejection::NotQuarantined });
    assert_eq!(office.ask(nothing).0, refused);
}
