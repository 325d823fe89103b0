//! What comes and is not taken waits within bounds, and who floods leaves room to the others.

mod harness;

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use harness::{House, PATIENCE, quick, shard};
use headwater_core::WorkspaceId;
use headwater_streams::subject::work_subject;
use headwater_streams::work::{self, Frames, Said};
use headwater_streams::{Broker, requests};

const LARGE: usize = 1 << 20;

/// Sends without waiting for an answer.
async fn send(broker: &Broker, workspace: &str, payload: Bytes) {
    let subject = work_subject(&workspace.parse().unwrap(), shard(0));
    requests::request(broker, &subject, payload, Duration::ZERO).await.unwrap_err();
}

/// Waits until everything that was sent has arrived, and takes nothing.
async fn arrived(sender: &Broker, receiver: &Broker, frames: &mut Frames) {
    let all = async {
        sender.flush().await.unwrap();
        receiver.flush().await.unwrap();
    };
    tokio::select! {
        _ = frames.next_if(false) => unreachable!("nothing is wanted"),
        () = all => {}
    }
    // What arrived last, together with the answer, is still with the client.
    let rest = tokio::task::unconstrained(frames.next_if(false)).now_or_never();
    assert!(rest.is_none(), "nothing is wanted");
}

fn taken(frames: &mut Frames) -> Vec<Said> {
    std::iter::from_fn(|| frames.try_next()).collect()
}

fn of<'a>(said: &'a [Said], workspace: &str) -> Vec<&'a Said> {
    let workspace: WorkspaceId = workspace.parse().unwrap();
    said.iter().filter(|said| said.workspace == workspace).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn workspaces_that_somebody_invents_have_no_more_room_than_one() {
    let house = House::empty().await;
    let sender = Broker::connect(&quick(house.server.engine())).await.unwrap();
    let mut frames = work::hear_frames(&house.broker, shard(0)).await.unwrap();
    let large = Bytes::from(vec![b'x'; LARGE]);
    for number in 0..200 {
        send(&sender, &format!("invented-{number}"), large.clone()).await;
        if number % 20 == 19 {
            arrived(&sender, &house.broker, &mut frames).await;
        }
    }
    send(&sender, "quiet", "here".into()).await;
    arrived(&sender, &house.broker, &mut frames).await;
    let said = taken(&mut frames);
    let megabytes = said.iter().map(|said| said.payload.len()).sum::<usize>() >> 20;
    assert!((32..=64).contains(&megabytes), "{megabytes} MiB wait");
    assert_eq!(of(&said, "quiet").len(), 1, "what is small finds room");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_waits_within_bounds_and_who_floods_leaves_room_to_the_others() {
    let house = House::empty().await;
    let sender = Broker::connect(&quick(house.server.engine())).await.unwrap();
    let mut frames = work::hear_frames(&house.broker, shard(0)).await.unwrap();
    let large = Bytes::from(vec![b'x'; LARGE]);
    for _ in 0..10 {
        for _ in 0..20 {
            send(&sender, "flooding", large.clone()).await;
        }
        arrived(&sender, &house.broker, &mut frames).await;
    }
    for number in 0..100 {
        send(&sender, "quiet", format!("{number}").into()).await;
        send(&sender, "busy", large.clone()).await;
    }
    arrived(&sender, &house.broker, &mut frames).await;

    let said = taken(&mut frames);
    let megabytes = said.iter().map(|said| said.payload.len()).sum::<usize>() >> 20;
    assert!(megabytes <= 64, "{megabytes} MiB wait");
    assert_eq!(of(&said, "flooding").len(), 32, "half of the room");
    assert!((14..=16).contains(&of(&said, "busy").len()), "half of what is left: {}", of(&said, "busy").len());
    let quiet: Vec<_> = of(&said, "quiet").iter().map(|said| said.payload.clone()).collect();
    assert_eq!(quiet, (0..100).map(|number| Bytes::from(format!("{number}"))).collect::<Vec<_>>(), "all, in order");

    // What was taken has made room again, also what went with its subscription.
    for _ in 0..20 {
        send(&sender, "flooding", large.clone()).await;
    }
    arrived(&sender, &house.broker, &mut frames).await;
    drop(frames);
    let mut frames = work::hear_frames(&house.broker, shard(0)).await.unwrap();
    for _ in 0..40 {
        send(&sender, "flooding", large.clone()).await;
    }
    arrived(&sender, &house.broker, &mut frames).await;
    tokio::time::timeout(PATIENCE, frames.stop()).await.unwrap();
    assert_eq!(taken(&mut frames).len(), 32, "as at first");
}
