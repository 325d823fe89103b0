//! A worker against a shard that is played by the test.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use headwater_core::definition::BuiltIn;
use headwater_core::protocol::{Held, Task, Work, WorkFrame, WorkReply, WorkRequest};
use headwater_core::run::{Report, ReportOutcome, RunRejection};
use headwater_core::shard::Rejection;
use headwater_core::{Attempt, CommandId, JobSlug, Json, LeaseToken, RunId, ShardId, Timestamp};
use headwater_streams::cancel::{self, CancelNotice};
use headwater_streams::requests::{self, Request, Requests};
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::subject::work_subject;
use headwater_streams::tasks::{QueueSettings, TaskQueue};
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, BrokerConfig};
use headwater_workers::actions::{self, ActionPolicy};
use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker, WorkerBuilder};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    server: NatsServer,
    broker: Broker,
    tasks: TaskQueue,
    shard: Requests,
    /// Requests that came in frames and were not looked at yet, with their frame's number and place.
    open: Vec<(usize, usize, WorkRequest)>,
    frames: HashMap<usize, (Request, Vec<Option<WorkReply>>)>,
    frames_seen: usize,
    _directory: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path().join("nats"));
        let server = NatsServer::start(&ServerBinary::find(&[]).unwrap(), config).unwrap();
        let broker = Broker::connect(&server.engine()).await.unwrap();
        Topology::new(1, 1).unwrap().apply(&broker).await.unwrap();
        let settings = QueueSettings { ack_wait: Duration::from_secs(2), ..QueueSettings::default() };
        let tasks = TaskQueue::new(&broker, settings);
        let shard = requests::serve(&broker, &work_subject(shard())).await.unwrap();
        let (open, frames) = (Vec::new(), HashMap::new());
        Self { server, broker, tasks, shard, open, frames, frames_seen: 0, _directory: directory }
    }

    fn worker(&self) -> WorkerBuilder {
        // As a program of a user would come.
        let config = BrokerConfig { request_timeout: Duration::from_secs(2), ..self.server.worker() };
        Worker::builder().workspace("acme".parse().unwrap()).broker(config).heartbeat_every(Duration::from_millis(200))
    }

    /// Waits for the next request that `wanted` takes; answers signs of life on the way.
    async fn request<T>(&mut self, mut wanted: impl FnMut(&WorkRequest) -> Option<T>) -> (T, (usize, usize)) {
        let look = async {
            loop {
                for (frame, place, request) in std::mem::take(&mut self.open) {
                    match request {
                        request if wanted(&request).is_some() => self.open.push((frame, place, request)),
                        WorkRequest::Heartbeat { .. } => {
                            self.answer((frame, place), WorkReply::Alive { cancelled: Vec::new() }).await;
                        }
                        WorkRequest::Started { .. } => self.accept((frame, place), Vec::new()).await,
                        other => self.open.push((frame, place, other)),
                    }
                }
                if let Some(ix) = self.open.iter().position(|(.., request)| wanted(request).is_some()) {
                    let (frame, place, request) = self.open.remove(ix);
                    return (wanted(&request).unwrap(), (frame, place));
                }
                let request = self.shard.next().await.unwrap();
                let frame: WorkFrame = serde_json::from_slice(&request.payload).unwrap();
                let number = self.frames_seen;
                self.frames_seen += 1;
                self.frames.insert(number, (request, vec![None; frame.requests.len()]));
                self.open.extend(frame.requests.into_iter().enumerate().map(|(place, r)| (number, place, r)));
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("the worker says nothing of the kind")
    }

    async fn answer(&mut self, (frame, place): (usize, usize), reply: WorkReply) {
        let (_, replies) = self.frames.get_mut(&frame).unwrap();
        replies[place] = Some(reply);
        if replies.iter().all(Option::is_some) {
            let (request, replies) = self.frames.remove(&frame).unwrap();
            let replies: Vec<WorkReply> = replies.into_iter().flatten().collect();
            request.reply.send(serde_json::to_vec(&replies).unwrap().into()).await.unwrap();
        }
    }

    async fn report(&mut self) -> (Report, CommandId, (usize, usize)) {
        let ((report, id), place) = self
            .request(|request| match request {
                WorkRequest::Report { report, id, .. } => Some((report.clone(), *id)),
                _ => None,
            })
            .await;
        (report, id, place)
    }

    async fn accept(&mut self, place: (usize, usize), next: Vec<Task>) {
        self.answer(place, WorkReply::Accepted { next }).await;
    }

    /// Waits until the queue holds nothing, handed out or not.
    async fn until_queue_empty(&self, job: &str) {
        let queue = headwater_core::run::queue_of_job(&job.parse().unwrap());
        let empty = async {
            loop {
                let depth = self.tasks.depth(&"acme".parse().unwrap(), &queue).await.unwrap();
                if (depth.waiting, depth.in_flight) == (0, 0) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, empty).await.expect("the delivery is not acknowledged");
    }
}

struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(worker: WorkerBuilder) -> Self {
        let worker = worker.build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await.unwrap() });
        Self { stop: Some(stop), task }
    }

    fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    async fn stopped(self) {
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

fn shard() -> ShardId {
    ShardId::new(0).unwrap()
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(since.as_micros() as u64)
}

fn task(job: &str, n: u32) -> Task {
    let job: JobSlug = job.parse().unwrap();
    Task {
        workspace: "acme".parse().unwrap(),
        workflow: "w".parse().unwrap(),
        run: RunId::new(shard(), Timestamp::from_micros(1), u128::from(n) << 20),
        node: "n".parse().unwrap(),
        attempt: Attempt::FIRST,
        lease: LeaseToken::from_bits(u64::from(n)),
        queue: headwater_core::run::queue_of_job(&job),
        work: Work::Job(job),
        input: Json::of(&n),
        assets: Vec::new(),
        deadline: None,
        claim_first: false,
    }
}

fn output(report: &Report) -> &str {
    match &report.outcome {
        ReportOutcome::Succeeded { output, .. } => output.as_str(),
        ReportOutcome::Failed { code, message, .. } => panic!("{code}: {message}"),
    }
}

fn code(report: &Report) -> &str {
    match &report.outcome {
        ReportOutcome::Succeeded { output, .. } => panic!("{output:?}"),
        ReportOutcome::Failed { code, .. } => code,
    }
}

async fn double(_: Context, n: u32) -> Result<Outcome, HandlerError> {
    Ok(Outcome::of(&(n * 2)))
}

#[tokio::test]
async fn a_task_is_run_reported_and_acknowledged_and_the_next_needs_no_queue() {
    let mut house = House::new().await;
    let mut running = Running::start(house.worker().handler("double".parse().unwrap(), double));
    house.tasks.publish(&task("double", 21)).await.unwrap();
    let (report, _, place) = house.report().await;
    assert_eq!((output(&report), report.lease), ("42", LeaseToken::from_bits(21)));
    house.accept(place, vec![task("double", 5)]).await;
    let (report, _, place) = house.report().await;
    assert_eq!(output(&report), "10");
    house.accept(place, Vec::new()).await;
    house.until_queue_empty("double").await;
    running.ask_to_stop();
    running.stopped().await;
}

#[tokio::test]
async fn every_way_to_fail_has_its_code() {
    let mut house = House::new().await;
    async fn fails(_: Context, n: u32) -> Result<Outcome, HandlerError> {
        match n {
            0 => Err(HandlerError::new("no_luck", "none at all").permanent()),
            1 => panic!("really"),
            2 => Ok(Outcome::of(&"x".repeat(2_000_000))),
            3 => Err("x".parse::<u32>().unwrap_err().into()),
            4 => {
                tokio::task::yield_now().await;
                panic!("later");
            }
            _ => unreachable!(),
        }
    }
    async fn picky(_: Context, _: Vec<String>) -> Result<Outcome, HandlerError> {
        unreachable!("its input is a number")
    }
    let worker = house.worker().handler("fails".parse().unwrap(), fails).handler("picky".parse().unwrap(), picky);
    let _running = Running::start(worker);
    for (n, code_wanted) in ["no_luck", "panic", "output_too_large", "handler_error", "panic"].iter().enumerate() {
        house.tasks.publish(&task("fails", n as u32)).await.unwrap();
        let (report, _, place) = house.report().await;
        assert_eq!(code(&report), *code_wanted);
        house.accept(place, Vec::new()).await;
    }
    house.tasks.publish(&task("picky", 9)).await.unwrap();
    let (report, _, place) = house.report().await;
    assert!(
        matches!(report.outcome, ReportOutcome::Failed { ref code, permanent: true, .. } if code == "input_invalid")
    );
    house.accept(place, Vec::new()).await;
    house.until_queue_empty("fails").await;
}

#[tokio::test]
async fn reports_that_wait_together_go_in_one_frame_and_one_frame_is_under_way() {
    let mut house = House::new().await;
    let worker = house.worker().handler("double".parse().unwrap(), double).slots(200);
    let _running = Running::start(worker);
    house.tasks.publish(&task("double", 1)).await.unwrap();
    let (_, _, first) = house.report().await;
    // While the first frame is not answered, the others gather.
    house.tasks.publish_all((2..=100).map(|n| task("double", n)).collect()).await;
    let gathered = async {
        let queue = headwater_core::run::queue_of_job(&"double".parse().unwrap());
        while house.tasks.depth(&"acme".parse().unwrap(), &queue).await.unwrap().waiting > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gathered).await.unwrap();
    assert!(house.shard.try_next().is_none());
    house.accept(first, Vec::new()).await;
    let before = house.frames_seen;
    for _ in 2..=100 {
        let (_, _, place) = house.report().await;
        house.accept(place, Vec::new()).await;
    }
    let frames = house.frames_seen - before;
    assert!(frames <= 10, "{frames} frames for 99 reports");
    house.until_queue_empty("double").await;
}

#[tokio::test]
async fn a_report_is_offered_under_the_same_id_until_it_is_answered() {
    let mut house = House::new().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let count = move |_: Context, n: u32| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, HandlerError>(Outcome::of(&n)) }
    };
    let _running = Running::start(house.worker().handler("count".parse().unwrap(), count));
    house.tasks.publish(&task("count", 7)).await.unwrap();
    let (_, first, place) = house.report().await;
    house.answer(place, WorkReply::Refused { rejection: Rejection::NotOwner }).await;
    let (_, second, place) = house.report().await;
    house.answer(place, WorkReply::Refused { rejection: Rejection::Overloaded }).await;
    // The owner goes, and another comes after a while in which nobody serves the shard.
    let (_, third, place) = house.report().await;
    house.frames.remove(&place.0);
    house.shard.stop().await;
    house.shard = requests::serve(&house.broker, &work_subject(shard())).await.unwrap();
    let (report, fourth, place) = house.report().await;
    assert_eq!([first; 3], [second, third, fourth]);
    assert_eq!(output(&report), "7");
    house.accept(place, Vec::new()).await;
    house.until_queue_empty("count").await;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

fn claimed(request: &WorkRequest) -> Option<LeaseToken> {
    match request {
        WorkRequest::Claim { lease, .. } => Some(*lease),
        _ => None,
    }
}

#[tokio::test]
async fn what_may_be_held_elsewhere_is_claimed_before_it_is_run() {
    let mut house = House::new().await;
    let _running = Running::start(house.worker().handler("double".parse().unwrap(), double));
    let uncertain = Task { claim_first: true, ..task("double", 4) };
    house.tasks.publish(&uncertain).await.unwrap();
    let (lease, place) = house.request(claimed).await;
    assert_eq!(lease, uncertain.lease);
    // The shard knows a newer attempt.
    let newer = Task { attempt: Attempt::new(2), lease: LeaseToken::from_bits(40), ..task("double", 8) };
    house.answer(place, WorkReply::Granted { task: newer }).await;
    let (report, _, place) = house.report().await;
    assert_eq!((output(&report), report.attempt, report.lease.bits()), ("16", Attempt::new(2), 40));
    house.accept(place, Vec::new()).await;
    house.until_queue_empty("double").await;

    house.tasks.publish(&Task { claim_first: true, ..task("double", 5) }).await.unwrap();
    let (_, place) = house.request(claimed).await;
    let rejection = Rejection::Run(RunRejection::StaleAttempt);
    house.answer(place, WorkReply::Refused { rejection }).await;
    house.until_queue_empty("double").await;
}

async fn patient(context: Context, _: Json) -> Result<Outcome, HandlerError> {
    context.progress(&"half way");
    context.cancelled().await;
    Ok(Outcome::of(&"cancelled"))
}

fn held(request: &WorkRequest) -> Option<Vec<Held>> {
    match request {
        WorkRequest::Heartbeat { held } => Some(held.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_long_attempt_is_said_to_run_kept_alive_and_stopped_when_the_shard_says_so() {
    let mut house = House::new().await;
    let mut running = Running::start(house.worker().handler("patient".parse().unwrap(), patient));
    house.tasks.publish(&task("patient", 3)).await.unwrap();
    let published_at = Instant::now();
    let mut started = None;
    let mut progress = None;
    let mut beats = 0;
    // Longer than the queue's wait: its delivery must not come again meanwhile.
    while started.is_none() || published_at.elapsed() < Duration::from_secs(3) {
        let (request, place) = house.request(|request| Some(request.clone())).await;
        let reply = match request {
            WorkRequest::Started { lease, .. } => {
                started = Some(lease);
                WorkReply::Accepted { next: Vec::new() }
            }
            WorkRequest::Heartbeat { held } => {
                beats += 1;
                assert_eq!(held.len(), 1);
                progress = progress.or(held[0].progress.clone());
                WorkReply::Alive { cancelled: Vec::new() }
            }
            other => panic!("{other:?}"),
        };
        house.answer(place, reply).await;
    }
    assert_eq!(started, Some(LeaseToken::from_bits(3)));
    assert_eq!(progress.unwrap().as_str(), r#""half way""#);
    assert!(beats >= 5);
    // Word of a cancellation makes the worker ask, and the answer counts.
    let notice = CancelNotice { run: task("patient", 3).run, node: "n".parse().unwrap() };
    cancel::announce(&house.broker, &"acme".parse().unwrap(), &notice).await.unwrap();
    let (held, place) = house.request(held).await;
    house.answer(place, WorkReply::Alive { cancelled: vec![held[0].lease] }).await;
    house.until_queue_empty("patient").await;
    running.ask_to_stop();
    running.stopped().await;
    assert!(house.open.iter().all(|(.., request)| !matches!(request, WorkRequest::Report { .. })));
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_reported_and_its_handler_dropped() {
    let mut house = House::new().await;
    let dropped = Arc::new(Semaphore::new(0));
    let signal = dropped.clone();
    let stubborn = move |_: Context, _: Json| {
        let guard = SignalOnDrop(signal.clone());
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok::<_, HandlerError>(())
        }
    };
    let worker = house.worker().handler("stubborn".parse().unwrap(), stubborn);
    let _running = Running::start(worker.cancel_grace(Duration::from_millis(100)));
    let deadline = Some(now().after(Duration::from_millis(500)));
    house.tasks.publish(&Task { deadline, ..task("stubborn", 1) }).await.unwrap();
    let (report, _, place) = house.report().await;
    assert_eq!(code(&report), "timeout");
    house.accept(place, Vec::new()).await;
    house.until_queue_empty("stubborn").await;
    tokio::time::timeout(PATIENCE, dropped.acquire()).await.unwrap().unwrap().forget();
    // Too late from the start: not even begun.
    house.tasks.publish(&Task { deadline: Some(Timestamp::from_micros(1)), ..task("stubborn", 2) }).await.unwrap();
    let (report, _, place) = house.report().await;
    assert_eq!(code(&report), "timeout");
    house.accept(place, Vec::new()).await;
}

struct SignalOnDrop(Arc<Semaphore>);

impl Drop for SignalOnDrop {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

#[tokio::test]
async fn no_more_attempts_run_at_once_than_there_are_slots() {
    let mut house = House::new().await;
    let (gate, most, at_once) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (gate_in, most_in, at_once_in) = (gate.clone(), most.clone(), at_once.clone());
    let wait = move |_: Context, _: Json| {
        let (gate, most, at_once) = (gate_in.clone(), most_in.clone(), at_once_in.clone());
        async move {
            most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            at_once.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, HandlerError>(())
        }
    };
    let _running = Running::start(house.worker().handler("wait".parse().unwrap(), wait).slots(3));
    house.tasks.publish_all((0..6).map(|n| task("wait", n)).collect()).await;
    let full = async {
        while at_once.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, full).await.unwrap();
    gate.add_permits(20);
    for n in 0..6 {
        let (_, _, place) = house.report().await;
        // More than was asked for: the surplus waits its turn.
        let next = if n == 0 { (10..16).map(|n| task("wait", n)).collect() } else { Vec::new() };
        house.accept(place, next).await;
    }
    for _ in 0..6 {
        let (_, _, place) = house.report().await;
        house.accept(place, Vec::new()).await;
    }
    assert!(most.load(Ordering::SeqCst) <= 3);
    house.until_queue_empty("wait").await;
}

#[tokio::test]
async fn a_worker_that_stops_finishes_what_it_can_and_says_what_it_could_not() {
    let mut house = House::new().await;
    let worker = house.worker().handler("patient".parse().unwrap(), patient).slots(1);
    let mut running = Running::start(worker.stop_grace(Duration::from_millis(200)));
    house.tasks.publish_all(vec![task("patient", 1), task("patient", 2)]).await;
    let (_, place) = house.request(held).await;
    house.answer(place, WorkReply::Alive { cancelled: Vec::new() }).await;
    running.ask_to_stop();
    let (report, _, place) = house.report().await;
    assert_eq!((code(&report), report.lease.bits()), ("worker_stopped", 1));
    house.accept(place, Vec::new()).await;
    running.stopped().await;
    // The other was never begun: another worker gets it at once.
    let _other = Running::start(house.worker().handler("patient".parse().unwrap(), double));
    let (lease, place) = house
        .request(|request| match request {
            WorkRequest::Report { report, .. } => Some(report.lease),
            WorkRequest::Claim { lease, .. } => Some(*lease),
            _ => None,
        })
        .await;
    assert_eq!(lease.bits(), 2);
    house.answer(place, WorkReply::Refused { rejection: Rejection::Run(RunRejection::StaleAttempt) }).await;
    house.until_queue_empty("patient").await;
}

#[tokio::test]
async fn built_in_actions_are_handlers_like_others() {
    let mut house = House::new().await;
    let policy = ActionPolicy { allow_processes: true, ..ActionPolicy::default() };
    let _running = Running::start(actions::serve(house.worker(), &policy).unwrap());
    let built_in = |action: BuiltIn, n: u32, input: serde_json::Value| Task {
        queue: actions::queue(),
        work: Work::BuiltIn(action),
        input: Json::of(&input),
        ..task("builtin", n)
    };
    let echo = built_in(BuiltIn::Process, 1, serde_json::json!({"command": ["echo", "hello"]}));
    house.tasks.publish(&echo).await.unwrap();
    let (report, _, place) = house.report().await;
    assert_eq!(output(&report), r#"{"exitCode":0,"stdout":"hello\n","stderr":"","truncated":false}"#);
    let local = built_in(BuiltIn::HttpRequest, 2, serde_json::json!({"url": "http://169.254.169.254/"}));
    house.accept(place, vec![local]).await;
    let (report, _, place) = house.report().await;
    assert_eq!(code(&report), "http_forbidden_target");
    house.accept(place, Vec::new()).await;
    house.until_queue_empty("builtin").await;
}

/// Prints how many steps a second a worker does against a shard that says yes to everything.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn speed() {
    const SECONDS: u64 = 3;
    for chains in [1_u32, 64, 256, 1024] {
        let mut house = House::new().await;
        let worker = house.worker().handler("double".parse().unwrap(), double).slots(2048);
        let running = Running::start(worker);
        let queue = headwater_core::run::queue_of_job(&"double".parse().unwrap());
        house.tasks.ensure_queue(&"acme".parse().unwrap(), &queue, QueueSettings::default()).await.unwrap();
        house.tasks.publish_all((0..chains).map(|n| task("double", n)).collect()).await;
        let (mut steps, mut frames, mut lease) = (0_u64, 0_u64, 1_000_000);
        let mut since = None;
        while since.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(SECONDS)) {
            let request = house.shard.next().await.unwrap();
            since.get_or_insert_with(Instant::now);
            let frame: WorkFrame = serde_json::from_slice(&request.payload).unwrap();
            let replies: Vec<WorkReply> = frame
                .requests
                .into_iter()
                .map(|request| match request {
                    WorkRequest::Report { .. } => {
                        lease += 1;
                        steps += 1;
                        WorkReply::Accepted { next: vec![task("double", lease)] }
                    }
                    WorkRequest::Heartbeat { .. } => WorkReply::Alive { cancelled: Vec::new() },
                    other => panic!("{other:?}"),
                })
                .collect();
            frames += 1;
            request.reply.send(serde_json::to_vec(&replies).unwrap().into()).await.unwrap();
        }
        println!("{chains:5} chains: {:6} steps/s, {:3} a frame", steps / SECONDS, steps / frames);
        running.task.abort();
    }
}
