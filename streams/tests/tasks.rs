//! Tasks wait, are handed out, and come back when nobody answers for them.

mod harness;

use std::time::{Duration, Instant};

use harness::{House, PATIENCE, eventually, shard, workspace};
use headwater_core::protocol::{Task, Work};
use headwater_core::{Attempt, Json, LeaseToken, QueueName, RunId, Timestamp};
use headwater_streams::tasks::{Delivery, QueueSettings, TaskPuller, TaskQueue};

fn queue() -> QueueName {
    "scan".parse().unwrap()
}

fn task(n: u32) -> Task {
    Task {
        workspace: workspace(),
        workflow: "insights".parse().unwrap(),
        run: RunId::new(shard(0), Timestamp::from_micros(1), u128::from(n) << 20),
        node: "scan".parse().unwrap(),
        attempt: Attempt::FIRST,
        lease: LeaseToken::from_bits(u64::from(n)),
        queue: queue(),
        work: Work::Job("scan-directory".parse().unwrap()),
        input: Json::of(&n),
        assets: Vec::new(),
        deadline: None,
        heartbeat_timeout_ms: None,
        claim_first: false,
    }
}

fn number(delivery: &Delivery) -> u32 {
    delivery.task.as_ref().unwrap().input.as_str().parse().unwrap()
}

async fn fetch(puller: &mut TaskPuller, slots: usize) -> Vec<Delivery> {
    puller.fetch(slots, PATIENCE).await.unwrap()
}

#[tokio::test]
async fn tasks_are_handed_out_once_and_no_more_than_there_are_slots() {
    let house = House::with_shards(1).await;
    let tasks = TaskQueue::new(&house.broker, QueueSettings::default());
    let published = tasks.publish_all((0..25).map(task).collect()).await;
    assert!(published.iter().all(Result::is_ok));
    // The same again, as after a take-over: recognised.
    tasks.publish(&task(3)).await.unwrap();
    let mut puller = TaskPuller::open(&house.broker, &workspace(), &queue()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 25 {
        let deliveries = fetch(&mut puller, 10).await;
        assert!((1..=10).contains(&deliveries.len()));
        for delivery in deliveries {
            assert!(!delivery.redelivered);
            seen.push(number(&delivery));
            delivery.receipt.ack().await;
        }
    }
    assert_eq!(seen, (0..25).collect::<Vec<_>>());
    assert!(puller.fetch(10, Duration::from_millis(100)).await.unwrap().is_empty());
    eventually("the queue is empty", || async {
        let depth = tasks.depth(&workspace(), &queue()).await.unwrap();
        (depth.waiting == 0 && depth.in_flight == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_puller_that_waits_gets_a_task_the_moment_it_comes() {
    let house = House::with_shards(1).await;
    let tasks = TaskQueue::new(&house.broker, QueueSettings::default());
    let mut puller = TaskPuller::open(&house.broker, &workspace(), &queue()).await.unwrap();
    // Before anybody has made the queue there is nothing, and no error.
    assert!(puller.fetch(1, Duration::from_millis(50)).await.unwrap().is_empty());
    tasks.ensure_queue(&workspace(), &queue(), QueueSettings::default()).await.unwrap();
    for n in 0..3 {
        let waiting = tokio::spawn(async move {
            let deliveries = fetch(&mut puller, 5).await;
            (puller, deliveries, Instant::now())
        });
        tasks.publish(&task(n)).await.unwrap();
        let published_at = Instant::now();
        let (back, deliveries, at) = waiting.await.unwrap();
        puller = back;
        assert_eq!(number(&deliveries[0]), n);
        deliveries[0].receipt.ack().await;
        println!("handed out after {:?}", at.saturating_duration_since(published_at));
    }
}

#[tokio::test]
async fn what_nobody_answers_for_comes_again_and_says_so() {
    let house = House::with_shards(1).await;
    let settings = QueueSettings { ack_wait: Duration::from_millis(300), ..QueueSettings::default() };
    let tasks = TaskQueue::new(&house.broker, settings);
    tasks.publish(&task(1)).await.unwrap();
    let mut puller = TaskPuller::open(&house.broker, &workspace(), &queue()).await.unwrap();
    let first = fetch(&mut puller, 1).await;
    assert!(!first[0].redelivered);
    drop(first);
    let second = fetch(&mut puller, 1).await;
    assert!(second[0].redelivered);
    second[0].receipt.retry_later(Duration::from_millis(50)).await;
    let third = fetch(&mut puller, 1).await;
    assert!(third[0].redelivered);
    // Said to be worked on, it does not come again before its wait is over.
    let held_until = Instant::now() + Duration::from_millis(700);
    while Instant::now() < held_until {
        third[0].receipt.progress().await;
        assert!(puller.fetch(1, Duration::from_millis(100)).await.unwrap().is_empty());
    }
    third[0].receipt.ack().await;
}

#[tokio::test]
async fn a_queue_hands_out_no_more_than_its_bound_over_all_workers() {
    let house = House::with_shards(1).await;
    let tasks = TaskQueue::new(&house.broker, QueueSettings { in_flight_max: 3, ..QueueSettings::default() });
    tasks.publish_all((0..5).map(task).collect()).await;
    let mut puller = TaskPuller::open(&house.broker, &workspace(), &queue()).await.unwrap();
    let held = fetch(&mut puller, 10).await;
    assert_eq!(held.len(), 3);
    let mut other = TaskPuller::open(&house.broker, &workspace(), &queue()).await.unwrap();
    assert!(other.fetch(10, Duration::from_millis(100)).await.unwrap().is_empty());
    // What this one asked for beyond the bound is not owed to it any more when it is gone.
    drop(puller);
    held[0].receipt.ack().await;
    assert_eq!(number(&fetch(&mut other, 10).await[0]), 3);
}

#[tokio::test]
async fn giving_up_a_fetch_loses_no_task() {
    let house = House::with_shards(1).await;
    let tasks = TaskQueue::new(&house.broker, QueueSettings::default());
    tasks.publish_all((0..20).map(task).collect()).await;
    let mut puller = TaskPuller::open(&house.broker, &workspace(), &queue()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 20 {
        for polls in 0..10 {
            let given_up = async {
                for _ in 0..polls {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                deliveries = puller.fetch(3, PATIENCE) => {
                    for delivery in deliveries.unwrap() {
                        seen.push(number(&delivery));
                        delivery.receipt.ack().await;
                    }
                }
                () = given_up => {}
            }
        }
    }
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_puller_goes_on_after_the_broker_was_gone() {
    let mut house = House::with_shards(1).await;
    let tasks = TaskQueue::new(&house.broker, QueueSettings::default());
    tasks.publish(&task(1)).await.unwrap();
    let mut puller = TaskPuller::open(&house.broker, &workspace(), &queue()).await.unwrap();
    fetch(&mut puller, 1).await[0].receipt.ack().await;
    house.server.kill();
    house.server.restart().unwrap();
    eventually("tasks can be offered again", || async { tasks.publish(&task(2)).await.ok() }).await;
    let started = Instant::now();
    loop {
        // The first may come again: its acknowledgement was on its way.
        let deliveries = fetch(&mut puller, 1).await;
        assert!(!deliveries.is_empty());
        deliveries[0].receipt.ack().await;
        if number(&deliveries[0]) == 2 {
            break;
        }
        assert!(deliveries[0].redelivered);
    }
    println!("fetched {:?} after the restart", started.elapsed());
}
