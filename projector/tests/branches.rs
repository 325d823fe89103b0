//! What users see of runs whose nodes happen many times.

mod workload;

use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_core::run::NodeStatus;
use headwater_core::shard::{AggregateId, Event, Position};
use headwater_core::{BranchId, Revision, RunId, ShardId, WorkspaceId};
use headwater_projector::queries::{BranchFilter, Reads, TRACES_MAX, TraceFilter, branches as page_of};
use headwater_projector::server::PostgresServer;
use headwater_projector::tables::BranchStatus;
use headwater_projector::{Database, Projector};
use headwater_streams::journals::{Journals as _, MemoryJournals};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use workload::{Dice, Shard};

const DEADLINE: Duration = Duration::from_secs(60);
/// More than a run's answer has attempts, and than one fact opens.
const ITEMS: u32 = 2_500;

fn workspace() -> WorkspaceId {
    "default".parse().unwrap()
}

fn run(event: Value) -> Value {
    json!({"run": event})
}

fn started() -> Value {
    run(
        json!({"runStarted": {"workspace": "default", "workflow": "flow", "version": 1, "input": {}, "trigger": {"manual": {}}}}),
    )
}

fn items(node: &str, count: u32) -> Value {
    run(json!({"itemsListed": {"node": node, "items": (0..count).collect::<Vec<_>>()}}))
}

fn opened(node: &str, first: u32, from: u32, count: u32) -> Value {
    let kind = if node.starts_with("each") { "item" } else { "turn" };
    run(json!({"branchesOpened": {"node": node, "kind": kind, "first": first, "from": from, "count": count}}))
}

fn over(branch: u32, outcome: Value) -> Value {
    run(json!({"branchEnded": {"branch": branch, "outcome": outcome}}))
}

fn well(branch: u32) -> Value {
    over(branch, json!({"succeeded": {"output": branch}}))
}

fn turned(branch: u32, again: bool) -> Value {
    over(branch, json!({"turned": {"again": again}}))
}

fn queued(node: &str) -> Value {
    run(json!({"attemptScheduled": {"node": node, "attempt": 1, "lease": "00000000000000aa", "input": {}}}))
}

fn done(node: &str) -> Value {
    run(json!({"nodeSucceeded": {"node": node, "attempt": 1, "output": 1}}))
}

fn dead(node: &str) -> [Value; 2] {
    let failure = json!({"code": "boom", "message": "it broke"});
    [
        run(json!({"attemptFailed": {"node": node, "attempt": 1, "failure": failure}})),
        run(json!({"nodeFailed": {"node": node, "failure": failure}})),
    ]
}

struct House {
    _folder: tempfile::TempDir,
    server: PostgresServer,
    reads: Reads,
    runs: Vec<RunId>,
}

impl House {
    /// Projects runs of the one workflow, each of which is a commit for each list of events.
    async fn of(runs: Vec<Vec<Vec<Value>>>) -> Self {
        let document = json!({"slug": "flow", "nodes": [
            {"id": "each", "forEach": {"items": "${{ input.items }}", "body": {"nodes": [
                {"id": "one", "jobSlug": "work"}, {"id": "two", "jobSlug": "work"}],
                "transitions": [{"from": "one", "to": "two"}]}}},
            {"id": "draft", "jobSlug": "work"}, {"id": "rate", "jobSlug": "work"}],
            "transitions": [{"from": "each", "to": "draft"}, {"from": "draft", "to": "rate"},
                {"from": "rate", "to": "draft", "maxIterations": 9}]});
        let (journal, mut dice, mut shard) = (MemoryJournals::new(), Dice::new(3), Shard::new(0));
        let mut commit = |aggregate: AggregateId, revision: &mut Revision, events: Value| {
            let events: Vec<Event> = serde_json::from_value(events).unwrap();
            shard.commit(&mut dice, aggregate, revision, events);
            journal.append(shard.id, shard.close(&mut dice));
        };
        let applied =
            json!([{"workflow": {"workflowApplied": {"version": 1, "contentHash": "x", "document": document}}}]);
        commit("workflow/default/flow".parse().unwrap(), &mut Revision::FIRST.clone(), applied);
        let mut ids = Vec::new();
        for (number, commits) in (1..).zip(runs) {
            let id = RunId::from_uuid(uuid::Uuid::from_u128(0x0197_a3f0_7c00_7abc_8def_0123_4567_8800 + number));
            let mut revision = Revision::FIRST;
            for events in commits {
                commit(AggregateId::Run(id), &mut revision, json!(events));
            }
            ids.push(id);
        }
        let folder = tempfile::tempdir().unwrap();
        let server = PostgresServer::start(folder.path()).await.unwrap();
        let database = Database::open(&server.url()).await.unwrap();
        let zero = ShardId::new(0).unwrap();
        let projector = Projector::new(database.clone(), Arc::new(journal.clone()), vec![zero]);
        let (progress, stop) = (projector.progress(), CancellationToken::new());
        let task = tokio::spawn(projector.run(stop.clone()));
        let sequence = journal.head(zero).await.unwrap();
        progress.wait_for(Position { shard: zero, sequence }, DEADLINE).await.unwrap();
        stop.cancel();
        task.await.unwrap();
        let reads = Reads::of(database);
        assert_eq!(reads.dead_event_count().await.unwrap(), 0);
        Self { _folder: folder, server, reads, runs: ids }
    }

    /// Every node of a run in a few words: its status, its attempts, and how its branches stand.
    async fn nodes(&self, run: usize) -> Vec<String> {
        let detail = self.reads.run(&workspace(), self.runs[run]).await.unwrap().unwrap();
        let nodes = detail.nodes.iter().map(|node| {
            let branches = node
                .branches
                .as_ref()
                .map(|b| format!(" {}s {}: {} {} {} {}", b.kind, b.total, b.open, b.succeeded, b.failed, b.cancelled));
            let reason = node.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("{} {} {}{reason}{}", node.node_id, node.status, node.attempts, branches.unwrap_or_default())
        });
        nodes.collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_in_branches_stands_where_they_stand_together() {
    let begun = || vec![started(), items("each", 3), opened("each", 1, 0, 2), queued("one@1"), queued("one@2")];
    let first_is_through = || vec![done("one@1"), queued("two@1"), done("two@1"), well(1), opened("each", 3, 2, 1)];
    let [failed, ended] = dead("one@2");
    let second_fails = || {
        vec![
            failed.clone(),
            ended.clone(),
            over(2, json!({"failed": {"failure": {"code": "boom", "message": "it broke"}}})),
        ]
    };
    let third_is_through = || vec![queued("one@3"), done("one@3"), done("two@3"), well(3), done("each")];
    let turns =
        || vec![opened("draft", 4, 0, 1), done("draft@4"), done("rate@4"), turned(4, true), opened("draft", 5, 1, 1)];
    let last_turn_fails = || {
        let mut events = vec![done("draft@5"), queued("rate@5")];
        events.extend(dead("rate@5"));
        let withdrawn = run(json!({"nodeCancelled": {"node": "draft"}}));
        events.extend([over(5, json!({"cancelled": {}})), withdrawn]);
        events.push(run(json!({"runFailed": {"failure": {"code": "boom", "message": "it broke"}}})));
        events
    };
    let house = House::of(vec![
        vec![begun()],
        vec![begun(), first_is_through()],
        vec![begun(), first_is_through(), second_fails()],
        vec![begun(), first_is_through(), second_fails(), third_is_through(), turns()],
        vec![begun(), first_is_through(), second_fails(), third_is_through(), turns(), last_turn_fails()],
        vec![vec![started(), items("each", 0), done("each")]],
        vec![vec![started(), run(json!({"nodeSkipped": {"node": "each"}}))]],
    ])
    .await;
    let unreached = ["draft pending 0", "rate pending 0"];
    let expect = async |run, nodes: [&str; 3], rest: [&str; 2]| {
        assert_eq!(house.nodes(run).await, [&nodes[..], &rest[..]].concat(), "{run}");
    };
    expect(0, ["each running 1 items 3: 2 0 0 0", "one queued 2", "two pending 0"], unreached).await;
    // Those that are to come are open as well.
    expect(1, ["each running 1 items 3: 2 1 0 0", "one running 2", "two running 1"], unreached).await;
    expect(2, ["each running 1 items 3: 1 1 1 0", "one running 2", "two running 1"], unreached).await;
    let through = ["each succeeded 1 items 3: 0 2 1 0", "one failed 3", "two succeeded 2"];
    expect(3, through, ["draft pending 1 turns 2: 1 1 0 0", "rate pending 1"]).await;
    expect(4, through, ["draft succeeded 2 turns 2: 0 1 0 1", "rate failed 2"]).await;
    expect(5, ["each succeeded 1 items 0: 0 0 0 0", "one skipped 0", "two skipped 0"], unreached).await;
    expect(6, ["each skipped 0", "one skipped 0", "two skipped 0"], unreached).await;
    house.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn loops_in_loops_and_items_in_turns_count_by_their_last_turn() {
    // The first node of the outer loop is that of the inner one too; a second turn of it has a fan-out of its own.
    let house = House::of(vec![vec![vec![
        started(),
        opened("draft", 1, 0, 1),
        opened("draft@1", 2, 0, 1),
        done("draft@2"),
        turned(2, true),
        opened("draft@1", 3, 1, 1),
        done("draft@3"),
        turned(3, false),
        items("each@1", 2),
        opened("each@1", 4, 0, 2),
        queued("one@4"),
        queued("one@5"),
        done("one@4"),
        done("one@5"),
        well(4),
        well(5),
        done("each@1"),
        turned(1, true),
        opened("draft", 6, 1, 1),
        opened("draft@6", 7, 0, 1),
        queued("draft@7"),
    ]]])
    .await;
    let nodes = house.nodes(0).await;
    // Both loops have the one first node: of three turns under way or before, one is the inner one's.
    assert_eq!(
        nodes,
        ["each pending 1", "one pending 2", "two pending 0", "draft queued 3 turns 3: 2 1 0 0", "rate pending 0"]
    );
    house.server.stop().await.unwrap();
}

/// A run with more items than a page holds, of which every tenth fails and the last is still to end.
fn wide() -> Vec<Vec<Value>> {
    let mut commits = vec![vec![started(), items("each", ITEMS)]];
    for from in (0..ITEMS).step_by(1_000) {
        commits.push(vec![opened("each", from + 1, from, 1_000.min(ITEMS - from))]);
    }
    for branch in 1..=ITEMS {
        let (one, two) = (format!("one@{branch}"), format!("two@{branch}"));
        let mut events = vec![queued(&one), done(&one), queued(&two)];
        match branch {
            ITEMS => {}
            _ if branch % 10 == 0 => {
                events.extend(dead(&two));
                events.push(over(branch, json!({"failed": {"failure": {"code": "boom", "message": "it broke"}}})));
            }
            _ => events.extend([done(&two), well(branch)]),
        }
        commits.push(events);
    }
    commits
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wide_run_is_shown_in_short_and_paged_through() {
    let house = House::of(vec![wide()]).await;
    let (reads, id) = (&house.reads, house.runs[0]);
    let asked = Instant::now();
    let detail = reads.run(&workspace(), id).await.unwrap().unwrap();
    println!("a run of {ITEMS} items is read in {:?}", asked.elapsed());
    assert_eq!((detail.traces.len() as u32, detail.has_more_traces), (TRACES_MAX, true));
    assert_eq!((detail.traces[0].node_id.as_str(), detail.traces[0].branch), ("each", 0));
    assert!(detail.traces.windows(2).all(|pair| pair[0].scheduled_at <= pair[1].scheduled_at));
    let nodes = house.nodes(0).await;
    let failed = ITEMS / 10 - 1;
    let each = format!("each running 1 items {ITEMS}: 1 {} {failed} 0", ITEMS - 1 - failed);
    assert_eq!(nodes[..3], [each, format!("one succeeded {ITEMS}"), format!("two running {ITEMS}")]);

    let (mut traces, mut after) = (Vec::new(), None);
    loop {
        let filter = TraceFilter::default();
        let page = reads.traces(&workspace(), id, &filter, after, 1_000).await.unwrap().unwrap();
        traces.extend(page.traces.into_iter().map(|trace| (trace.node_id, trace.branch, trace.attempt)));
        let Some(next) = page.next else { break };
        after = Some(next.parse().unwrap());
    }
    assert_eq!(traces.len() as u32, 1 + 2 * ITEMS);
    assert!(traces.is_sorted() && traces.windows(2).all(|pair| pair[0] != pair[1]));
    let of = |filter: TraceFilter| async move {
        reads.traces(&workspace(), id, &filter, None, 1_000).await.unwrap().unwrap().traces
    };
    let failed_ones = of(TraceFilter { status: Some(NodeStatus::Failed), ..TraceFilter::default() }).await;
    assert_eq!(failed_ones.len() as u32, failed);
    let of_one = of(TraceFilter { branch: Some(BranchId::new(20)), ..TraceFilter::default() }).await;
    let of_one: Vec<_> = of_one.iter().map(|trace| (trace.node_id.as_str(), trace.status.as_str())).collect();
    assert_eq!(of_one, [("one", "succeeded"), ("two", "failed")]);
    let root =
        of(TraceFilter { branch: Some(BranchId::ROOT), node: Some("each".parse().unwrap()), status: None }).await;
    assert_eq!((root.len(), root[0].status.as_str()), (1, "running"));

    let (mut branches, mut after) = (Vec::new(), None);
    loop {
        let filter = BranchFilter { node: Some("each".parse().unwrap()), parent: Some(BranchId::ROOT), status: None };
        let page = page_of(reads, &workspace(), id, &filter, after, 700).await.unwrap().unwrap();
        branches.extend(page.branches);
        let Some(next) = page.next else { break };
        after = Some(next.parse().unwrap());
    }
    let numbers: Vec<_> = branches.iter().map(|branch| (branch.branch, branch.position)).collect();
    assert_eq!(numbers, (1..=ITEMS).zip(0..).collect::<Vec<_>>());
    let tenth = serde_json::to_value(&branches[9]).unwrap();
    assert_eq!((&tenth["kind"], &tenth["status"], &tenth["output"]), (&json!("item"), &json!("failed"), &Value::Null));
    assert_eq!(tenth["error"], json!({"code": "boom", "message": "it broke"}));
    assert_eq!(serde_json::to_value(&branches[0]).unwrap()["output"], 1);
    let running = BranchFilter { status: Some(BranchStatus::Running), ..BranchFilter::default() };
    let running = page_of(reads, &workspace(), id, &running, None, 100).await.unwrap().unwrap();
    assert_eq!(running.branches.iter().map(|branch| branch.branch).collect::<Vec<_>>(), [ITEMS]);
    let elsewhere = BranchFilter { parent: Some(BranchId::new(7)), ..BranchFilter::default() };
    assert!(page_of(reads, &workspace(), id, &elsewhere, None, 100).await.unwrap().unwrap().branches.is_empty());
    let stranger: WorkspaceId = "stranger".parse().unwrap();
    assert!(page_of(reads, &stranger, id, &BranchFilter::default(), None, 100).await.unwrap().is_none());
    assert!(reads.traces(&stranger, id, &TraceFilter::default(), None, 100).await.unwrap().is_none());
    house.server.stop().await.unwrap();
}
