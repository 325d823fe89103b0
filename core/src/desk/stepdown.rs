//! What an owner that loses its shard leaves behind.

use super::frames::{Complete, fit};
use super::line::Arrival;
use super::{Asker, Caller, Desk, FramePlace, Output};
use crate::protocol::{ShardReply, WorkAnswer, WorkReply};
use crate::shard::Rejection;

impl<R, T> Desk<R, T> {
    /// Tells every caller to ask the next owner: it knows what became of their commands.
    pub fn step_down(self, out: &mut Vec<Output<R, T>>) {
        let shard = self.owner.shard().id();
        let Self { owner, mut work, mut commands, watchers, parking, line, releasing, settings, .. } = self;
        let mut tell_worker = |place: FramePlace| {
            let complete = work.answer(place, WorkReply::Refused { rejection: Rejection::NotOwner })?;
            let Complete { reply: (reply, _), answers: replies } = complete;
            let (bytes, _) =
                fit(WorkAnswer { shard, standing: None, replies, malformed: None }, settings.message_bytes_max);
            Some(Output::Answer { reply, bytes })
        };
        let mut tell_process = |place: FramePlace| {
            let complete = commands.answer(place, ShardReply::Refused { rejection: Rejection::NotOwner })?;
            let (reply, bytes) = complete.written();
            Some(Output::Answer { reply, bytes })
        };
        let mut askers: Vec<_> = owner.abandon().into_iter().map(|Caller(asker)| asker).collect();
        askers.extend(parking.abandon());
        for waiting in line.abandon() {
            match waiting {
                Arrival::Work { place, .. } => out.extend(tell_worker(place)),
                Arrival::Shard { place, .. } => out.extend(tell_process(place)),
                Arrival::Wish { asker, .. } | Arrival::LookedUp { asker, .. } => askers.push(asker),
            }
        }
        for asker in askers {
            out.extend(match asker {
                Asker::Work { place, .. } | Asker::Stranger { place, .. } | Asker::Heartbeat { place, .. } => {
                    tell_worker(place)
                }
                Asker::Shard(place) | Asker::Watcher(place) | Asker::Prober(place) => tell_process(place),
                // Not confirmed, so the next owner sends the effect again.
                Asker::Effect { .. } | Asker::Adoption | Asker::Nobody => None,
            });
        }
        let releasing = releasing.into_iter().map(|releasing| releasing.place);
        out.extend(watchers.abandon().chain(releasing).filter_map(tell_process));
    }
}
