//! Quarantine at a desk: what workers are told, and how a release gets its history.

use std::time::Duration;

use headwater_core::credit::{Credit, Term};
use headwater_core::desk::{Caller, Desk, DeskSettings, Input, Moment, Output};
use headwater_core::protocol::{
    Held, PROTOCOL, ShardReply, ShardRequest, Task, WorkAnswer, WorkFrame, WorkReply, WorkRequest,
};
use headwater_core::run::{RunLimits, task_of};
use headwater_core::shard::{
    AggregateId, Append, Bundle, Owner, RefoldOrder, Refolding, Rejection, ReleaseBy, ShardMap,
};
use headwater_core::{CommandId, Epoch, LeaseSecret, Revision, RunId, Sequence, SessionId, Timestamp};
use serde_json::json;

use crate::checkpoints::journal;
use crate::world::{World, chain, empty, hands, ok, shard_zero, worker};

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

    /// Reads what is to be read, and says what came of it.
    fn refold(&mut self, order: &RefoldOrder) -> (Vec<Vec<u8>>, Vec<Output<&'static str, ()>>) {
        let mut refolding = Refolding::new(order.clone(), shard_zero(), ShardMap::even(1).unwrap()).unwrap();
        for (sequence, bytes) in (1..).map(Sequence::new).zip(&self.journal) {
            refolding.fold(sequence, &Bundle::read(bytes).unwrap());
        }
        self.take(Input::Refolded { order: order.clone(), outcome: refolding.finish() })
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

fn id(number: u128) -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(number))
}

fn release(number: u128, aggregate: &AggregateId) -> ShardRequest {
    ShardRequest::Release { id: id(number), aggregate: aggregate.clone(), by: ReleaseBy::Refold {}, actor: None }
}

/// A desk whose only run is quarantined, and the task of it that a worker holds.
fn quarantined() -> (Office, World, Task) {
    let mut world = World::with(&chain(&["a"]));
    let (run, _) = world.start_with("chain", json!({}), &mut hands(1));
    let task = task_of(world.shard.run(run).unwrap(), &"a".parse().unwrap()).unwrap();
    let aggregate = AggregateId::Run(run);
    let journal = journal(&world.commits, 1);
    let mut owner: Owner<Caller<()>> = Owner::new(empty());
    for (sequence, bytes) in (1..).map(Sequence::new).zip(&journal) {
        let bundle = Bundle::read(bytes).unwrap();
        let first = bundle.commits.iter().position(|c| c.aggregate == aggregate && c.revision == Revision::FIRST);
        first.into_iter().for_each(|at| owner.spare((sequence, at), "it panics".to_owned()));
        owner.fold(sequence, &bundle, bytes).unwrap();
    }
    let settings = DeskSettings {
        lease_ttl: Duration::from_secs(15),
        requests_waiting_max: 99,
        message_bytes_max: 1 << 20,
        run_limits: RunLimits::DEFAULT,
    };
    let at = Moment { wall: world.now, steady: Duration::ZERO };
    let mut out = Vec::new();
    let desk = Desk::open(owner, &settings, 1, LeaseSecret::new(2), at, &mut out);
    let mut office = Office { desk, journal, at };
    office.settle(out);
    (office, world, task)
}

#[test]
fn workers_keep_what_they_hold_and_what_they_report_is_decided_after_the_release() {
    let (mut office, world, task) = quarantined();
    let (run, aggregate) = (task.run, AggregateId::Run(task.run));
    let held = Held { run, node: task.node.clone(), attempt: task.attempt, lease: task.lease, progress: None };
    let alive = office.work(WorkRequest::Heartbeat { held: vec![held] });
    assert_eq!(alive, WorkReply::Alive { cancelled: Vec::new(), unclear: vec![task.lease], stopping: Vec::new() });
    let headwater_core::shard::Command::Run { command, .. } = world.report_of(&task, ok(json!(1))) else { panic!() };
    let headwater_core::run::RunCommand::ReportAttempt(report) = command else { panic!() };
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
    let asked = release(9_000, &aggregate);
    // Asked twice, because the first answer did not come in time.
    let (None, said) = office.ask(asked.clone()) else { panic!() };
    let [Output::Refold(order)] = &said[..] else { panic!("{said:?}") };
    assert!(office.ask(asked.clone()).1.is_empty(), "one history is enough");
    let (answers, _) = office.refold(order);
    let said: Vec<String> = answers.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect();
    assert!(said[0].contains("notOwner") && said[1].contains("done"), "{said:?}");
    assert!(matches!(office.ask(asked).0, Some(ShardReply::Done { .. })), "asked again, it has happened");
    assert!(office.desk.owner().shard().ended_run(run).is_some(), "one of the reports ended it");
    let refused = Some(ShardReply::Refused { rejection: Rejection::NotQuarantined });
    assert_eq!(office.ask(release(9_001, &aggregate)).0, refused);
}

#[test]
fn what_is_quarantined_is_listed_by_itself_too() {
    let (mut office, _, task) = quarantined();
    let mut listed = |aggregate| {
        let list = ShardRequest::ListQuarantine { aggregate: Some(aggregate) };
        let Some(ShardReply::Quarantine { total, aggregates }) = office.ask(list).0 else { panic!() };
        (total, aggregates.len())
    };
    assert_eq!(listed(AggregateId::Run(task.run)), (1, 1));
    let other = RunId::new(shard_zero(), Timestamp::from_micros(1), 1);
    assert_eq!(listed(AggregateId::Run(other)), (0, 0));
}

#[test]
fn whoever_holds_an_attempt_of_what_is_released_has_a_lease_to_show_itself() {
    let (mut office, _, task) = quarantined();
    office.at.steady += Duration::from_secs(60);
    let sweep = |office: &mut Office| office.take(Input::Sweep).1;
    sweep(&mut office);
    let (_, said) = office.ask(release(9_000, &AggregateId::Run(task.run)));
    let [Output::Refold(order)] = &said[..] else { panic!("{said:?}") };
    office.refold(order);
    let mut fell_silent = |more| {
        office.at.steady += more;
        let said = sweep(&mut office);
        said.iter().filter(|output| matches!(output, Output::FellSilent { .. })).count()
    };
    let (ttl, moment) = (Duration::from_secs(15), Duration::from_millis(1));
    assert_eq!([ttl, moment, ttl].map(&mut fell_silent), [0, 1, 0]);
}

#[test]
fn who_asked_for_a_release_is_turned_away_by_who_steps_down() {
    let (mut office, _, task) = quarantined();
    office.at.steady += Duration::from_secs(60);
    office.take(Input::Sweep);
    assert!(office.desk.is_at_rest());
    office.ask(release(9_000, &AggregateId::Run(task.run)));
    assert!(!office.desk.is_at_rest(), "its history is being read");
    let mut out = Vec::new();
    office.desk.step_down(&mut out);
    let [Output::Answer { reply: "process", bytes }] = &out[..] else { panic!("{out:?}") };
    assert!(String::from_utf8_lossy(bytes).contains("notOwner"));
}
