//! A desk whose bundles land at once, and what it says.

use std::time::Duration;

use headwater_core::credit::{Credit, Standing};
use headwater_core::desk::{Desk, DeskSettings, GoesOn, Input, Moment, Output};
use headwater_core::protocol::{
    Hello, PROTOCOL, ReadFrame, ShardReply, ShardRequest, Task, WorkAnswer, WorkReply, WorkRequest,
};
use headwater_core::run::{Budget, Report, ReportOutcome, RunCommand, RunLimits, StartRun, Trigger};
use headwater_core::shard::{Bounds, Command, Compiled, Owner, Shard, ShardMap, Submission};
use headwater_core::{CommandId, DefinitionVersion, Json, LeaseSecret, RunId, Sequence, SessionId, ShardId, Timestamp};
use serde_json::{Value, json};

/// What one decision does at most here.
pub const DECISION: u64 = 40_000;
/// How many requests a hostile frame has.
pub const FRAME: usize = 50;

/// How many requests wait here, at most.
pub const REQUESTS_WAITING_MAX: usize = 16_384;

pub const SESSION: u64 = 1;

pub type Out = Output<u64, u64>;

pub struct Room {
    pub desk: Desk<u64, u64>,
    pub out: Vec<Out>,
    pub sequence: Sequence,
    pub at: Moment,
    pub ids: u128,
    pub documents: Vec<Value>,
    /// Whether definitions that are looked up are found at once.
    pub finds: bool,
    pub standing: Option<Standing>,
    pub tasks: Vec<Task>,
    pub answers: Vec<(u64, Vec<u8>)>,
    /// Messages with tasks beside answers: to whom, and how many.
    pub handed: Vec<(SessionId, usize)>,
    pub done: Vec<u64>,
}

/// Words that a value is compared with, one after the other.
pub fn words() -> Value {
    (0..60).map(|n| format!("word{n}")).collect()
}

pub fn slow_value() -> Value {
    json!(vec!["word59"; 500])
}

/// Takes most of a decision to start, and most of one for each report.
pub fn slow() -> Value {
    let slow = json!({"type": "array", "items": {"enum": words()}});
    let job = |n: usize| json!({"id": format!("n{n:02}"), "jobSlug": "work", "storeResultAs": "s"});
    json!({
        "slug": "slow",
        "inputSchema": {"type": "object", "properties": {"s": slow}},
        "stateSchema": {"type": "object", "properties": {"s": slow}},
        "steps": (0..FRAME).map(job).collect::<Vec<_>>(),
    })
}

pub fn quick() -> Value {
    json!({"slug": "quick", "nodes": [{"id": "a", "jobSlug": "other"}]})
}

/// Has one task for those who do the slow ones.
pub fn one() -> Value {
    json!({"slug": "one", "nodes": [{"id": "a", "jobSlug": "work"}]})
}

/// Has more to do than one decision takes.
pub fn long() -> Value {
    let noop = |n: usize| json!({"id": format!("n{n:03}"), "action": {"kind": "transform", "output": "${{ size(input.l.map(a, a)) }}"}});
    json!({"slug": "long", "nodes": (0..400).map(noop).collect::<Vec<_>>(), "output": {}})
}

/// Waits for three signals, one after the other, and replies to each.
pub fn replies() -> Value {
    let wait = |id: &str, after: &[&str]| {
        let reply = format!("${{{{ '{id} ' + signal.payload }}}}");
        json!({"id": id, "dependsOn": after, "action": {"kind": "wait_signal", "name": id, "reply": reply}})
    };
    let steps = [wait("first", &[]), wait("later", &["first"]), wait("last", &["later"])];
    json!({"slug": "replies", "steps": steps, "output": {}})
}

impl Room {
    /// A desk of small decisions.
    pub fn new() -> Self {
        Self::speaking_in(8 << 20)
    }

    pub fn bounded(bounds: Bounds) -> Self {
        Self::opened(bounds, 8 << 20)
    }

    /// A desk of small decisions whose messages have at most so many bytes.
    pub fn speaking_in(message_bytes_max: usize) -> Self {
        let decision = Budget {
            work: DECISION,
            bytes: 1 << 20,
            stored: 32 << 20,
            held: usize::MAX,
            work_at_once: 500,
            run: RunLimits::DEFAULT,
        };
        Self::opened(Bounds { decision, ..Bounds::default() }, message_bytes_max)
    }

    fn opened(bounds: Bounds, message_bytes_max: usize) -> Self {
        let mut room = Self::unopened(bounds, message_bytes_max);
        room.settle();
        room
    }

    /// A desk whose first bundle is on its way.
    pub fn unopened(bounds: Bounds, message_bytes_max: usize) -> Self {
        let shard = Shard::bounded(ShardId::new(0).unwrap(), ShardMap::even(1).unwrap(), bounds);
        let settings = DeskSettings {
            lease_ttl: Duration::from_secs(15),
            requests_waiting_max: REQUESTS_WAITING_MAX,
            message_bytes_max,
            run_limits: RunLimits::DEFAULT,
        };
        let at = Moment { wall: Timestamp::from_micros(1_750_000_000_000_000), steady: Duration::ZERO };
        let mut out = Vec::new();
        let desk = Desk::open(Owner::new(shard), &settings, 7, LeaseSecret::new(7), at, &mut out);
        Self {
            desk,
            out,
            sequence: Sequence::ZERO,
            at,
            ids: 0,
            documents: vec![slow(), quick(), one(), long(), replies()],
            finds: true,
            standing: None,
            tasks: Vec::new(),
            answers: Vec::new(),
            handed: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Takes something in, as one turn of its own.
    pub fn take(&mut self, input: Input<u64, u64>) {
        self.desk.take(input, self.at, &mut self.out);
        self.end_turn();
    }

    pub fn end_turn(&mut self) {
        self.desk.turn(false, self.at, &mut self.out);
        while !self.out.is_empty() {
            for output in std::mem::take(&mut self.out) {
                self.act(output);
            }
        }
    }

    pub fn act(&mut self, output: Out) {
        match output {
            Output::Append(_) => {
                self.sequence = self.sequence.next();
                self.desk.take(Input::Appended(self.sequence), self.at, &mut self.out);
                self.desk.turn(false, self.at, &mut self.out);
            }
            Output::Answer { reply, bytes } => {
                if let Ok(answer) = serde_json::from_slice::<WorkAnswer>(&bytes) {
                    for reply in answer.replies {
                        if let WorkReply::Accepted { next } = reply {
                            self.tasks.extend(next);
                        }
                    }
                }
                self.answers.push((reply, bytes));
            }
            Output::Find(needed) if self.finds => {
                let document = self.documents.iter().find(|document| needed.0.workflow.as_str() == document["slug"]);
                let (definition, _) = headwater_core::definition::compile(document.unwrap()).unwrap();
                let found = Input::Found { needed, document: Some(definition.source) };
                self.desk.take(found, self.at, &mut self.out);
                self.desk.turn(false, self.at, &mut self.out);
            }
            Output::Compile { awaited, documents } => {
                let compiled = documents.iter().map(Compiled::of).collect();
                self.desk.take(Input::Compiled { awaited, compiled }, self.at, &mut self.out);
                self.desk.turn(false, self.at, &mut self.out);
            }
            Output::Hand { session, handed, .. } => {
                if !handed.tasks.is_empty() {
                    self.handed.push((session, handed.tasks.len()));
                }
                self.standing = Some(handed.standing);
                self.tasks.extend(handed.tasks);
            }
            Output::Done(ticket) => self.done.push(ticket),
            Output::Find(_)
            | Output::Call { .. }
            | Output::Deliver { .. }
            | Output::FellSilent { .. }
            | Output::Refold(_)
            | Output::Unadoptable(_) => {}
        }
    }

    /// Lets everything go on.
    pub fn settle(&mut self) {
        self.end_turn();
        while self.desk.goes_on() != GoesOn::Not {
            self.take(Input::Continue);
        }
    }

    pub fn id(&mut self) -> CommandId {
        self.ids += 1;
        CommandId::from_uuid(uuid::Uuid::from_u128(self.ids))
    }

    pub fn start_of(&mut self, workflow: &str, input: &Value) -> (RunId, Submission) {
        let id = self.id();
        let run = RunId::new(ShardId::new(0).unwrap(), self.at.wall, self.ids << 20);
        let start = StartRun {
            workspace: "acme".parse().unwrap(),
            workflow: workflow.parse().unwrap(),
            version: DefinitionVersion::FIRST,
            input: Json::of(input),
            trigger: Trigger::Manual {},
            keyed: false,
            wishes: None,
        };
        (run, Submission::new(id, Command::Run { run, command: RunCommand::StartRun(start) }))
    }

    pub fn commands(&mut self, reply: u64, submissions: Vec<Submission>) {
        let requests = submissions.into_iter().map(|wish| ShardRequest::Submit(Box::new(wish))).collect();
        self.take(Input::Commands { requests, reply });
    }

    /// Starts a run that is known at once.
    pub fn started(&mut self, workflow: &str, input: &Value) -> RunId {
        let (run, submission) = self.start_of(workflow, input);
        self.commands(0, vec![submission]);
        self.settle();
        assert!(self.is_known(run));
        run
    }

    pub fn is_known(&self, run: RunId) -> bool {
        self.desk.owner().shard().run(run).is_some()
    }

    pub fn frame(&self, session: u64, word: u64, lent: u64, requests: Vec<WorkRequest>) -> ReadFrame {
        let term = self.standing.expect("it was greeted").term;
        ReadFrame {
            worker: "w".parse().unwrap(),
            session: SessionId::from_bits(session),
            queues: vec!["work".parse().unwrap()],
            credit: Credit { term, word, lent },
            requests: requests.into_iter().map(Ok).collect(),
        }
    }

    pub fn work(&mut self, reply: u64, requests: Vec<WorkRequest>) {
        let frame = self.frame(SESSION, 1, FRAME as u64, requests);
        self.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply });
    }

    /// Introduces a worker, which lends so much.
    pub fn meet(&mut self, session: u64, lent: u64) {
        let (worker, queues) = ("w".parse().unwrap(), vec!["work".parse().unwrap()]);
        let hello =
            Hello { protocol: PROTOCOL, worker, session: SessionId::from_bits(session), queues, leaving: false };
        self.take(Input::Hello { workspace: "acme".parse().unwrap(), hello });
        let frame = self.frame(session, 1, lent, Vec::new());
        self.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply: 0 });
    }

    /// Has a worker hold every task of a slow run.
    pub fn held(&mut self) -> Vec<Task> {
        self.meet(SESSION, FRAME as u64);
        self.started("slow", &json!({}));
        assert_eq!(self.tasks.len(), FRAME);
        std::mem::take(&mut self.tasks)
    }

    pub fn report(&mut self, task: &Task) -> WorkRequest {
        let outcome = ReportOutcome::Succeeded { output: Json::of(&slow_value()), assets: Vec::new() };
        let report = Report {
            node: task.node.clone(),
            attempt: task.attempt,
            lease: task.lease,
            worker: "w".parse().unwrap(),
            started_at: self.at.wall,
            outcome,
        };
        WorkRequest::Report { id: self.id(), run: task.run, report }
    }

    pub fn reports(&mut self, tasks: &[Task]) -> Vec<WorkRequest> {
        tasks.iter().map(|task| self.report(task)).collect()
    }

    pub fn spent(&self) -> u64 {
        self.desk.owner().shard().work_spent()
    }

    pub fn replies(&self, frame: u64) -> Option<Vec<ShardReply>> {
        let (_, bytes) = self.answers.iter().find(|(reply, _)| *reply == frame)?;
        Some(serde_json::from_slice(bytes).unwrap())
    }
}
