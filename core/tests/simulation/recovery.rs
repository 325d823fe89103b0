//! How the next owner of a shard learns what there is: from its journal, or from a checkpoint and the journal behind it.

use headwater_core::desk::Caller;
use headwater_core::shard::Owner;
use headwater_core::{Sequence, ShardId};

use crate::cluster::Cluster;
use crate::journal::Journal;
use crate::seat::Ticket;

impl Cluster {
    /// Recovers a shard. Now and then the checkpoint that somebody has written is newer afterwards.
    pub fn recover(&mut self, shard: ShardId) -> Owner<Caller<Ticket>> {
        let number = usize::from(shard.number());
        let journal = &self.journals[number];
        let mut owner = Owner::new(self.empty(shard));
        fold(&mut owner, journal);
        if let Some(bytes) = self.checkpoints[number].as_ref().filter(|_| self.chance.percent(60)) {
            let mut restored = Owner::restore(self.empty(shard), bytes).expect("a checkpoint is readable");
            let entry = &journal.entries[restored.last().get() as usize - 1];
            assert!(restored.stands_on(&entry.bytes), "a checkpoint stands on its entry");
            let from = restored.last();
            fold(&mut restored, journal);
            assert!(restored.checkpoint() == owner.checkpoint(), "SHD-5: checkpoint and tail are the whole journal");
            owner = restored;
            self.note(format_args!("shard {shard} recovers from its checkpoint at {from}"));
        }
        if owner.last() != Sequence::ZERO && self.chance.percent(40) {
            self.checkpoints[number] = Some(owner.checkpoint());
        }
        owner
    }
}

/// Folds what the owner has not folded yet.
fn fold(owner: &mut Owner<Caller<Ticket>>, journal: &Journal) {
    let folded = owner.last();
    for (sequence, entry) in journal.read().filter(|(sequence, _)| *sequence > folded) {
        let corrupt = owner.fold(sequence, &entry.bundle, &entry.bytes);
        assert_eq!(corrupt, Ok(Vec::new()), "a journal folds without doubts");
    }
}
