//! Who is granted what waits.

use super::{Asker, Desk, Moment, Output};
use crate::run::RunCommand;
use crate::shard::{Command, QueueKey};

impl<R, T> Desk<R, T> {
    /// Grants what waits to whoever has room, each run in its turn, and calls for workers where none has.
    pub(super) fn grant(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        let mut stirred = self.owner.take_stirred();
        stirred.extend(self.workers.take_refreshed());
        stirred.sort_unstable();
        stirred.dedup();
        let mut unserved = Vec::new();
        for key in stirred {
            self.grant_queue(&key, at);
            if self.owner.shard().waiting_for(&key.0, &key.1) > 0 {
                unserved.push(key);
            }
        }
        self.workers.call(unserved, at, out);
    }

    fn grant_queue(&mut self, key: &QueueKey, at: Moment) {
        loop {
            let room = self.workers.free(key);
            if room == 0 {
                return;
            }
            if self.owner.is_full() {
                // The rest when the bundle is on its way.
                return self.workers.put_off(key);
            }
            let turn = self.owner.next_turn(key, room);
            if turn.is_empty() {
                return;
            }
            for (run, waiting) in turn {
                let grants = self.workers.share_out(key, waiting);
                self.decide(Asker::Nobody, Command::Run { run, command: RunCommand::GrantAttempts { grants } }, at);
            }
        }
    }
}
