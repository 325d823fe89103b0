//! What makes a rule panic is named, so that whoever comes next leaves it alone and everything else goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use headwater_core::asset::{AssetCommand, Declaration, ProducerDeclaration, ResolveConsumption, Waiter};
use headwater_core::credit::Hands;
use headwater_core::definition::{OnMiss, Require};
use headwater_core::shard::{
    AggregateId, AssetKey, Bundle, Command, Owner, Poison, Rejection, Shard, ShardMap, Submission, digest,
};
use headwater_core::{BundleId, CommandId, DefinitionVersion, Epoch, Json, RunId, Sequence, Timestamp};
use serde_json::json;

use crate::world::{World, chain, empty, shard_zero};

fn id(number: u128) -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(number))
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_750_000_000_000_000)
}

/// Of a map that names more shards than there can be: whoever spreads runs over it panics.
fn owner() -> Owner<u32> {
    let map = ShardMap { shards: u16::MAX, ..ShardMap::even(1).unwrap() };
    Owner::new(Shard::new(shard_zero(), map))
}

fn asset() -> AssetKey {
    AssetKey { workspace: "default".parse().unwrap(), asset: "a.b".parse().unwrap() }
}

fn declare() -> Submission {
    let producer = ProducerDeclaration {
        node: "make".parse().unwrap(),
        name: None,
        kind: "job".to_owned(),
        schema: None,
        freshness: None,
        partitioning: None,
        auto_materialize: None,
        primary: true,
        defaults: Json::empty_object(),
        required: Vec::new(),
    };
    let declaration = Declaration {
        paused: false,
        workflow: "maker".parse().unwrap(),
        version: DefinitionVersion::FIRST,
        producers: vec![producer],
        consumers: Vec::new(),
    };
    let command = Command::Asset { key: asset(), command: AssetCommand::DeclareAsset(declaration) };
    Submission::new(id(1), command)
}

/// A need that is met by starting a run somewhere.
fn need() -> Submission {
    let waiter = Waiter { run: RunId::new(shard_zero(), now(), 7 << 12), node: "use".parse().unwrap() };
    let need = ResolveConsumption {
        waiter,
        partition: None,
        require: Require::Exists,
        on_miss: Some(OnMiss::Materialize),
        producer_input: None,
    };
    Submission::new(id(2), Command::Asset { key: asset(), command: AssetCommand::ResolveConsumption(need) })
}

fn poison_of(work: impl FnOnce()) -> Poison {
    Poison::of(catch_unwind(AssertUnwindSafe(work)).unwrap_err()).unwrap()
}

#[test]
fn a_command_that_panics_is_named_and_refused_by_the_next_owner() {
    let mut first = owner();
    first.submit(0, declare(), now(), &mut Hands::default());
    let poison = poison_of(|| first.submit(1, need(), now(), &mut Hands::default()));
    let Poison::Command { id: poisoned, aggregate, own, said } = poison else { panic!("{poison:?}") };
    assert_eq!((poisoned, aggregate, own), (id(2), AggregateId::Asset(asset()), false));
    assert!(!said.is_empty());

    let mut next = owner();
    next.refuse(poisoned, said.clone());
    next.submit(0, declare(), now(), &mut Hands::default());
    next.submit(1, need(), now(), &mut Hands::default());
    next.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(1))).unwrap();
    let answers = next.appended(Sequence::new(1)).answers;
    assert!(answers[0].outcome.is_ok());
    assert_eq!(answers[1].outcome.as_ref().unwrap_err(), &Rejection::Poisoned { reason: said });
}

#[test]
fn an_aggregate_that_makes_the_shards_own_commands_panic_is_set_aside() {
    let mut world = World::with(&chain(&["a"]));
    let run = world.start("chain", json!({}));
    let mut owner: Owner<u32> = Owner::new(empty());
    fold(&mut owner, &world.bundles(1)).unwrap();
    owner.set_aside(&AggregateId::Run(run), "its timer panics".to_owned());
    assert!(owner.shard().run(run).is_none());
    assert_eq!(owner.shard().next_due(), None);
    assert_eq!(owner.shard().quarantined().count(), 1);
}

/// Folds bundles as the messages of a journal. What makes it panic comes back by name.
fn fold(owner: &mut Owner<u32>, bundles: &[Bundle]) -> Result<usize, Poison> {
    let (mut previous, mut corrupt) = (String::new(), 0);
    for (number, bundle) in (1..).zip(bundles) {
        let bundle = Bundle { previous, epoch: Epoch::FIRST, ..bundle.clone() };
        let bytes = serde_json::to_vec(&bundle).unwrap();
        let folded = catch_unwind(AssertUnwindSafe(|| owner.fold(Sequence::new(number), &bundle, &bytes)));
        corrupt += folded.map_err(|panic| Poison::of(panic).unwrap())?.unwrap().len();
        previous = digest(&bytes);
    }
    Ok(corrupt)
}

/// No history is known to make a fold panic; what is done about one that would does not need it to.
#[test]
fn a_commit_that_is_to_be_spared_costs_its_aggregate_and_nothing_else() {
    let mut world = World::with(&chain(&["a"]));
    let (spared, run) = (world.start("chain", json!({})), world.start("chain", json!({})));
    let bundles = world.bundles(1);
    let holds = |bundle: &Bundle| bundle.commits[0].aggregate == AggregateId::Run(spared);
    let at = bundles.iter().position(holds).unwrap();

    let mut next = Owner::<u32>::new(empty());
    next.spare((Sequence::new(at as u64 + 1), 0), "it panics".to_owned());
    assert_eq!(fold(&mut next, &bundles), Ok(1));
    let quarantined: Vec<_> =
        next.shard().quarantined().map(|(aggregate, why)| (aggregate, why.reason.as_str())).collect();
    assert_eq!(quarantined, [(&AggregateId::Run(spared), "it panics")]);
    assert!(next.shard().run(spared).is_none() && next.shard().run(run).is_some());
}
