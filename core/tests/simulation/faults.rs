//! What goes wrong, and when it stops.

use crate::cluster::{CHAOS, Cluster, Happening, MILLI, SECOND};

impl Cluster {
    /// One misfortune, and the next one later.
    pub fn fault(&mut self) {
        if self.time >= CHAOS {
            return;
        }
        match self.chance.below(11) {
            0 | 1 => self.process_crashes(),
            2 | 3 => self.shard_moves(),
            4 => self.process_freezes(),
            5 => self.process_is_cut_off(),
            6 => {
                let worker = self.chance.below(self.workers.len() as u64) as usize;
                if self.workers[worker].is_up {
                    self.worker_crashes(worker);
                }
            }
            7 => {
                let worker = self.chance.below(self.workers.len() as u64) as usize;
                self.workers[worker].frozen_until = self.time + self.chance.between(SECOND, 12 * SECOND);
                self.note(format_args!("worker {worker} falls silent"));
            }
            8 => self.shard_is_orphaned(),
            _ => self.clock_jumps(),
        }
        let pause = self.chance.between(300 * MILLI, 6 * SECOND);
        self.at(pause, Happening::Fault);
    }

    fn process_crashes(&mut self) {
        let process = self.chance.below(self.processes.len() as u64) as usize;
        self.note(format_args!("process {process} crashes"));
        (self.processes[process].frozen_until, self.processes[process].deaf_until) = (0, 0);
        for seat in 0..self.seats.len() {
            if self.seats[seat].process == process && self.seats[seat].desk.take().is_some() {
                self.vacate(seat);
            }
        }
    }

    /// Somebody else takes a shard over; the owner before learns of it late, or when it is fenced.
    fn shard_moves(&mut self) {
        let shard = *self.chance.pick(&self.shards());
        let Some(seat) = self.current[usize::from(shard.number())].take() else { return };
        if self.chance.percent(25) {
            self.step_down(seat, "handed over");
        } else {
            self.note(format_args!("seat {seat} of shard {shard} is a zombie now"));
            let delay = self.chance.between(10 * MILLI, 8 * SECOND);
            self.at(delay, Happening::Dismissed { seat });
        }
        let delay = self.chance.between(MILLI, SECOND);
        self.at(delay, Happening::TakeOver { shard });
    }

    /// A shard has no owner for half a minute: whatever is meant for it waits where it is.
    fn shard_is_orphaned(&mut self) {
        let shard = *self.chance.pick(&self.shards());
        let number = usize::from(shard.number());
        self.note(format_args!("shard {shard} has no owner for half a minute"));
        self.orphaned_until[number] = self.time + 30 * SECOND;
        match self.current[number] {
            Some(seat) => self.step_down(seat, "nobody is to own the shard"),
            None => self.at(SECOND, Happening::TakeOver { shard }),
        }
    }

    /// A process stops in its tracks; its shards may move meanwhile, and then it goes on as if nothing had happened.
    fn process_freezes(&mut self) {
        let process = self.chance.below(self.processes.len() as u64) as usize;
        let span = self.chance.between(SECOND, 10 * SECOND);
        self.note(format_args!("process {process} stops for {} ms", span / MILLI));
        self.processes[process].frozen_until = self.time + span;
        for shard in self.shards() {
            let number = usize::from(shard.number());
            let Some(seat) = self.current[number].filter(|seat| self.seats[*seat].process == process) else { continue };
            if self.chance.percent(70) {
                self.current[number] = None;
                let delay = self.chance.between(500 * MILLI, 2 * SECOND);
                self.at(delay, Happening::TakeOver { shard });
                self.at(span + SECOND, Happening::Dismissed { seat });
            }
        }
    }

    /// A process stops for so long that all its shards move and what is sent to it meanwhile is lost. When it goes on it
    /// knows nothing of that, and is asked before it has anything to append.
    fn process_is_cut_off(&mut self) {
        let process = self.chance.below(self.processes.len() as u64) as usize;
        let span = self.chance.between(2 * SECOND, 8 * SECOND);
        self.note(format_args!("process {process} is cut off for {} ms", span / MILLI));
        self.processes[process].frozen_until = self.time + span;
        self.processes[process].deaf_until = self.time + span;
        for shard in self.shards() {
            let number = usize::from(shard.number());
            let Some(seat) = self.current[number].filter(|seat| self.seats[*seat].process == process) else { continue };
            self.current[number] = None;
            let delay = self.chance.between(500 * MILLI, SECOND);
            self.at(delay, Happening::TakeOver { shard });
            let unaware = self.chance.between(100 * MILLI, 5 * SECOND);
            self.at(span + unaware, Happening::Dismissed { seat });
        }
    }

    fn clock_jumps(&mut self) {
        let span = self.chance.between(100 * MILLI, 40 * SECOND) as i64;
        let span = if self.chance.percent(50) { -span } else { span };
        if self.chance.percent(70) {
            let process = self.chance.below(self.processes.len() as u64) as usize;
            self.processes[process].offset = span;
            self.note(format_args!("the clock of process {process} is off by {span} µs"));
        } else {
            let worker = self.chance.below(self.workers.len() as u64) as usize;
            self.workers[worker].offset = span;
            self.note(format_args!("the clock of worker {worker} is off by {span} µs"));
        }
    }

    /// From now on every message arrives, every process lives, and every shard has one owner.
    pub fn heal(&mut self) {
        self.healed = true;
        self.note(format_args!("the network heals"));
        for process in &mut self.processes {
            (process.frozen_until, process.deaf_until) = (0, 0);
        }
        for worker in 0..self.workers.len() {
            self.workers[worker].frozen_until = 0;
            self.at(MILLI, Happening::Restarts { worker });
        }
        for seat in 0..self.seats.len() {
            if self.current[usize::from(self.seats[seat].shard.number())] != Some(seat) {
                self.step_down(seat, "dismissed");
            }
        }
    }
}
