//! How long a take-over takes, from the whole journal and from a checkpoint.

use std::collections::VecDeque;
use std::time::Instant;

use headwater_core::credit::{Credit, Hands, Term};
use headwater_core::run::{Report, ReportOutcome};
use headwater_core::{Epoch, SessionId};

use super::*;
use crate::shard_worker::ShardSettings;

/// Chains of ten jobs, of which every fifth waits at its first step for ever.
struct Story {
    /// A worker that takes everything.
    hands: Hands,
    owner: Owner<()>,
    reports: VecDeque<Submission>,
    starts: u128,
    events: u64,
    bytes: u64,
}

fn hands() -> Hands {
    let (mut hands, session) = (Hands::default(), SessionId::from_bits(1));
    let (workspace, queue) = ("default".parse().unwrap(), "work".parse().unwrap());
    hands.meet(&"worker-1".parse().unwrap(), session, &workspace, &[queue], Epoch::FIRST);
    let term = Term { epoch: Epoch::FIRST, meeting: 1 };
    hands.room(session).unwrap().hear(Credit { term, word: 1, lent: u64::MAX });
    hands
}

impl Story {
    const BUNDLE: usize = 64;

    async fn new(house: &House) -> Self {
        let owner = house.recover().await.owner;
        let mut story = Self { owner, hands: hands(), reports: VecDeque::new(), starts: 0, events: 0, bytes: 0 };
        let step = |at: usize| match at {
            0 => serde_json::json!({"id": "s0", "jobSlug": "work"}),
            _ => serde_json::json!({"id": format!("s{at}"), "jobSlug": "work", "dependsOn": [format!("s{}", at - 1)]}),
        };
        let document = serde_json::json!({"slug": "one", "steps": (0..10).map(step).collect::<Vec<_>>()});
        let document = compile(&document).unwrap().0.source;
        let Command::AdoptDefinition { key, version, .. } = wishes(0).remove(0).command else { unreachable!() };
        let command = Command::AdoptDefinition { key, version, document };
        story.owner.submit(
            (),
            Submission::new(CommandId::from_uuid(uuid::Uuid::new_v4()), command),
            now(),
            &mut story.hands,
        );
        story.append(house).await;
        story
    }

    fn next_wish(&mut self) -> Submission {
        self.reports.pop_front().unwrap_or_else(|| {
            self.starts += 1;
            let mut start = wishes(1).remove(1);
            if let Command::Run { run, command: RunCommand::StartRun(start) } = &mut start.command {
                *run = RunId::new(shard(), now(), self.starts << 20);
                start.input = Json::of(&serde_json::json!({"customer": self.starts, "note": "x".repeat(100)}));
            }
            Submission::new(CommandId::from_uuid(uuid::Uuid::new_v4()), start.command)
        })
    }

    async fn append(&mut self, house: &House) {
        let next = self.owner.next_append(BundleId::from_uuid(uuid::Uuid::new_v4())).unwrap();
        let bundle: Bundle = serde_json::from_slice(&next.bytes).unwrap();
        self.events += bundle.commits.iter().map(|commit| commit.events.len() as u64).sum::<u64>();
        self.bytes += next.bytes.len() as u64;
        let sequence = house.journal.append(next.bytes.into(), next.expected).await.unwrap();
        let answers = self.owner.appended(sequence).answers;
        let tasks = answers.into_iter().filter_map(|answer| Some(answer.outcome.ok()?.tasks));
        for (_, task) in tasks.flatten() {
            let number = task.run.cause() >> 20;
            if number % 5 != 0 {
                let report = Report {
                    node: task.node,
                    attempt: task.attempt,
                    lease: task.lease,
                    worker: "worker-1".parse().unwrap(),
                    started_at: now(),
                    outcome: ReportOutcome::Succeeded { output: Json::of(&"done"), assets: Vec::new() },
                };
                let command = Command::Run { run: task.run, command: RunCommand::ReportAttempt(report) };
                self.reports.push_back(Submission::new(CommandId::from_uuid(uuid::Uuid::new_v4()), command));
            }
        }
        self.owner.effects_delivered(Way::Lane(shard()), sequence);
    }

    async fn go_on(&mut self, house: &House, is_over: impl Fn(&Self) -> bool) {
        while !is_over(self) {
            for _ in 0..Self::BUNDLE {
                let wish = self.next_wish();
                self.owner.submit((), wish, now(), &mut self.hands);
            }
            self.append(house).await;
        }
    }
}

/// Prints how long it takes to recover a shard whose journal has about a million events.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn take_over_speed() {
    let house = House::new().await;
    let mut story = Story::new(&house).await;
    // The largest tail that is left to fold where checkpoints come as they are due.
    let tail = ShardSettings::CHECKPOINT_BYTES;
    story.go_on(&house, |story| story.events + tail * story.events / story.bytes > 1_000_000).await;
    let began = Instant::now();
    let checkpoint = house.write().await.len();
    println!("first checkpoint, from {} events: {:.2?}, {checkpoint} bytes", story.events, began.elapsed());
    story.go_on(&house, |story| story.events > 1_000_000).await;
    let (events, bytes) = (story.events, story.bytes);
    let bundles = house.end().await;
    println!("the journal: {events} events, {bundles} bundles, {bytes} bytes");
    for _ in 0..3 {
        let began = Instant::now();
        let fresh = Owner::<()>::new(Shard::new(shard(), house.map.clone()));
        let (whole, _) = fold_to(
            fresh,
            &JetStreamJournals::new(&house.broker),
            &ValueStore::new(&house.broker),
            Sequence::new(bundles),
        )
        .await
        .unwrap();
        let took = began.elapsed();
        println!("whole journal: {took:.2?}, {} runs active", whole.shard().active_runs());
        let began = Instant::now();
        let recovered = house.recover().await;
        let took = began.elapsed();
        assert_eq!(recovered.owner.shard().active_runs(), whole.shard().active_runs());
        println!("checkpoint and {} bundles, {} bytes: {took:.2?}", recovered.folded.bundles, recovered.folded.bytes);
    }
    let began = Instant::now();
    house.write().await;
    println!("next checkpoint: {:.2?}", began.elapsed());
    for _ in 0..3 {
        let began = Instant::now();
        let recovered = house.recover().await;
        println!("checkpoint and {} bundles: {:.2?}", recovered.folded.bundles, began.elapsed());
    }
}
