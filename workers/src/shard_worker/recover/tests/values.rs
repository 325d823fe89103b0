//! Recovery of what stands in the store of values.

use headwater_core::run::RunStatus;
use headwater_core::shard::RefoldOrder;
use headwater_core::shard::{AggregateId, ReleaseBy};
use headwater_streams::journals::{Journals as _, MemoryJournals};
use headwater_streams::values::{MemoryValues, ValueError, Values};

use super::super::folding::{Folded, Found, Lessons, Trust, fold_found};
use super::*;
use crate::shard_worker::refold::refold;
use crate::shard_worker::values::store;

fn run(number: u128) -> RunId {
    RunId::new(shard(), now(), number << 20)
}

/// A journal of two runs with a large value each, and a job that waits; its store of values.
async fn told() -> (MemoryJournals, MemoryValues) {
    let (journals, values) = (MemoryJournals::new(), MemoryValues::new());
    let document = serde_json::json!({"slug": "one", "nodes": [
        {"id": "made", "action": {"kind": "transform", "output": "${{ input.s + input.s }}"}},
        {"id": "only", "action": {"kind": "job", "jobSlug": "work"}}],
        "transitions": [{"from": "made", "to": "only"}]});
    let mut owner: Owner<()> = Owner::new(Shard::new(shard(), ShardMap::even(1).unwrap()));
    let mut wishes = wishes(2);
    for wish in &mut wishes {
        match &mut wish.command {
            Command::AdoptDefinition { document: adopted, .. } => *adopted = compile(&document).unwrap().0.source,
            Command::Run { run, command: RunCommand::StartRun(start) } => {
                let letter = run.to_string().pop().unwrap();
                start.input = Json::of(&serde_json::json!({"s": format!("{run}{letter}").repeat(1_000)}));
            }
            _ => {}
        }
    }
    for wish in wishes {
        owner.submit((), wish, now(), &mut Hands::default());
        while owner.is_filling() || owner.next_unfinished().is_some() {
            if let Some(run) = owner.next_unfinished() {
                let id = CommandId::from_uuid(uuid::Uuid::new_v4());
                let command = Command::Run { run, command: RunCommand::Continue {} };
                owner.submit((), Submission::new(id, command), now(), &mut Hands::default());
            }
            let next = owner.next_append(BundleId::from_uuid(uuid::Uuid::new_v4())).unwrap();
            store(&values, next.values).await;
            owner.appended(journals.append(shard(), next.bytes.into()));
        }
    }
    (journals, values)
}

async fn folded(journals: &MemoryJournals, values: &impl Values) -> Result<Owner<()>, RecoverError> {
    let info = journals.describe(shard()).await.unwrap().unwrap();
    let found = Found { info, begun: Incarnation::FIRST, newest: Ok(None), compiler: Compiler::default() };
    let map = ShardMap::even(1).unwrap();
    let folded = fold_found(journals, values, shard(), &map, found, Trust::Witnesses, &Lessons::default()).await;
    folded.map(|Folded { owner, .. }| owner)
}

/// The value that the first run made.
fn made(owner: &Owner<()>) -> headwater_core::ValueDigest {
    let checkpoint = String::from_utf8(owner.checkpoint()).unwrap();
    let record = checkpoint.lines().find(|line| line.contains(&format!("\"id\":\"{}\"", run(1)))).unwrap();
    let record: serde_json::Value = serde_json::from_str(record).unwrap();
    let nodes = record["nodes"].as_array().unwrap();
    let (_, state) = nodes.iter().map(|node| (&node[0], &node[1])).find(|(id, _)| **id == "made").unwrap();
    headwater_core::ValueDigest::of(state["output"].to_string().as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_finds_the_values_that_the_journal_names() {
    let (journals, values) = told().await;
    let owner = folded(&journals, &values).await.unwrap();
    assert_eq!((owner.shard().active_runs(), owner.shard().quarantined().len()), (2, 0));
    assert!(owner.checkpoint().len() > 200_000, "its state holds them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_lost_sets_its_run_aside_until_it_is_back() {
    let (journals, values) = told().await;
    let whole = folded(&journals, &values).await.unwrap();
    let (acme, digest) = ("acme".parse().unwrap(), made(&whole));
    let value = values.get(&acme, digest).await.unwrap();
    values.lose(&acme, digest);
    let owner = folded(&journals, &values).await.unwrap();
    let quarantined: Vec<_> =
        owner.shard().quarantined().map(|(id, why)| (id.to_string(), why.reason.clone())).collect();
    let [(aggregate, reason)] = quarantined.as_slice() else { panic!("{quarantined:?}") };
    assert!(aggregate.contains(&run(1).to_string()), "{aggregate}");
    assert!(reason.contains(&digest.to_string()) && reason.contains("of the node made"), "{reason}");
    assert_eq!(owner.shard().run(run(2)).map(|run| run.status()), Some(RunStatus::Running));
    let order =
        RefoldOrder { aggregate: AggregateId::Run(run(1)), by: ReleaseBy::Refold {}, at: None, through: owner.last() };
    let compiler = Compiler::default();
    let again = || refold(&journals, &values, shard(), order.clone(), ShardMap::even(1).unwrap(), &compiler);
    assert!(again().await.unwrap_err().contains(&digest.to_string()));
    values.put(&acme, value).await.unwrap();
    assert!(again().await.is_ok());
}

/// A store that is away.
#[derive(Clone)]
struct Away;

impl Values for Away {
    async fn put(&self, _: &headwater_core::WorkspaceId, _: Bytes) -> Result<headwater_core::StoredValue, ValueError> {
        unreachable!("nothing is stored")
    }

    async fn get(&self, _: &headwater_core::WorkspaceId, _: headwater_core::ValueDigest) -> Result<Bytes, ValueError> {
        Err(ExchangeError::Unavailable { what: "read a value", source: "away".into() }.into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_has_lost_nothing() {
    let (journals, _) = told().await;
    let Err(refusal) = folded(&journals, &Away).await else { panic!("it is waited for") };
    assert!(matches!(refusal, RecoverError::Read(_)) && refusal.is_of_the_broker(), "{refusal}");
}
