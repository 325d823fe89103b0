//! Ways to bring much work at once.

use headwater_core::desk::Input;
use headwater_core::protocol::ShardRequest;
use headwater_core::shard::{EffectPlace, Origin, Submission};
use headwater_core::{Incarnation, Sequence, ShardId};
use serde_json::json;

use crate::room::{FRAME, Room, slow_value};

/// One of them.
#[derive(Debug, Clone, Copy)]
pub enum Flood {
    Reports,
    Starts,
    /// The same in as many frames, as of many clients.
    Frames,
    /// Asked again and again, as one whose answer was lost.
    SameStart,
    /// Of a definition that is looked up first.
    ParkedStarts,
    /// On the lane of another shard.
    LaneStarts,
    /// On the shard's own lane, one by one.
    Follows,
}

pub const FLOODS: [Flood; 7] = [
    Flood::Reports,
    Flood::Starts,
    Flood::Frames,
    Flood::SameStart,
    Flood::ParkedStarts,
    Flood::LaneStarts,
    Flood::Follows,
];

pub fn place(index: u64) -> EffectPlace {
    EffectPlace { sequence: Sequence::new(8), index: u32::try_from(index).unwrap() }
}

impl Room {
    pub fn lane_starts(&mut self, workflow: &str, from: u16, count: usize) -> Vec<Submission> {
        let shard = ShardId::new(from).unwrap();
        let input = json!({"s": slow_value()});
        (0..count as u64)
            .map(|index| {
                let (_, submission) = self.start_of(workflow, &input);
                let after = index.checked_sub(1).map(place);
                Submission {
                    from: Some(Origin { shard, place: place(index), after, toward: Incarnation::FIRST }),
                    ..submission
                }
            })
            .collect()
    }

    pub fn flood(&mut self, flood: Flood) {
        let input = json!({"s": slow_value()});
        let starts = |room: &mut Self| (0..FRAME).map(|_| room.start_of("slow", &input).1).collect::<Vec<_>>();
        self.started("quick", &json!({}));
        match flood {
            Flood::Reports => {
                let tasks = self.held();
                let reports = self.reports(&tasks);
                self.work(1, reports);
            }
            Flood::Starts => {
                self.started("slow", &json!({}));
                let starts = starts(self);
                self.commands(1, starts);
            }
            Flood::Frames => {
                self.started("slow", &json!({}));
                for start in starts(self) {
                    let requests = vec![ShardRequest::Submit(Box::new(start))];
                    self.desk.take(Input::Commands { requests, reply: 1 }, self.at, &mut self.out);
                }
                self.end_turn();
            }
            Flood::SameStart => {
                let (_, first) = self.start_of("slow", &input);
                self.commands(0, vec![first.clone()]);
                self.settle();
                let again = (0..FRAME).map(|_| Submission { id: self.id(), ..first.clone() }).collect();
                self.commands(1, again);
            }
            Flood::ParkedStarts => {
                let starts = starts(self);
                self.commands(1, starts);
            }
            Flood::LaneStarts => {
                self.started("slow", &json!({}));
                let starts = self.lane_starts("slow", 1, FRAME);
                self.commands(1, starts);
            }
            Flood::Follows => {
                self.started("slow", &json!({}));
                // As fast as they come, within one turn.
                for (ticket, submission) in (0..).zip(self.lane_starts("slow", 0, FRAME)) {
                    self.desk.take(Input::Follows { submission, ticket }, self.at, &mut self.out);
                }
                self.end_turn();
            }
        }
    }
}
