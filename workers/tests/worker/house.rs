//! A broker of its own, the shard the test plays, and a worker between them.

use std::collections::HashMap;
use std::time::Duration;

use headwater_core::protocol::{Task, Work, WorkFrame, WorkReply, WorkRequest};
use headwater_core::run::{Report, ReportOutcome};
use headwater_core::{Attempt, CommandId, JobSlug, Json, LeaseToken, RunId, ShardId, Timestamp};
use headwater_streams::requests::{self, Request, Requests};
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::subject::work_subject;
use headwater_streams::tasks::{QueueSettings, TaskQueue};
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, BrokerConfig};
use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker, WorkerBuilder};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct House {
    pub server: NatsServer,
    pub broker: Broker,
    pub tasks: TaskQueue,
    pub shard: Requests,
    /// Requests that came in frames and were not looked at yet, with their frame's number and place.
    pub open: Vec<(usize, usize, WorkRequest)>,
    pub frames: HashMap<usize, (Request, Vec<Option<WorkReply>>)>,
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
        let settings = QueueSettings { ack_wait: Duration::from_secs(2), ..QueueSettings::default() };
        let tasks = TaskQueue::new(&broker, settings);
        let shard = requests::serve(&broker, &work_subject(shard())).await.unwrap();
        let (open, frames) = (Vec::new(), HashMap::new());
        Self { server, broker, tasks, shard, open, frames, frames_seen: 0, _directory: directory }
    }

    pub fn worker(&self) -> WorkerBuilder {
        // As a program of a user would come.
        let config = BrokerConfig { request_timeout: Duration::from_secs(2), ..self.server.worker() };
        Worker::builder().workspace("acme".parse().unwrap()).broker(config).heartbeat_every(Duration::from_millis(200))
    }

    /// Waits for the next request that `wanted` takes; answers signs of life on the way.
    pub async fn request<T>(&mut self, mut wanted: impl FnMut(&WorkRequest) -> Option<T>) -> (T, (usize, usize)) {
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

    pub async fn answer(&mut self, (frame, place): (usize, usize), reply: WorkReply) {
        let (_, replies) = self.frames.get_mut(&frame).unwrap();
        replies[place] = Some(reply);
        if replies.iter().all(Option::is_some) {
            let (request, replies) = self.frames.remove(&frame).unwrap();
            let replies: Vec<WorkReply> = replies.into_iter().flatten().collect();
            request.reply.send(serde_json::to_vec(&replies).unwrap().into()).await.unwrap();
        }
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

    /// Waits until the queue holds nothing, handed out or not.
    pub async fn until_queue_empty(&self, job: &str) {
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

pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(since.as_micros() as u64)
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
        queue: headwater_core::run::queue_of_job(&job),
        work: Work::Job(job),
        input: Json::of(&n),
        assets: Vec::new(),
        deadline: None,
        heartbeat_timeout_ms: None,
        claim_first: false,
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
