//! Whether owners are what the fold of their journals is (`RUN-2`).

use headwater_core::shard::{AggregateId, Owner, Shard};

use super::Audit;
use crate::cluster::Cluster;

impl Cluster {
    /// Compares an owner that has nothing on its way with the fold of its journal (`RUN-2`).
    pub fn compare_owner(&mut self, seat: usize) {
        let shard = self.seats[seat].shard;
        let books = &self.audit.shards[usize::from(shard.number())];
        // Somebody else may have appended meanwhile; then there is nothing to compare.
        if books.epochs.last_key_value().is_some_and(|(_, writer)| *writer == seat) {
            let live = self.seats[seat].owner().shard();
            self.audit.compare(live, &books.folded);
        }
    }

    /// Compares every owner with its journal, folded from scratch.
    pub fn compare_owners(&mut self) {
        for seat in self.current.iter().flatten() {
            let at = &self.seats[*seat];
            let mut owner: Owner<()> = Owner::new(self.empty(at.shard));
            for (sequence, entry) in self.journals[usize::from(at.shard.number())].read() {
                assert_eq!(owner.fold(sequence, &entry.bundle, &entry.bytes), Ok(Vec::new()));
            }
            self.audit.compare(at.owner().shard(), owner.shard());
            assert_eq!(owner.shard().outstanding(), [], "nothing is outstanding at rest");
        }
    }
}

impl Audit {
    fn compare(&self, live: &Shard, folded: &Shard) {
        for id in self.runs.keys().filter(|id| id.shard() == live.id()) {
            assert_eq!(live.run(*id), folded.run(*id), "RUN-2: {id}");
            assert_eq!(live.ended_run(*id), folded.ended_run(*id), "RUN-2: {id}");
        }
        for aggregate in self.shards[usize::from(live.id().number())].revisions.keys() {
            match aggregate {
                AggregateId::Asset(key) => assert_eq!(live.asset(key), folded.asset(key), "RUN-2 of assets"),
                AggregateId::Workflow(key) => {
                    assert_eq!(live.workflow(key), folded.workflow(key), "RUN-2 of workflows")
                }
                AggregateId::Action(key) => assert_eq!(live.action(key), folded.action(key), "RUN-2 of actions"),
                AggregateId::Memo(key) => assert_eq!(live.memo(*key), folded.memo(*key), "RUN-2 of memos"),
                AggregateId::Run(_) | AggregateId::Definition(..) => {}
            }
        }
        assert_eq!((live.next_due(), live.active_runs()), (folded.next_due(), folded.active_runs()));
        assert_eq!(live.outstanding(), folded.outstanding());
    }
}
