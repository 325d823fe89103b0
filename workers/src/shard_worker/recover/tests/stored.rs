//! Definitions that the journal names by digest.

use bytes::Bytes;
use headwater_core::definition::INLINE_BYTES_MAX;
use headwater_streams::values::{MemoryValues, ValueStore, Values as _};

use super::*;

/// A definition that is too large for the journal, and a run of it; what stands for it, and what is to be stored.
fn large(name: &str) -> (Json, Json, [Command; 2]) {
    let key = WorkflowKey { workspace: "acme".parse().unwrap(), workflow: name.parse().unwrap() };
    let filler = "x".repeat(INLINE_BYTES_MAX);
    let document =
        serde_json::json!({"slug": name, "metadata": {"filler": filler}, "steps": [{"id": "only", "jobSlug": "work"}]});
    let (definition, _) = compile(&document).unwrap();
    let (journaled, version) = (definition.journaled(&key.workspace), DefinitionVersion::FIRST);
    let start = StartRun {
        workspace: key.workspace.clone(),
        workflow: key.workflow.clone(),
        version,
        input: Json::empty_object(),
        trigger: Trigger::Manual {},
        keyed: false,
        wishes: None,
    };
    let run = RunId::new(shard(), now(), u128::from(name.as_bytes()[0]) << 30);
    let adopt = Command::AdoptDefinition { key, version, document: journaled.clone() };
    (journaled, definition.source, [adopt, Command::Run { run, command: RunCommand::StartRun(start) }])
}

impl House {
    async fn submit(&self, commands: impl IntoIterator<Item = Command>) {
        let mut owner: Owner<()> = self.recover().await.owner;
        for command in commands {
            let id = CommandId::from_uuid(uuid::Uuid::new_v4());
            owner.submit((), Submission::new(id, command), now(), &mut Hands::default());
            if let Some(next) = owner.next_append(BundleId::from_uuid(uuid::Uuid::new_v4())) {
                assert!(next.bytes.len() < 8_192, "it stands elsewhere");
                owner.appended(self.journal.append(next.bytes.into(), next.expected).await.unwrap());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_journal_names_by_digest_is_fetched_and_what_is_lost_costs_its_runs_and_nothing_else() {
    let house = House::new().await;
    house.append(2).await;
    let values = ValueStore::new(&house.broker);
    let workspace = "acme".parse().unwrap();
    let (journaled, source, commands) = large("kept");
    values.put(&workspace, Bytes::copy_from_slice(source.as_str().as_bytes())).await.unwrap();
    house.submit(commands).await;
    for with_checkpoint in [false, true] {
        if with_checkpoint {
            house.write().await;
        }
        let recovered = house.recover().await;
        assert_eq!(recovered.checkpoint.is_some(), with_checkpoint);
        let shard = recovered.owner.shard();
        let key = WorkflowKey { workspace: workspace.clone(), workflow: "kept".parse().unwrap() };
        assert_eq!(shard.definition(&key, DefinitionVersion::FIRST), Some(&journaled));
        assert_eq!((shard.active_runs(), shard.quarantined().count()), (3, 0));
    }
    // Of another workspace, or never stored: it is not adopted, and its run does not begin.
    let (_, source, [adopt, start]) = large("lost");
    let Command::AdoptDefinition { key, version, document } = adopt else { panic!() };
    let before = house.end().await;
    house.submit([Command::AdoptDefinition { key: key.clone(), version, document: document.clone() }]).await;
    assert_eq!(house.recover().await.owner.shard().definition(&key, version), None);
    // What was stored, adopted, and is lost then.
    let stored = values.put(&workspace, Bytes::copy_from_slice(source.as_str().as_bytes())).await.unwrap();
    house.submit([Command::AdoptDefinition { key, version, document }, start]).await;
    assert!(house.end().await > before);
    assert_eq!(house.recover().await.owner.shard().active_runs(), 4);
    assert_eq!(stored.size_bytes as usize, source.len_bytes());
    // As it is where the store has lost both.
    let elsewhere = House::new().await;
    let (info, compiler) = (house.journal.info().await.unwrap(), Library::new(&elsewhere.broker).compiler());
    let found = Found { info, begun: Incarnation::FIRST, newest: Ok(None), compiler };
    let journals = JetStreamJournals::new(&house.broker);
    let folded = fold_found(
        &journals,
        &MemoryValues::new(),
        super::shard(),
        &house.map,
        found,
        Trust::Witnesses,
        &Lessons::default(),
    )
    .await;
    let owner: Owner<()> = folded.unwrap().owner;
    let quarantined: Vec<_> = owner.shard().quarantined().map(|(_, why)| why.reason.clone()).collect();
    assert_eq!((owner.shard().active_runs(), quarantined.len()), (2, 2), "{quarantined:?}");
    assert!(quarantined.iter().all(|why| why.contains("the store of values has no")), "{quarantined:?}");
}
