//! Those who follow runs: everyone gets every event once, and all together cost the database as much as one.

mod door;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use door::Door;
use headwater_core::run::{RunEvent, Trigger};
use headwater_core::shard::{AggregateId, Event, Position};
use headwater_core::{DefinitionVersion, Json, Revision, RunId, ShardId};
use headwater_projector::live::{Hub, Live};
use headwater_projector::queries::Reads;
use headwater_projector::server::PostgresServer;
use headwater_projector::{Database, Observer, Progress, Projector};
use headwater_streams::journals::MemoryJournals;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use workload::{Dice, Shard};

const DEADLINE: Duration = Duration::from_secs(120);
/// What looks for those who wait is called by this.
const LOOK: &str = "AS s (run_id, after, place)";

/// A run as its journal is written.
struct Told {
    id: RunId,
    next: Revision,
    shard: usize,
}

/// A projector as of another process, and a hub that sees the database through a door.
struct House {
    _folder: tempfile::TempDir,
    server: PostgresServer,
    door: Door,
    journal: MemoryJournals,
    shards: [Shard; 2],
    dice: Dice,
    projected: Progress,
    live: Live,
    hub: Hub,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl House {
    async fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = PostgresServer::start(folder.path()).await.unwrap();
        let door = Door::open(server.port());
        let shards = [Shard::new(0), Shard::new(1)];
        let ids = [shards[0].id, shards[1].id];
        let (journal, stop, live) = (MemoryJournals::new(), CancellationToken::new(), Live::default());
        let database = Database::open(&server.url()).await.unwrap();
        let projector = Projector::new(database, Arc::new(journal.clone()), ids.to_vec());
        let projected = projector.progress();
        let elsewhere = Database::at(&door.address(&server.url())).unwrap();
        let observer = Observer::new(elsewhere.clone(), &ids);
        let hub = Hub::new(&live, Reads::of(elsewhere), observer.progress());
        let tasks = vec![
            tokio::spawn(projector.run(stop.clone())),
            tokio::spawn(observer.run(stop.clone())),
            tokio::spawn(hub.clone().run(stop.clone())),
        ];
        let dice = Dice::new(7);
        Self { _folder: folder, server, door, journal, shards, dice, projected, live, hub, stop, tasks }
    }

    /// Starts runs, in one bundle for each shard.
    async fn start(&mut self, count: usize) -> Vec<Told> {
        let mut runs = Vec::new();
        for number in 0..count {
            let shard = number % 2;
            let id = RunId::new(self.shards[shard].id, self.shards[shard].clock, self.dice.wide());
            let mut run = Told { id, next: Revision::FIRST, shard };
            let started = RunEvent::RunStarted {
                workspace: "default".parse().unwrap(),
                workflow: "w".parse().unwrap(),
                version: DefinitionVersion::new(1),
                input: Json::empty_object(),
                trigger: Trigger::Manual {},
                keyed: false,
                targets: Vec::new(),
                continued: None,
            };
            self.commit(&mut run, started);
            runs.push(run);
        }
        self.append().await;
        runs
    }

    fn commit(&mut self, run: &mut Told, event: RunEvent) {
        let shard = &mut self.shards[run.shard];
        shard.commit(&mut self.dice, AggregateId::Run(run.id), &mut run.next, vec![Event::Run(event)]);
    }

    /// Lets something happen in a run that does not end it.
    fn step(&mut self, run: &mut Told) {
        let node = format!("n{}", run.next).parse().unwrap();
        self.commit(run, RunEvent::NodeSkipped { node });
    }

    fn end(&mut self, run: &mut Told) {
        self.commit(run, RunEvent::RunSucceeded { output: Json::empty_object(), successor: None });
    }

    /// Appends what was committed, without waiting until it is projected. Returns where it stands.
    fn tell(&mut self) -> Vec<Position> {
        let (journal, dice) = (&self.journal, &mut self.dice);
        let open = self.shards.iter_mut().filter(|shard| shard.open_commits() > 0);
        open.map(|shard| Position { shard: shard.id, sequence: journal.append(shard.id, shard.close(dice)) }).collect()
    }

    async fn append(&mut self) {
        for position in self.tell() {
            self.projected.wait_for(position, DEADLINE).await.unwrap();
        }
    }

    /// Follows a run to its end and returns the revisions that came.
    fn follow(&self, run: &Told, after: u64) -> impl Future<Output = Vec<u64>> + Send + 'static {
        let (live, run) = (self.live.clone(), run.id);
        async move {
            let mut came = Vec::new();
            loop {
                let at = came.last().copied().unwrap_or(after);
                let page = live.behind(run, Revision::new(at)).await.unwrap();
                came.extend(page.events.iter().map(|event| event.revision));
                if page.is_last {
                    return came;
                }
            }
        }
    }

    async fn until_waiting(&self, count: usize) {
        let all = async {
            while self.hub.waiting() != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, all).await.unwrap_or_else(|_| panic!("{} wait", self.hub.waiting()));
    }

    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
        }
    }
}

async fn all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut outputs = Vec::new();
    while let Some(output) = tokio::time::timeout(DEADLINE, tasks.join_next()).await.expect("all come to their end") {
        outputs.push(output.unwrap());
    }
    outputs
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_who_wait_cost_the_database_as_much_as_one() {
    let mut house = House::build().await;
    let mut runs = house.start(2_001).await;
    let mut other = runs.pop().unwrap();
    let mut costs = Vec::new();
    for followed in [1, 2_000] {
        let mut following = JoinSet::new();
        for run in &runs[..followed] {
            following.spawn(house.follow(run, 1));
        }
        house.until_waiting(followed).await;
        let before = house.door.statements("");
        // Something happens beside them again and again, on a shard of half of them.
        for _ in 0..100 {
            house.step(&mut other);
            house.append().await;
        }
        costs.push(house.door.statements("") - before);
        following.shutdown().await;
        house.until_waiting(0).await;
    }
    println!("statements for 100 changes elsewhere, with one who waits and with 2,000: {costs:?}");
    // Looking at the cursors goes by time, and a busy machine takes longer: hence the room. One look for each of those who
    // wait would be 200,000.
    assert!(costs[1] < costs[0] * 4 + 400, "{costs:?}: {:#?}", house.door.all());
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_at_one_place_cost_one_look_for_each_change() {
    let mut house = House::build().await;
    let mut run = house.start(1).await.remove(0);
    let mut following = JoinSet::new();
    for _ in 0..2_000 {
        following.spawn(house.follow(&run, 0));
    }
    house.until_waiting(2_000).await;
    let before = house.door.statements(LOOK);
    for _ in 0..50 {
        house.step(&mut run);
        house.append().await;
        house.until_waiting(2_000).await;
    }
    house.end(&mut run);
    house.append().await;
    for came in all(following).await {
        assert_eq!(came, (1..=52).collect::<Vec<u64>>());
    }
    let looks = house.door.statements(LOOK) - before;
    println!("looks for 51 changes of a run that 2,000 follow: {looks}");
    // One for each change; one more where somebody comes back while the next change is there, and at each sweep.
    assert!(looks <= 51 * 3 + 50, "{looks}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_comes_once_to_everyone_across_crashes_of_the_database() {
    let mut house = House::build().await;
    let mut runs = house.start(20).await;
    let mut following = JoinSet::new();
    for (number, run) in runs.iter().enumerate() {
        // From the beginning, from behind the first event, and from behind what is still to come.
        for after in [0, 1, 1 + number as u64 % 5] {
            let followed = house.follow(run, after);
            following.spawn(async move { (after, followed.await) });
        }
    }
    for round in 0..30 {
        for run in &mut runs {
            house.step(run);
        }
        house.tell();
        match round {
            10 | 20 => {
                house.server.kill().await.unwrap();
                house.server.restart().await.unwrap();
            }
            _ => {}
        }
    }
    for run in &mut runs {
        house.end(run);
    }
    house.append().await;
    for (after, came) in all(following).await {
        assert_eq!(came, (after + 1..=32).collect::<Vec<u64>>(), "from behind {after}");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_says_is_found_all_the_same() {
    let mut house = House::build().await;
    let mut run = house.start(1).await.remove(0);
    // A hub whose observer never says anything: as if every piece of news were lost.
    let database = Database::open(&house.server.url()).await.unwrap();
    let silent = Observer::new(database.clone(), &[ShardId::new(0).unwrap()]);
    let live = Live::default();
    let hub = Hub::new(&live, Reads::of(database), silent.progress());
    let task = tokio::spawn(hub.run(house.stop.clone()));
    assert_eq!(live.behind(run.id, Revision::new(0)).await.unwrap().events.len(), 1);
    let next = tokio::spawn({
        let (live, run) = (live.clone(), run.id);
        async move { live.behind(run, Revision::FIRST).await.unwrap().events[0].revision }
    });
    house.step(&mut run);
    house.append().await;
    assert_eq!(tokio::time::timeout(DEADLINE, next).await.unwrap().unwrap(), 2);
    house.stop().await;
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_where_it_would_grow_too_large_and_the_next_goes_on_from_there() {
    let mut house = House::build().await;
    let mut run = house.start(1).await.remove(0);
    let large = Json::of(&serde_json::json!("x".repeat(50_000)));
    for number in 0..40 {
        if number % 4 == 0 {
            let node = format!("n{}", run.next).parse().unwrap();
            let failed = RunEvent::NodeFailed {
                node,
                failure: headwater_core::run::RunFailure::new("large", large.as_str()),
                taken: Vec::new(),
                tolerated: false,
            };
            house.commit(&mut run, failed);
        } else {
            house.step(&mut run);
        }
    }
    house.end(&mut run);
    house.append().await;
    let (mut came, mut pages) = (Vec::new(), 0);
    loop {
        let at = Revision::new(came.last().copied().unwrap_or(0));
        let page = house.live.behind(run.id, at).await.unwrap();
        let bytes: usize = page.events.iter().map(|event| event.event.len_bytes()).sum();
        // What begins within the bound is whole.
        assert!(page.events.len() <= 16 && bytes <= (64 << 10) + 51_000, "{} events, {bytes} bytes", page.events.len());
        came.extend(page.events.iter().map(|event| event.revision));
        pages += 1;
        if page.is_last {
            break;
        }
    }
    assert_eq!(came, (1..=42).collect::<Vec<u64>>());
    assert!(pages >= 5, "{pages}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_pages_wait_for_room_and_small_ones_do_not() {
    let mut house = House::build().await;
    let mut runs = house.start(9).await;
    let mut small = runs.pop().unwrap();
    let text = "x".repeat(1 << 20);
    for run in &mut runs {
        let node = format!("n{}", run.next).parse().unwrap();
        let failure = headwater_core::run::RunFailure::new("large", text.as_str());
        house.commit(run, RunEvent::NodeFailed { node, failure, taken: Vec::new(), tolerated: false });
    }
    house.append().await;
    let database = Database::open(&house.server.url()).await.unwrap();
    let live = Live::default();
    // Room for five of them; one look needs twelve MiB to be left.
    let hub = Hub::new(&live, Reads::of(database), house.projected.clone()).with_room(12 * 1024 + 4 * 1100);
    let task = tokio::spawn(hub.run(house.stop.clone()));
    let mut held = Vec::new();
    for run in &runs[..5] {
        held.push(live.behind(run.id, Revision::FIRST).await.unwrap());
    }
    let last = tokio::spawn({
        let (live, run) = (live.clone(), runs[7].id);
        async move { live.behind(run, Revision::FIRST).await.unwrap().events[0].revision }
    });
    for revision in 2..10 {
        house.step(&mut small);
        house.append().await;
        let page = live.behind(small.id, Revision::new(revision - 1)).await.unwrap();
        assert_eq!(page.events[0].revision, revision);
    }
    assert!(!last.is_finished(), "there is no room for another");
    drop(held);
    assert_eq!(tokio::time::timeout(DEADLINE, last).await.expect("there is room again").unwrap(), 2);
    house.stop().await;
    task.await.unwrap();
}
