//! Who is decided when, at a desk: counted in units of work, whatever somebody else's requests cost.

use std::time::Duration;

use headwater_core::credit::{Credit, Standing};
use headwater_core::desk::{
    Desk, DeskSettings, GoesOn, Input, LINE_BYTES_MAX, LINE_OF_SENDER_MAX, Moment, Output, PASSED_OVER_MAX,
};
use headwater_core::protocol::{
    Hello, PROTOCOL, ReadFrame, ShardReply, ShardRequest, Task, WorkAnswer, WorkReply, WorkRequest,
};
use headwater_core::run::{Budget, Report, ReportOutcome, RunCommand, StartRun, Trigger};
use headwater_core::shard::{
    AssetKey, Bounds, Command, EffectPlace, Origin, Owner, Rejection, Shard, ShardMap, Submission,
};
use headwater_core::{CommandId, DefinitionVersion, Json, LeaseSecret, RunId, Sequence, SessionId, ShardId, Timestamp};
use serde_json::{Value, json};

/// What one decision does at most here.
const DECISION: u64 = 40_000;
/// What is decided in one go before others are looked at.
const BURST: u64 = DECISION / 8;
/// What a request of others' waits for: the burst that is at work, which ends with a whole decision, and one more of its
/// kind. Facts are charged beside that.
const WAIT_MAX: u64 = 2 * (BURST + DECISION + 10_000);
/// How many requests a hostile frame has.
const FRAME: usize = 50;

const SESSION: u64 = 1;

type Out = Output<u64, u64>;

struct Room {
    desk: Desk<u64, u64>,
    out: Vec<Out>,
    sequence: Sequence,
    at: Moment,
    ids: u128,
    documents: Vec<Value>,
    /// Whether definitions that are looked up are found at once.
    finds: bool,
    standing: Option<Standing>,
    tasks: Vec<Task>,
    answers: Vec<(u64, Vec<u8>)>,
    done: Vec<u64>,
}

/// Words that a value is compared with, one after the other.
fn words() -> Value {
    (0..60).map(|n| format!("word{n}")).collect()
}

fn slow_value() -> Value {
    json!(vec!["word59"; 500])
}

/// Takes most of a decision to start, and most of one for each report.
fn slow() -> Value {
    let slow = json!({"type": "array", "items": {"enum": words()}});
    let job = |n: usize| json!({"id": format!("n{n:02}"), "jobSlug": "work", "storeResultAs": "s"});
    json!({
        "slug": "slow",
        "inputSchema": {"type": "object", "properties": {"s": slow}},
        "stateSchema": {"type": "object", "properties": {"s": slow}},
        "steps": (0..FRAME).map(job).collect::<Vec<_>>(),
    })
}

fn quick() -> Value {
    json!({"slug": "quick", "nodes": [{"id": "a", "jobSlug": "other"}]})
}

/// Has more to do than one decision takes.
fn long() -> Value {
    let noop = |n: usize| json!({"id": format!("n{n:03}"), "action": {"kind": "transform", "output": "${{ size(input.l.map(a, a)) }}"}});
    json!({"slug": "long", "nodes": (0..400).map(noop).collect::<Vec<_>>(), "output": {}})
}

impl Room {
    fn new() -> Self {
        let decision = Budget { work: DECISION, bytes: 1 << 20, work_at_once: 500 };
        let bounds = Bounds { decision, ..Bounds::default() };
        let shard = Shard::bounded(ShardId::new(0).unwrap(), ShardMap::even(1).unwrap(), bounds);
        let settings = DeskSettings {
            lease_ttl: Duration::from_secs(15),
            requests_waiting_max: 16_384,
            message_bytes_max: 8 << 20,
        };
        let at = Moment { wall: Timestamp::from_micros(1_750_000_000_000_000), steady: Duration::ZERO };
        let mut out = Vec::new();
        let desk = Desk::open(Owner::new(shard), settings, 7, LeaseSecret::new(7), at, &mut out);
        let mut room = Self {
            desk,
            out,
            sequence: Sequence::ZERO,
            at,
            ids: 0,
            documents: vec![slow(), quick(), long()],
            finds: true,
            standing: None,
            tasks: Vec::new(),
            answers: Vec::new(),
            done: Vec::new(),
        };
        room.settle();
        room
    }

    /// Takes something in, as one turn of its own.
    fn take(&mut self, input: Input<u64, u64>) {
        self.desk.take(input, self.at, &mut self.out);
        self.end_turn();
    }

    fn end_turn(&mut self) {
        self.desk.turn(false, self.at, &mut self.out);
        while !self.out.is_empty() {
            for output in std::mem::take(&mut self.out) {
                self.act(output);
            }
        }
    }

    fn act(&mut self, output: Out) {
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
            Output::Hand { handed, .. } => {
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
    fn settle(&mut self) {
        self.end_turn();
        while self.desk.goes_on() != GoesOn::Not {
            self.take(Input::Continue);
        }
    }

    fn id(&mut self) -> CommandId {
        self.ids += 1;
        CommandId::from_uuid(uuid::Uuid::from_u128(self.ids))
    }

    fn start_of(&mut self, workflow: &str, input: &Value) -> (RunId, Submission) {
        let id = self.id();
        let run = RunId::new(ShardId::new(0).unwrap(), self.at.wall, self.ids << 20);
        let start = StartRun {
            workspace: "acme".parse().unwrap(),
            workflow: workflow.parse().unwrap(),
            version: DefinitionVersion::FIRST,
            input: Json::of(input),
            trigger: Trigger::Manual {},
            keyed: false,
        };
        (run, Submission::new(id, Command::Run { run, command: RunCommand::StartRun(start) }))
    }

    fn commands(&mut self, reply: u64, submissions: Vec<Submission>) {
        let requests = submissions.into_iter().map(|wish| ShardRequest::Submit(Box::new(wish))).collect();
        self.take(Input::Commands { requests, reply });
    }

    /// Starts a run that is known at once.
    fn started(&mut self, workflow: &str, input: &Value) -> RunId {
        let (run, submission) = self.start_of(workflow, input);
        self.commands(0, vec![submission]);
        self.settle();
        assert!(self.is_known(run));
        run
    }

    fn is_known(&self, run: RunId) -> bool {
        self.desk.owner().shard().run(run).is_some()
    }

    fn frame(&self, session: u64, word: u64, lent: u64, requests: Vec<WorkRequest>) -> ReadFrame {
        let term = self.standing.expect("it was greeted").term;
        ReadFrame {
            worker: "w".parse().unwrap(),
            session: SessionId::from_bits(session),
            queues: vec!["work".parse().unwrap()],
            credit: Credit { term, word, lent },
            requests: requests.into_iter().map(Ok).collect(),
        }
    }

    fn work(&mut self, reply: u64, requests: Vec<WorkRequest>) {
        let frame = self.frame(SESSION, 1, FRAME as u64, requests);
        self.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply });
    }

    /// Has a worker hold every task of a slow run.
    fn held(&mut self) -> Vec<Task> {
        let (worker, session) = ("w".parse().unwrap(), SessionId::from_bits(SESSION));
        let queues = vec!["work".parse().unwrap()];
        let hello = Hello { protocol: PROTOCOL, worker, session, queues, leaving: false };
        self.take(Input::Hello { workspace: "acme".parse().unwrap(), hello });
        self.work(0, Vec::new());
        self.started("slow", &json!({}));
        assert_eq!(self.tasks.len(), FRAME);
        std::mem::take(&mut self.tasks)
    }

    fn report(&mut self, task: &Task) -> WorkRequest {
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

    fn reports(&mut self, tasks: &[Task]) -> Vec<WorkRequest> {
        tasks.iter().map(|task| self.report(task)).collect()
    }

    fn spent(&self) -> u64 {
        self.desk.owner().shard().work_spent()
    }

    fn replies(&self, frame: u64) -> Option<Vec<ShardReply>> {
        let (_, bytes) = self.answers.iter().find(|(reply, _)| *reply == frame)?;
        Some(serde_json::from_slice(bytes).unwrap())
    }
}

/// Ways to bring much work at once.
#[derive(Debug, Clone, Copy)]
enum Flood {
    Reports,
    Starts,
    /// The same in as many frames, as of many clients.
    Frames,
    /// Asked again and again, as one whose answer was lost.
    SameStart,
    /// Of a definition that is looked up first.
    ParkedStarts,
    /// On the lane of another shard.
    LaneStarts,
    /// On the shard's own lane, one by one.
    Follows,
}

const FLOODS: [Flood; 7] = [
    Flood::Reports,
    Flood::Starts,
    Flood::Frames,
    Flood::SameStart,
    Flood::ParkedStarts,
    Flood::LaneStarts,
    Flood::Follows,
];

fn place(index: u64) -> EffectPlace {
    EffectPlace { sequence: Sequence::new(8), index: u32::try_from(index).unwrap() }
}

impl Room {
    fn lane_starts(&mut self, workflow: &str, from: u16, count: usize) -> Vec<Submission> {
        let shard = ShardId::new(from).unwrap();
        let input = json!({"s": slow_value()});
        (0..count as u64)
            .map(|index| {
                let (_, submission) = self.start_of(workflow, &input);
                let after = index.checked_sub(1).map(place);
                Submission { from: Some(Origin { shard, place: place(index), after }), ..submission }
            })
            .collect()
    }

    fn flood(&mut self, flood: Flood) {
        let input = json!({"s": slow_value()});
        let starts = |room: &mut Self| (0..FRAME).map(|_| room.start_of("slow", &input).1).collect::<Vec<_>>();
        self.started("quick", &json!({}));
        match flood {
            Flood::Reports => {
                let tasks = self.held();
                let reports = self.reports(&tasks);
                self.work(1, reports);
            }
            Flood::Starts => {
                self.started("slow", &json!({}));
                let starts = starts(self);
                self.commands(1, starts);
            }
            Flood::Frames => {
                self.started("slow", &json!({}));
                for start in starts(self) {
                    let requests = vec![ShardRequest::Submit(Box::new(start))];
                    self.desk.take(Input::Commands { requests, reply: 1 }, self.at, &mut self.out);
                }
                self.end_turn();
            }
            Flood::SameStart => {
                let (_, first) = self.start_of("slow", &input);
                self.commands(0, vec![first.clone()]);
                self.settle();
                let again = (0..FRAME).map(|_| Submission { id: self.id(), ..first.clone() }).collect();
                self.commands(1, again);
            }
            Flood::ParkedStarts => {
                let starts = starts(self);
                self.commands(1, starts);
            }
            Flood::LaneStarts => {
                self.started("slow", &json!({}));
                let starts = self.lane_starts("slow", 1, FRAME);
                self.commands(1, starts);
            }
            Flood::Follows => {
                self.started("slow", &json!({}));
                // As fast as they come, within one turn.
                for (ticket, submission) in (0..).zip(self.lane_starts("slow", 0, FRAME)) {
                    self.desk.take(Input::Follows { submission, ticket }, self.at, &mut self.out);
                }
                self.end_turn();
            }
        }
    }
}

#[test]
fn however_much_comes_at_once_what_others_ask_waits_for_two_decisions_at_most() {
    for flood in FLOODS {
        let mut room = Room::new();
        room.flood(flood);
        let before = room.spent();
        let (run, submission) = room.start_of("quick", &json!({}));
        room.commands(2, vec![submission]);
        while !room.is_known(run) {
            assert_eq!(room.desk.goes_on(), GoesOn::Now, "{flood:?}: somebody waits");
            room.take(Input::Continue);
        }
        let waited = room.spent() - before;
        assert!(waited <= WAIT_MAX, "{flood:?}: it waited for {waited} units");
        room.settle();
        let after = room.spent() - before;
        assert!(after > 4 * WAIT_MAX, "{flood:?} is no flood: {after} units were left");
        let answered = room.answers.iter().any(|(reply, _)| *reply == 1) || room.done.len() == FRAME;
        assert!(answered, "{flood:?} is answered whole");
    }
}

#[test]
fn what_stands_in_one_frame_with_much_work_waits_no_longer_than_beside_it() {
    let mut room = Room::new();
    room.started("quick", &json!({}));
    room.started("slow", &json!({}));
    let input = json!({"s": slow_value()});
    let mut starts: Vec<_> = (0..FRAME).map(|_| room.start_of("slow", &input).1).collect();
    let (run, submission) = room.start_of("quick", &json!({}));
    starts.push(submission);
    let before = room.spent();
    room.commands(1, starts);
    while !room.is_known(run) {
        room.take(Input::Continue);
    }
    assert!(room.spent() - before <= WAIT_MAX);
}

#[test]
fn no_turn_does_more_than_a_burst_and_the_decision_that_ends_it() {
    for flood in FLOODS {
        let mut room = Room::new();
        room.flood(flood);
        while room.desk.goes_on() != GoesOn::Not {
            let before = room.spent();
            room.take(Input::Continue);
            let spent = room.spent() - before;
            // Its bundles land at once here, and each brings a turn more.
            assert!(spent <= WAIT_MAX, "{flood:?}: {spent} units in one turn");
        }
    }
}

#[test]
fn what_one_sender_sends_is_decided_in_its_order_whatever_waits() {
    let mut room = Room::new();
    room.started("quick", &json!({}));
    // The first waits for a definition, those behind it for the first, and those behind them come while it is looked up.
    room.finds = false;
    let mut starts = room.lane_starts("slow", 1, FRAME);
    starts.push(Submission { from: starts[0].from, ..room.lane_starts("quick", 1, 1).remove(0) });
    let last =
        Origin { shard: ShardId::new(1).unwrap(), place: place(FRAME as u64), after: Some(place(FRAME as u64 - 1)) };
    starts[FRAME].from = Some(last);
    let behind = starts.split_off(FRAME / 2);
    room.commands(1, starts);
    room.finds = true;
    let key =
        headwater_core::shard::WorkflowKey { workspace: "acme".parse().unwrap(), workflow: "slow".parse().unwrap() };
    let document = headwater_core::definition::compile(&slow()).unwrap().0.source;
    let needed = (key, DefinitionVersion::FIRST);
    room.take(Input::Found { needed, document: Some(document) });
    assert!(room.replies(1).is_none(), "not all is decided yet");
    room.commands(2, behind);
    room.settle();
    for frame in [1, 2] {
        let replies = room.replies(frame).expect("it is answered");
        assert!(replies.iter().all(|reply| matches!(reply, ShardReply::Done { .. })), "{replies:?}");
    }
}

#[test]
fn a_workers_frames_are_answered_in_their_order() {
    let mut room = Room::new();
    let tasks = room.held();
    let (first, second) = tasks.split_at(FRAME - 1);
    let (first, second) = (room.reports(first), room.reports(second));
    room.work(1, first);
    room.work(2, second);
    assert!(room.answers.iter().all(|(reply, _)| *reply == 0), "both wait");
    room.settle();
    let order: Vec<_> = room.answers.iter().map(|(reply, _)| *reply).filter(|reply| *reply > 0).collect();
    assert_eq!(order, [1, 2]);
}

#[test]
fn who_steps_down_answers_what_waits() {
    for flood in FLOODS {
        let mut room = Room::new();
        room.flood(flood);
        let mut out = Vec::new();
        let answered = room.answers;
        room.desk.step_down(&mut out);
        let left = out.into_iter().filter_map(|output| match output {
            Output::Answer { reply, bytes } => Some((reply, String::from_utf8(bytes).unwrap())),
            _ => None,
        });
        let left: Vec<_> = left.collect();
        match flood {
            // Whatever is not confirmed is sent again by the next owner.
            Flood::Follows => assert_eq!(left, []),
            Flood::Frames => assert_eq!(left.len() + answered.iter().filter(|(reply, _)| *reply == 1).count(), FRAME),
            Flood::Reports | Flood::Starts | Flood::SameStart | Flood::ParkedStarts | Flood::LaneStarts => {
                assert!(answered.iter().all(|(reply, _)| *reply == 0), "{flood:?}: nothing of it was answered before");
                let [(1, said)] = &left[..] else { panic!("{flood:?}: {left:?}") };
                assert!(said.matches("notOwner").count() > FRAME / 2, "{flood:?}: {said}");
            }
        }
    }
}

#[test]
fn whoever_has_reported_is_not_silent_however_long_the_report_waits() {
    let mut room = Room::new();
    let tasks = room.held();
    let reports = room.reports(&tasks);
    room.work(1, reports);
    for _ in 0..4 {
        room.at.steady += Duration::from_secs(14);
        room.desk.take(Input::Sweep, room.at, &mut room.out);
        assert!(room.out.iter().all(|output| !matches!(output, Output::FellSilent { .. })));
    }
    room.settle();
    let (_, said) = room.answers.iter().find(|(reply, _)| *reply == 1).unwrap();
    let answer: WorkAnswer = serde_json::from_slice(said).unwrap();
    assert!(answer.replies.iter().all(|reply| matches!(reply, WorkReply::Accepted { .. })), "{answer:?}");
}

#[test]
fn so_much_of_one_worker_waits_and_one_more_frame_of_its_is_refused() {
    let mut room = Room::new();
    let tasks = room.held();
    let reports = room.reports(&tasks);
    let frames = (LINE_OF_SENDER_MAX / FRAME + 2) as u64;
    // All within one turn: the first report ends its burst.
    for reply in 1..=frames {
        let frame = room.frame(SESSION, 1, FRAME as u64, reports.clone());
        room.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply }, room.at, &mut room.out);
    }
    room.end_turn();
    let refused = room.answers.iter().filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains("overloaded"));
    assert_eq!(refused.map(|(reply, _)| *reply).collect::<Vec<_>>(), [frames], "only the last");
    let (run, submission) = room.start_of("quick", &json!({}));
    room.commands(1_000, vec![submission]);
    room.settle();
    assert!(room.is_known(run), "others have room");
}

#[test]
fn so_many_bytes_wait_and_one_more_frame_is_refused() {
    let mut room = Room::new();
    room.flood(Flood::Starts);
    let (_, slow) = room.start_of("slow", &json!({"s": slow_value()}));
    let ends_the_burst = vec![ShardRequest::Submit(Box::new(slow))];
    room.desk.take(Input::Commands { requests: ends_the_burst, reply: 100 }, room.at, &mut room.out);
    let input = json!({"more": "x".repeat(1_000_000)});
    let frames = (LINE_BYTES_MAX / 10_000_000 + 2) as u64;
    for reply in 101..=100 + frames {
        let requests = (0..10).map(|_| ShardRequest::Submit(Box::new(room.start_of("slow", &input).1))).collect();
        room.desk.take(Input::Commands { requests, reply }, room.at, &mut room.out);
    }
    room.end_turn();
    let refused = Some(vec![ShardReply::Refused { rejection: Rejection::Overloaded }; 10]);
    assert_eq!(room.replies(100 + frames), refused);
    assert_eq!(room.replies(99 + frames), None, "it waits");
}

/// Says at which of the inputs a run went on.
fn turns_among(inputs: usize, mut input: impl FnMut(&mut Room, u64)) -> Vec<usize> {
    let mut room = Room::new();
    room.started("quick", &json!({}));
    let (run, submission) = room.start_of("long", &json!({"l": (0..500).collect::<Vec<_>>()}));
    room.commands(0, vec![submission]);
    while !room.is_known(run) {
        room.take(Input::Continue);
    }
    let revision = |room: &Room| room.desk.owner().shard().run(run).expect("it has much to do").revision();
    let mut turns = Vec::new();
    for count in 0..inputs {
        let before = revision(&room);
        match room.desk.goes_on() {
            GoesOn::Now => room.desk.take(Input::Continue, room.at, &mut room.out),
            GoesOn::WhenIdle | GoesOn::Not => input(&mut room, count as u64),
        }
        room.desk.turn(false, room.at, &mut room.out);
        if revision(&room) != before {
            turns.push(count);
        }
    }
    turns
}

#[test]
fn a_run_that_goes_on_by_itself_lets_four_inputs_go_before_and_no_more() {
    assert_eq!(PASSED_OVER_MAX, 4);
    let turns = turns_among(30, |room, count| {
        let key = AssetKey { workspace: "acme".parse().unwrap(), asset: "a".parse().unwrap() };
        let requests = vec![ShardRequest::DescribeAsset { key }];
        room.desk.take(Input::Commands { requests, reply: 100 + count }, room.at, &mut room.out);
    });
    let apart: Vec<_> = turns.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(turns.len() >= 4, "{turns:?}");
    assert!(apart.iter().all(|apart| *apart == 5), "{turns:?}");
}

#[test]
fn nor_do_requests_that_wait_keep_such_runs_back() {
    let mut room = Room::new();
    room.flood(Flood::Starts);
    let active = |room: &Room| room.desk.owner().shard().active_runs();
    assert!(room.desk.owner().shard().unfinished().len() > 0, "what was started has more to do");
    let (mut since, mut turns) = (0, 0);
    while room.replies(1).is_none() {
        assert_eq!(room.desk.goes_on(), GoesOn::Now);
        let before = active(&room);
        room.desk.take(Input::Continue, room.at, &mut room.out);
        // Whatever starts no run lets one go on.
        since = if active(&room) == before { 0 } else { since + 1 };
        turns += usize::from(since == 0);
        assert!(since <= PASSED_OVER_MAX, "{since} turns of others");
        room.end_turn();
    }
    assert!(turns > 4, "{turns}");
}
