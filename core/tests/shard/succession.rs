//! A shard from owner to owner: some of a release that panics, some that fold what it left.

use headwater_core::credit::Hands;
use headwater_core::shard::{
    AggregateId, Bundle, CommitPlace, Owner, RefoldOrder, Refolding, Rejection, ReleaseBy, Released, ShardMap,
    Submission,
};
use headwater_core::{BundleId, CommandId, RunId, Sequence};
use serde_json::json;

use crate::checkpoints::{journal, restore};
use crate::world::{World, chain, empty, ok, shard_zero};

/// A journal, and owners of its shard one after the other.
pub struct House {
    pub world: World,
    pub journal: Vec<Vec<u8>>,
    names: u128,
}

impl House {
    pub fn of(world: World) -> Self {
        Self { journal: journal(&world.commits, 1), world, names: 1 << 64 }
    }

    pub fn bundles(&self) -> impl Iterator<Item = (Sequence, Bundle)> {
        (1..).map(Sequence::new).zip(self.journal.iter().map(|bytes| Bundle::read(bytes).unwrap()))
    }

    /// Where the commits of an aggregate stand, from the one with that revision on.
    pub fn place(&self, aggregate: &AggregateId, revision: u64) -> CommitPlace {
        let found = self.bundles().find_map(|(sequence, bundle)| {
            let at = bundle.commits.iter().position(|c| c.aggregate == *aggregate && c.revision.get() == revision)?;
            Some((sequence, at))
        });
        found.unwrap()
    }

    /// The next owner: of a release that panics at these commits.
    pub fn take_over(&self, panics_at: &[CommitPlace]) -> Owner<u32> {
        let mut owner = Owner::new(empty());
        panics_at.iter().for_each(|place| owner.spare(*place, "it panics".to_owned()));
        for ((sequence, bundle), bytes) in self.bundles().zip(&self.journal) {
            owner.fold(sequence, &bundle, bytes).unwrap();
        }
        owner
    }

    /// Appends what there is to append.
    pub fn append(&mut self, owner: &mut Owner<u32>) -> (Bundle, Released<u32>) {
        self.names += 1;
        let append = owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(self.names))).unwrap();
        self.journal.push(append.bytes.clone());
        (Bundle::read(&append.bytes).unwrap(), owner.appended(append.expected.next()))
    }

    pub fn submit(&mut self, owner: &mut Owner<u32>, submission: Submission) -> (Bundle, Result<(), Rejection>) {
        owner.submit(0, submission, self.world.now, &mut Hands::default());
        let (bundle, mut released) = self.append(owner);
        (bundle, released.answers.remove(0).outcome.map(|_| ()))
    }

    pub fn fresh(&mut self) -> CommandId {
        self.names += 1;
        CommandId::from_uuid(uuid::Uuid::from_u128(self.names))
    }

    /// Releases an aggregate as a desk does, and takes up what waited.
    pub fn release(
        &mut self,
        owner: &mut Owner<u32>,
        aggregate: &AggregateId,
        by: ReleaseBy,
    ) -> Result<(Bundle, Released<u32>), String> {
        let quarantine = owner.shard().quarantine(aggregate).unwrap();
        let order = RefoldOrder { aggregate: aggregate.clone(), by, at: quarantine.at, through: owner.last() };
        let mut refolding = Refolding::new(order, shard_zero(), ShardMap::even(1).unwrap())?;
        self.bundles().for_each(|(sequence, bundle)| refolding.fold(sequence, &bundle));
        let refolded = refolding.finish()?;
        let id = self.fresh();
        owner.release(1, id, None, refolded, self.world.now);
        while owner.take_up(|| 2, Default::default(), self.world.now, &mut Hands::default()) {}
        let (bundle, released) = self.append(owner);
        if let Some(Err(Rejection::NotReleased { reason })) = released.answers.first().map(|answer| &answer.outcome) {
            return Err(reason.clone());
        }
        Ok((bundle, released))
    }

    /// Every way to the state that an owner has: the journal, the journal of a release that panics, a checkpoint of any place.
    pub fn assert_folds_alike(&self, panics_at: &[CommitPlace], wanted: &str) {
        for panics_at in [&[][..], panics_at] {
            let mut owner = Owner::<u32>::new(empty());
            panics_at.iter().for_each(|place| owner.spare(*place, "it panics".to_owned()));
            for ((sequence, bundle), bytes) in self.bundles().zip(&self.journal) {
                owner.fold(sequence, &bundle, bytes).unwrap();
                let checkpoint = owner.checkpoint();
                owner = restore(&checkpoint).unwrap();
                panics_at.iter().for_each(|place| owner.spare(*place, "it panics".to_owned()));
            }
            assert_eq!(told(&owner), wanted);
        }
    }
}

/// What matters of a shard, as text.
pub fn told(owner: &Owner<u32>) -> String {
    let checkpoint = String::from_utf8(owner.checkpoint()).unwrap();
    let kinds =
        ["\"runs\"", "\"assets\"", "\"workflows\"", "\"quarantine\"", "\"parked\"", "\"heard\"", "\"definitions\""];
    let mut is_kept = false;
    let kept = checkpoint.lines().filter(|line| {
        if line.starts_with("{\"kind\"") {
            is_kept = kinds.iter().any(|kind| line.contains(kind));
        }
        is_kept
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// As an owner that is about to go leaves it to the next.
pub fn left(house: &House) -> String {
    told(&house.take_over(&[]))
}

pub fn run_world() -> (House, AggregateId, RunId) {
    let mut world = World::with(&chain(&["a", "b"]));
    let run = world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    (House::of(world), AggregateId::Run(run), run)
}
