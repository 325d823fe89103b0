//! What a desk keeps for those who ask it: so much, and not one more.

use std::time::Duration;

use headwater_core::credit::{Credit, NAMES_MAX, SESSIONS_MAX, Term};
use headwater_core::desk::{Desk, DeskSettings, Input, Moment, Output};
use headwater_core::protocol::{Hello, PROTOCOL, QUEUES_MAX, ReadFrame, ShardReply, ShardRequest, WorkAnswer};
use headwater_core::run::{RunCommand, StartRun, Trigger};
use headwater_core::shard::{Command, Owner, Rejection, Shard, ShardMap, Submission};
use headwater_core::{
    CommandId, DefinitionVersion, Epoch, Json, LeaseSecret, QueueName, RunId, Sequence, SessionId, ShardId, Timestamp,
};
use serde_json::json;

/// As `docs/bounds.md` says.
const WATCHERS_MAX: u64 = 32_768;

struct Room {
    desk: Desk<u64, ()>,
    out: Vec<Output<u64, ()>>,
    sequence: Sequence,
    at: Moment,
}

impl Room {
    fn new() -> Self {
        let shard = Shard::new(ShardId::new(0).unwrap(), ShardMap::even(1).unwrap());
        let settings = DeskSettings {
            lease_ttl: Duration::from_secs(15),
            requests_waiting_max: 16_384,
            message_bytes_max: 8 << 20,
        };
        let at = Moment { wall: Timestamp::from_micros(1_750_000_000_000_000), steady: Duration::ZERO };
        let mut out = Vec::new();
        let desk = Desk::open(Owner::new(shard), settings, 7, LeaseSecret::new(7), at, &mut out);
        let mut room = Self { desk, out, sequence: Sequence::ZERO, at };
        room.settle();
        room
    }

    /// Has every bundle appended; returns the answers.
    fn settle(&mut self) -> Vec<(u64, Vec<u8>)> {
        let mut answers = Vec::new();
        loop {
            self.desk.turn(false, self.at, &mut self.out);
            if self.out.is_empty() {
                return answers;
            }
            for output in std::mem::take(&mut self.out) {
                match output {
                    Output::Append(_) => {
                        self.sequence = Sequence::new(self.sequence.get() + 1);
                        self.desk.take(Input::Appended(self.sequence), self.at, &mut self.out);
                    }
                    Output::Answer { reply, bytes } => answers.push((reply, bytes)),
                    Output::Find(needed) => {
                        let document = json!({"slug": "w", "nodes": [{"id": "a", "jobSlug": "a"}]});
                        let (definition, _) = headwater_core::definition::compile(&document).unwrap();
                        let found = Input::Found { needed, document: Some(definition.source) };
                        self.desk.take(found, self.at, &mut self.out);
                    }
                    Output::Hand { .. }
                    | Output::Call { .. }
                    | Output::Deliver { .. }
                    | Output::Done(())
                    | Output::FellSilent { .. }
                    | Output::Refold(_)
                    | Output::Unadoptable(_) => {}
                }
            }
        }
    }

    fn command(&mut self, reply: u64, request: ShardRequest) {
        self.desk.take(Input::Commands { requests: vec![request], reply }, self.at, &mut self.out);
    }

    /// Starts a run that waits for a worker.
    fn start(&mut self) -> RunId {
        let run = RunId::new(ShardId::new(0).unwrap(), self.at.wall, 1 << 20);
        let start = StartRun {
            workspace: "acme".parse().unwrap(),
            workflow: "w".parse().unwrap(),
            version: DefinitionVersion::FIRST,
            input: Json::empty_object(),
            trigger: Trigger::Manual {},
            keyed: false,
        };
        let command = Command::Run { run, command: RunCommand::StartRun(start) };
        let submission = Submission::new(CommandId::from_uuid(uuid::Uuid::from_u128(1)), command);
        self.command(0, ShardRequest::Submit(Box::new(submission)));
        self.settle();
        assert!(self.desk.owner().shard().run(run).is_some());
        run
    }

    /// Says whether a worker's frame with these queues is taken.
    fn takes(&mut self, workspace: &str, session: u64, queues: Vec<QueueName>) -> bool {
        let frame = ReadFrame {
            worker: "w".parse().unwrap(),
            session: SessionId::from_bits(session),
            queues,
            credit: Credit { term: Term::unmet(Epoch::FIRST), word: 1, lent: 0 },
            requests: Vec::new(),
        };
        let workspace = workspace.parse().unwrap();
        self.desk.take(Input::Work { workspace, frame, reply: session }, self.at, &mut self.out);
        let answers = self.settle();
        let answer: WorkAnswer = serde_json::from_slice(&answers[0].1).unwrap();
        answer.malformed.is_none()
    }

    fn leaves(&mut self, workspace: &str, session: u64) {
        let (worker, session) = ("w".parse().unwrap(), SessionId::from_bits(session));
        let hello = Hello { protocol: PROTOCOL, worker, session, queues: Vec::new(), leaving: true };
        self.desk.take(Input::Hello { workspace: workspace.parse().unwrap(), hello }, self.at, &mut self.out);
        self.settle();
    }
}

fn queues(session: u64, count: usize) -> Vec<QueueName> {
    (0..count).map(|number| format!("q-{session}-{number}").parse().unwrap()).collect()
}

#[test]
fn so_many_may_wait_for_the_ends_of_runs_and_one_more_is_told_so() {
    let mut room = Room::new();
    let run = room.start();
    for reply in 0..WATCHERS_MAX {
        room.command(reply, ShardRequest::AwaitRun { run });
        assert_eq!(room.settle().len(), 0, "all of them wait");
    }
    room.command(WATCHERS_MAX, ShardRequest::AwaitRun { run });
    let answers = room.settle();
    let (reply, said) = answers.first().expect("it does not wait");
    let refused = vec![ShardReply::Refused { rejection: Rejection::Overloaded }];
    assert_eq!((*reply, serde_json::from_slice::<Vec<ShardReply>>(said).unwrap()), (WATCHERS_MAX, refused));
    // Those that nobody hears any more make room.
    room.at.steady += Duration::from_secs(13);
    room.desk.take(Input::Sweep, room.at, &mut room.out);
    assert_eq!(room.settle().len() as u64, WATCHERS_MAX);
    room.command(0, ShardRequest::AwaitRun { run });
    assert_eq!(room.settle().len(), 0);
}

#[test]
fn the_workers_of_a_workspace_name_so_many_queues_together_and_not_one_more() {
    let mut room = Room::new();
    let full = (NAMES_MAX / QUEUES_MAX) as u64;
    for session in 0..full {
        assert!(room.takes("acme", session, queues(session, QUEUES_MAX)), "session {session}");
    }
    assert!(!room.takes("acme", full, queues(full, 1)));
    assert!(room.takes("acme", 0, queues(0, QUEUES_MAX)), "whoever is known stays known");
    assert!(room.takes("acme", 1, queues(77, QUEUES_MAX)), "and may serve other queues");
    assert!(room.takes("other", full, queues(full, 1)), "another workspace has room of its own");
    room.leaves("acme", 0);
    assert!(room.takes("acme", full + 1, queues(full + 1, QUEUES_MAX)));
    assert!(!room.takes("acme", full + 2, queues(full + 2, 1)));
    // Nor by naming more later.
    room.leaves("acme", 1);
    assert!(room.takes("acme", full + 3, queues(full + 3, 1)));
    assert!(room.takes("acme", full + 4, queues(full + 4, 1)));
    assert!(!room.takes("acme", full + 3, queues(full + 3, QUEUES_MAX)));
    assert!(room.takes("acme", full + 3, queues(full + 3, 2)));
}

#[test]
fn all_workspaces_together_have_as_much_as_four() {
    let mut room = Room::new();
    let full = (NAMES_MAX / QUEUES_MAX) as u64;
    for session in 0..4 * full {
        assert!(room.takes(&format!("acme-{}", session / 8), session, queues(session, QUEUES_MAX)), "{session}");
    }
    assert!(!room.takes("one-more", 4 * full, queues(4 * full, 1)));
    // Nor does one that names nothing come in without end.
    let mut room = Room::new();
    for session in 0..4 * SESSIONS_MAX as u64 {
        assert!(room.takes(&format!("acme-{}", session / 16), session, Vec::new()), "{session}");
    }
    assert!(!room.takes("one-more", 4 * SESSIONS_MAX as u64, Vec::new()));
}
