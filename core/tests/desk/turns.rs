//! Who is decided when: counted in units of work, whatever somebody else's requests cost.

use std::time::Duration;

use headwater_core::desk::{GoesOn, Input, Output, PASSED_OVER_MAX};
use headwater_core::protocol::{ShardReply, ShardRequest, WorkAnswer, WorkReply};
use headwater_core::shard::{AssetKey, Origin, Submission};
use headwater_core::{DefinitionVersion, Incarnation, ShardId, Timestamp};
use serde_json::json;

use crate::floods::{FLOODS, Flood, place};
use crate::room::{DECISION, FRAME, Room, slow, slow_value};

/// What is decided in one go before others are looked at.
const BURST: u64 = DECISION / 8;
/// What a request of others' waits for: the burst that is at work, which ends with a whole decision, and one more of its
/// kind. Facts are charged beside that.
const WAIT_MAX: u64 = 2 * (BURST + DECISION + 10_000);

#[test]
fn however_much_comes_at_once_what_others_ask_waits_for_two_decisions_at_most() {
    for flood in FLOODS {
        let mut room = Room::new();
        room.flood(flood);
        let before = room.spent();
        let (run, submission) = room.start_of("quick", &json!({}));
        room.commands(2, vec![submission]);
        while !room.is_known(run) {
            assert_eq!(room.desk.goes_on(), GoesOn::Now, "{flood:?}: somebody waits");
            room.take(Input::Continue);
        }
        let waited = room.spent() - before;
        assert!(waited <= WAIT_MAX, "{flood:?}: it waited for {waited} units");
        room.settle();
        let after = room.spent() - before;
        assert!(after > 4 * WAIT_MAX, "{flood:?} is no flood: {after} units were left");
        let answered = room.answers.iter().any(|(reply, _)| *reply == 1) || room.done.len() == FRAME;
        assert!(answered, "{flood:?} is answered whole");
    }
}

#[test]
fn what_stands_in_one_frame_with_much_work_waits_no_longer_than_beside_it() {
    let mut room = Room::new();
    room.started("quick", &json!({}));
    room.started("slow", &json!({}));
    let input = json!({"s": slow_value()});
    let mut starts: Vec<_> = (0..FRAME).map(|_| room.start_of("slow", &input).1).collect();
    let (run, submission) = room.start_of("quick", &json!({}));
    starts.push(submission);
    let before = room.spent();
    room.commands(1, starts);
    while !room.is_known(run) {
        room.take(Input::Continue);
    }
    assert!(room.spent() - before <= WAIT_MAX);
}

#[test]
fn no_turn_does_more_than_a_burst_and_the_decision_that_ends_it() {
    for flood in FLOODS {
        let mut room = Room::new();
        room.flood(flood);
        while room.desk.goes_on() != GoesOn::Not {
            let before = room.spent();
            room.take(Input::Continue);
            let spent = room.spent() - before;
            // Its bundles land at once here, and each brings a turn more.
            assert!(spent <= WAIT_MAX, "{flood:?}: {spent} units in one turn");
        }
    }
}

#[test]
fn what_one_sender_sends_is_decided_in_its_order_whatever_waits() {
    let mut room = Room::new();
    room.started("quick", &json!({}));
    // The first waits for a definition, those behind it for the first, and those behind them come while it is looked up.
    room.finds = false;
    let mut starts = room.lane_starts("slow", 1, FRAME);
    starts.push(Submission { from: starts[0].from, ..room.lane_starts("quick", 1, 1).remove(0) });
    let last = Origin {
        shard: ShardId::new(1).unwrap(),
        place: place(FRAME as u64),
        after: Some(place(FRAME as u64 - 1)),
        toward: Incarnation::FIRST,
    };
    starts[FRAME].from = Some(last);
    let behind = starts.split_off(FRAME / 2);
    room.commands(1, starts);
    room.finds = true;
    let key =
        headwater_core::shard::WorkflowKey { workspace: "acme".parse().unwrap(), workflow: "slow".parse().unwrap() };
    let document = headwater_core::definition::compile(&slow()).unwrap().0.source;
    let needed = (key, DefinitionVersion::FIRST);
    room.take(Input::Found { needed, document: Some(document) });
    assert!(room.replies(1).is_none(), "not all is decided yet");
    room.commands(2, behind);
    room.settle();
    for frame in [1, 2] {
        let replies = room.replies(frame).expect("it is answered");
        assert!(replies.iter().all(|reply| matches!(reply, ShardReply::Done { .. })), "{replies:?}");
    }
}

#[test]
fn who_steps_down_answers_what_waits() {
    for flood in FLOODS {
        let mut room = Room::new();
        room.flood(flood);
        let mut out = Vec::new();
        let answered = room.answers;
        room.desk.step_down(&mut out);
        let left = out.into_iter().filter_map(|output| match output {
            Output::Answer { reply, bytes } => Some((reply, String::from_utf8(bytes).unwrap())),
            _ => None,
        });
        let left: Vec<_> = left.collect();
        match flood {
            // Whatever is not confirmed is sent again by the next owner.
            Flood::Follows => assert_eq!(left, []),
            Flood::Frames => assert_eq!(left.len() + answered.iter().filter(|(reply, _)| *reply == 1).count(), FRAME),
            Flood::Reports | Flood::Starts | Flood::SameStart | Flood::ParkedStarts | Flood::LaneStarts => {
                assert!(answered.iter().all(|(reply, _)| *reply == 0), "{flood:?}: nothing of it was answered before");
                let [(1, said)] = &left[..] else { panic!("{flood:?}: {left:?}") };
                assert!(said.matches("notOwner").count() > FRAME / 2, "{flood:?}: {said}");
            }
        }
    }
}

#[test]
fn whoever_has_reported_is_not_silent_however_long_the_report_waits() {
    let mut room = Room::new();
    let tasks = room.held();
    let reports = room.reports(&tasks);
    room.work(1, reports);
    for _ in 0..4 {
        room.at.steady += Duration::from_secs(14);
        room.desk.take(Input::Sweep, room.at, &mut room.out);
        assert!(room.out.iter().all(|output| !matches!(output, Output::FellSilent { .. })));
    }
    room.settle();
    let (_, said) = room.answers.iter().find(|(reply, _)| *reply == 1).unwrap();
    let answer: WorkAnswer = serde_json::from_slice(said).unwrap();
    assert!(answer.replies.iter().all(|reply| matches!(reply, WorkReply::Accepted { .. })), "{answer:?}");
}

/// A desk, and a run that goes on by itself for long.
fn with_much_to_do() -> (Room, headwater_core::RunId) {
    let mut room = Room::new();
    room.started("quick", &json!({}));
    let (run, submission) = room.start_of("long", &json!({"l": (0..500).collect::<Vec<_>>()}));
    room.commands(0, vec![submission]);
    while !room.is_known(run) {
        room.take(Input::Continue);
    }
    (room, run)
}

/// Says at which of the inputs a run went on.
fn turns_among(inputs: usize, mut input: impl FnMut(&mut Room, u64)) -> Vec<usize> {
    let (mut room, run) = with_much_to_do();
    let revision = |room: &Room| room.desk.owner().shard().run(run).expect("it has much to do").revision();
    let mut turns = Vec::new();
    for count in 0..inputs {
        let before = revision(&room);
        match room.desk.goes_on() {
            GoesOn::Now => room.desk.take(Input::Continue, room.at, &mut room.out),
            GoesOn::WhenIdle | GoesOn::Not => input(&mut room, count as u64),
        }
        room.desk.turn(false, room.at, &mut room.out);
        if revision(&room) != before {
            turns.push(count);
        }
    }
    turns
}

#[test]
fn a_run_that_goes_on_by_itself_lets_four_inputs_go_before_and_no_more() {
    assert_eq!(PASSED_OVER_MAX, 4);
    let turns = turns_among(30, |room, count| {
        let key = AssetKey { workspace: "acme".parse().unwrap(), asset: "a".parse().unwrap() };
        let requests = vec![ShardRequest::DescribeAsset { key }];
        room.desk.take(Input::Commands { requests, reply: 100 + count }, room.at, &mut room.out);
    });
    let apart: Vec<_> = turns.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(turns.len() >= 4, "{turns:?}");
    assert!(apart.iter().all(|apart| *apart == 5), "{turns:?}");
}

#[test]
fn nor_do_requests_that_wait_keep_such_runs_back() {
    let mut room = Room::new();
    room.flood(Flood::Starts);
    let active = |room: &Room| room.desk.owner().shard().active_runs();
    assert!(room.desk.owner().shard().unfinished().len() > 0, "what was started has more to do");
    let (mut since, mut turns) = (0, 0);
    while room.replies(1).is_none() {
        assert_eq!(room.desk.goes_on(), GoesOn::Now);
        let before = active(&room);
        room.desk.take(Input::Continue, room.at, &mut room.out);
        // Whatever starts no run lets one go on.
        since = if active(&room) == before { 0 } else { since + 1 };
        turns += usize::from(since == 0);
        assert!(since <= PASSED_OVER_MAX, "{since} turns of others");
        room.end_turn();
    }
    assert!(turns > 4, "{turns}");
}

/// Asks nothing that takes work, in one frame.
fn asks(room: &mut Room, reply: u64, count: usize) {
    let requests = vec![ShardRequest::NameEpoch { prove: false }; count];
    room.desk.take(Input::Commands { requests, reply }, room.at, &mut room.out);
}

#[test]
fn requests_that_wait_have_four_turns_for_each_of_a_run() {
    let (mut room, run) = with_much_to_do();
    asks(&mut room, 1, 5_000);
    let revision = |room: &Room| room.desk.owner().shard().run(run).expect("it has much to do").revision();
    let mut turns = Vec::new();
    for turn in 0..30 {
        let before = revision(&room);
        assert_eq!(room.desk.goes_on(), GoesOn::Now);
        room.desk.take(Input::Continue, room.at, &mut room.out);
        // What is appended stays on its way: nothing else comes in.
        room.desk.turn(false, room.at, &mut room.out);
        if revision(&room) != before {
            turns.push(turn);
        }
    }
    let apart: Vec<_> = turns.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(turns.len() >= 4 && apart.iter().all(|apart| *apart == 5), "{turns:?}");
}

#[test]
fn a_burst_ends_with_the_request_that_brings_it_over() {
    // What a request costs by itself.
    const REQUEST: u64 = 100;
    let burst = usize::try_from(BURST / REQUEST).unwrap();
    for (count, at_once) in [(burst + 1, true), (burst + 2, false)] {
        let mut room = Room::new();
        asks(&mut room, 1, count);
        assert_eq!(room.out.len() == 1, at_once, "{count} requests");
        room.settle();
        assert!(room.replies(1).is_some());
    }
}

#[test]
fn while_requests_wait_every_turn_answers_some() {
    let mut room = Room::new();
    let frames = 600;
    (1..=frames).for_each(|reply| asks(&mut room, reply, 1));
    room.end_turn();
    while room.answers.len() < frames as usize {
        let before = room.answers.len();
        room.take(Input::Continue);
        assert!(room.answers.len() > before, "{before} of {frames} are answered");
    }
}

#[test]
fn who_asks_for_little_waits_for_as_much_as_it_asks_for() {
    let mut room = Room::new();
    room.flood(Flood::Reports);
    let decided = |room: &Room| room.desk.owner().shard().work_spent();
    // As much as one of the reports, by the requests alone.
    asks(&mut room, 2, usize::try_from(DECISION / 200).unwrap());
    let before = decided(&room);
    while room.replies(2).is_none() {
        room.take(Input::Continue);
    }
    let waited = decided(&room) - before;
    assert!(waited <= WAIT_MAX, "{waited} units were done for others");
}

#[test]
fn what_is_due_is_decided_when_its_time_has_come_and_not_before() {
    let mut room = Room::new();
    room.documents.push(json!({"slug": "hasty", "timeout": "1h", "nodes": [{"id": "a", "jobSlug": "other"}]}));
    let run = room.started("hasty", &json!({}));
    let hour = 3_600_000_000;
    for (passed, is_known) in [(hour - 1, true), (1, false)] {
        room.at.wall = Timestamp::from_micros(room.at.wall.as_micros() + passed);
        room.take(Input::Due);
        room.settle();
        assert_eq!(room.is_known(run), is_known);
    }
}
