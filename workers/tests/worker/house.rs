//! A broker of its own, the shard the test plays, and a worker between them.

use std::collections::HashMap;
use std::time::Duration;

use headwater_core::credit::{Standing, Term};
use headwater_core::protocol::{Handed, Hello, Task, Work, WorkAnswer, WorkFrame, WorkReply, WorkRequest};
use headwater_core::run::{Report, ReportOutcome};
use headwater_core::{Attempt, CommandId, Epoch, JobSlug, Json, LeaseToken, RunId, SessionId, ShardId, Timestamp};
pub use headwater_streams::clock::now;
use headwater_streams::requests::ReplyTo;
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::topology::Topology;
use headwater_streams::work::{self, Frames, Hellos, Said};
use headwater_streams::{Broker, BrokerConfig};
use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker, WorkerBuilder};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct House {
    pub server: NatsServer,
    pub broker: Broker,
    pub shard: Frames,
    hellos: Hellos,
    /// What was handed to the worker so far, in how many messages.
    handed: u64,
    message: u64,
    /// What the worker has lent, in all.
    pub lent: u64,
    /// Requests that came in frames and were not looked at yet, with their frame's number and place.
    pub open: Vec<(usize, usize, WorkRequest)>,
    pub frames: HashMap<usize, (ReplyTo, Vec<Option<WorkReply>>)>,
    pub frames_seen: usize,
    _directory: tempfile::TempDir,
}

impl House {
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path().join("nats"));
        let server = NatsServer::start(&ServerBinary::find().unwrap(), config).unwrap();
        let broker = Broker::connect(&server.engine()).await.unwrap();
        Topology::new(1, 1).unwrap().apply(&broker).await.unwrap();
        let shard = work::hear_frames(&broker, shard()).await.unwrap();
        let hellos = work::hear_hellos(&broker).await.unwrap();
        let (open, frames) = (Vec::new(), HashMap::new());
        Self {
            server,
            broker,
            shard,
            hellos,
            handed: 0,
            message: 0,
            lent: 0,
            open,
            frames,
            frames_seen: 0,
            _directory: directory,
        }
    }

    /// How the shard stands with the worker.
    fn standing(&mut self, tasks: usize) -> Standing {
        self.handed += tasks as u64;
        self.message += u64::from(tasks > 0);
        let term = Term { epoch: Epoch::FIRST, meeting: 1 };
        Standing { term, handed: self.handed, unheard: tasks as u64, message: self.message, waiting: false }
    }

    /// Hands tasks to the worker that says hello next.
    pub async fn hand(&mut self, tasks: Vec<Task>) {
        let session = self.greeted().await;
        self.hand_to(session, tasks).await;
    }

    pub async fn hand_to(&mut self, session: SessionId, tasks: Vec<Task>) {
        let handed = Handed { shard: shard(), standing: self.standing(tasks.len()), tasks };
        work::hand(&self.broker, &"acme".parse().unwrap(), session, &handed).await.unwrap();
    }

    /// Hands tasks over with the number of a message that was heard before.
    pub async fn hand_late(&mut self, session: SessionId, tasks: Vec<Task>) {
        let standing = self.standing(0);
        let handed = Handed { shard: shard(), standing, tasks };
        work::hand(&self.broker, &"acme".parse().unwrap(), session, &handed).await.unwrap();
    }

    /// Waits for a frame that carries credit only, and returns what was lent in all.
    pub async fn credit(&mut self) -> u64 {
        let look = async {
            loop {
                let Said { payload, reply, .. } = self.shard.next().await.unwrap();
                let frame: WorkFrame = serde_json::from_slice(&payload).unwrap();
                assert!(frame.requests.is_empty(), "nothing was handed over yet: {frame:?}");
                self.send(reply, Vec::new()).await;
                if frame.credit.lent > 0 {
                    self.lent = frame.credit.lent;
                    return frame.credit.lent;
                }
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("the worker lends something")
    }

    /// Waits for a worker that introduces itself.
    pub async fn greeted(&mut self) -> SessionId {
        let hello = async {
            loop {
                let (_, payload) = self.hellos.next().await.unwrap();
                let hello: Hello = serde_json::from_slice(&payload).unwrap();
                if !hello.leaving {
                    return hello.session;
                }
            }
        };
        tokio::time::timeout(PATIENCE, hello).await.expect("a worker introduces itself")
    }

    pub fn worker(&self) -> WorkerBuilder {
        // As a program of a user would come.
        let config = BrokerConfig { request_timeout: Duration::from_secs(2), ..self.server.worker() };
        Worker::builder().workspace("acme".parse().unwrap()).broker(config).heartbeat_every(Duration::from_millis(200))
    }

    /// Waits for the next request that `wanted` takes; answers signs of life while there is none.
    pub async fn request<T>(&mut self, mut wanted: impl FnMut(&WorkRequest) -> Option<T>) -> (T, (usize, usize)) {
        let look = async {
            loop {
                if let Some(ix) = self.open.iter().position(|(.., request)| wanted(request).is_some()) {
                    let (frame, place, request) = self.open.remove(ix);
                    return (wanted(&request).unwrap(), (frame, place));
                }
                for (frame, place, request) in std::mem::take(&mut self.open) {
                    match request {
                        WorkRequest::Heartbeat { .. } => {
                            self.answer(
                                (frame, place),
                                WorkReply::Alive { cancelled: Vec::new(), unclear: Vec::new(), stopping: Vec::new() },
                            )
                            .await;
                        }
                        WorkRequest::Started { .. } => self.accept((frame, place), Vec::new()).await,
                        other => self.open.push((frame, place, other)),
                    }
                }
                let Said { payload, reply, .. } = self.shard.next().await.unwrap();
                let frame: WorkFrame = serde_json::from_slice(&payload).unwrap();
                self.lent = frame.credit.lent;
                if frame.requests.is_empty() {
                    self.send(reply, Vec::new()).await;
                    continue;
                }
                let number = self.frames_seen;
                self.frames_seen += 1;
                self.frames.insert(number, (reply, vec![None; frame.requests.len()]));
                self.open.extend(frame.requests.into_iter().enumerate().map(|(place, r)| (number, place, r)));
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("the worker says nothing of the kind")
    }

    pub async fn answer(&mut self, (frame, place): (usize, usize), reply: WorkReply) {
        let (_, replies) = self.frames.get_mut(&frame).unwrap();
        replies[place] = Some(reply);
        if replies.iter().all(Option::is_some) {
            let (reply, replies) = self.frames.remove(&frame).unwrap();
            self.send(reply, replies.into_iter().flatten().collect()).await;
        }
    }

    pub async fn send(&mut self, reply: ReplyTo, replies: Vec<WorkReply>) {
        let carried = |reply: &WorkReply| if let WorkReply::Accepted { next } = reply { next.len() } else { 0 };
        let standing = Some(self.standing(replies.iter().map(carried).sum()));
        let answer = WorkAnswer { shard: shard(), standing, replies, malformed: None };
        reply.send(serde_json::to_vec(&answer).unwrap().into()).await.unwrap();
    }

    /// Accepts the only report of a frame, but a message that was sent after the answer comes before it.
    pub async fn accept_overtaken(&mut self, frame: usize, next: Vec<Task>, session: SessionId, later: Vec<Task>) {
        let (reply, _) = self.frames.remove(&frame).unwrap();
        let standing = Some(self.standing(next.len()));
        let replies = vec![WorkReply::Accepted { next }];
        let answer = WorkAnswer { shard: shard(), standing, replies, malformed: None };
        self.hand_to(session, later).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        reply.send(serde_json::to_vec(&answer).unwrap().into()).await.unwrap();
    }

    pub async fn report(&mut self) -> (Report, CommandId, (usize, usize)) {
        let ((report, id), place) = self
            .request(|request| match request {
                WorkRequest::Report { report, id, .. } => Some((report.clone(), *id)),
                _ => None,
            })
            .await;
        (report, id, place)
    }

    pub async fn accept(&mut self, place: (usize, usize), next: Vec<Task>) {
        self.answer(place, WorkReply::Accepted { next }).await;
    }
}

pub struct Running {
    pub stop: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<()>,
}

impl Running {
    pub fn start(worker: WorkerBuilder) -> Self {
        let worker = worker.build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await.unwrap() });
        Self { stop: Some(stop), task }
    }

    pub fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn stopped(self) {
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

pub fn shard() -> ShardId {
    ShardId::new(0).unwrap()
}

pub fn task(job: &str, n: u32) -> Task {
    let job: JobSlug = job.parse().unwrap();
    Task {
        workspace: "acme".parse().unwrap(),
        workflow: "w".parse().unwrap(),
        run: RunId::new(shard(), Timestamp::from_micros(1), u128::from(n) << 20),
        node: "n".parse().unwrap(),
        attempt: Attempt::FIRST,
        lease: LeaseToken::from_bits(u64::from(n)),
        queue: headwater_core::definition::queue_of_job(&job),
        work: Work::Job(job),
        input: Json::of(&n),
        assets: Vec::new(),
        effects_key: None,
        deadline: None,
        heartbeat_timeout_ms: None,
    }
}

pub fn output(report: &Report) -> &str {
    match &report.outcome {
        ReportOutcome::Succeeded { output, .. } => output.as_str(),
        ReportOutcome::Failed { code, message, .. } => panic!("{code}: {message}"),
    }
}

pub fn code(report: &Report) -> &str {
    match &report.outcome {
        ReportOutcome::Succeeded { output, .. } => panic!("{output:?}"),
        ReportOutcome::Failed { code, .. } => code,
    }
}

pub async fn double(_: Context, n: u32) -> Result<Outcome, HandlerError> {
    Ok(Outcome::of(&(n * 2)))
}
