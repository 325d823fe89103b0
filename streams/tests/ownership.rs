//! Shards find an owner, and a new one when theirs stops or dies.

mod harness;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use harness::{House, PATIENCE, eventually};
use headwater_core::ShardId;
use headwater_streams::Credentials;
use headwater_streams::ownership::{LossReason, Ownership, OwnershipChange, OwnershipConfig, Unfit, leases, members};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

const SHARDS: u16 = 8;
const TTL: Duration = Duration::from_secs(1);

struct Seat {
    changes: mpsc::Receiver<OwnershipChange>,
    held: HashSet<ShardId>,
    stop: Option<oneshot::Sender<()>>,
    unfit: Unfit,
    task: JoinHandle<()>,
}

impl Seat {
    async fn take(house: &House, name: &str) -> Self {
        let broker = house.connect().await;
        let config = OwnershipConfig { ttl: TTL, ..OwnershipConfig::new(name.parse().unwrap(), SHARDS) };
        let (ownership, changes) = Ownership::join(&broker, config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let unfit = ownership.unfit();
        let task = tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            ownership.run(stopped).await.unwrap();
        });
        Self { changes, held: HashSet::new(), stop: Some(stop), unfit, task }
    }

    /// Takes changes until `count` shards are held.
    async fn until_holding(&mut self, count: usize) {
        let settle = async {
            while self.held.len() != count {
                self.change().await;
            }
        };
        tokio::time::timeout(PATIENCE, settle).await.unwrap();
    }

    async fn change(&mut self) -> Option<LossReason> {
        match self.changes.recv().await.unwrap() {
            OwnershipChange::Acquired { shard, tenure } => {
                assert!(tenure.0 > 0);
                assert!(self.held.insert(shard), "{shard} acquired twice");
                None
            }
            OwnershipChange::Lost { shard, reason, handover, .. } => {
                assert!(self.held.remove(&shard), "{shard} lost without having been held");
                drop(handover);
                Some(reason)
            }
        }
    }
}

/// Takes changes of both until each holds its half.
async fn until_shared(a: &mut Seat, b: &mut Seat) {
    let settle = async {
        while a.held.len() != 4 || b.held.len() != 4 || !a.held.is_disjoint(&b.held) {
            tokio::select! {
                _ = a.change() => {}
                _ = b.change() => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, settle).await.unwrap();
}

#[tokio::test]
async fn a_lone_member_gets_every_shard_and_shares_them_when_another_joins() {
    let house = House::with_shards(SHARDS).await;
    let mut a = Seat::take(&house, "a").await;
    a.until_holding(8).await;
    let mut b = Seat::take(&house, "b").await;
    until_shared(&mut a, &mut b).await;
    assert!(a.held.is_disjoint(&b.held));
    let table = leases(&house.broker).await.unwrap();
    assert_eq!(table.len(), usize::from(SHARDS));
    for (shard, lease) in table {
        assert_eq!(a.held.contains(&shard), lease.member.as_str() == "a");
    }
    assert_eq!(members(&house.broker).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_member_that_stops_hands_its_shards_over_at_once() {
    let house = House::with_shards(SHARDS).await;
    let (mut a, mut b) = (Seat::take(&house, "a").await, Seat::take(&house, "b").await);
    until_shared(&mut a, &mut b).await;
    let stopped_at = Instant::now();
    drop(a.stop.take());
    let leave = async {
        while !a.held.is_empty() {
            assert_eq!(a.change().await, Some(LossReason::Stopping));
        }
    };
    tokio::join!(leave, b.until_holding(8));
    assert!(stopped_at.elapsed() < TTL, "took {:?}", stopped_at.elapsed());
    a.task.await.unwrap();
    assert_eq!(members(&house.broker).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_member_that_dies_loses_its_shards_after_its_time_to_live() {
    let house = House::with_shards(SHARDS).await;
    let (mut a, mut b) = (Seat::take(&house, "a").await, Seat::take(&house, "b").await);
    until_shared(&mut a, &mut b).await;
    let died_at = Instant::now();
    a.task.abort();
    b.until_holding(8).await;
    println!("taken over after {:?}", died_at.elapsed());
    // Back under the same name, it is a new incarnation: it waits for nothing and takes over nothing by mistake.
    let mut a = Seat::take(&house, "a").await;
    until_shared(&mut a, &mut b).await;
}

#[tokio::test]
async fn a_shard_is_released_only_when_it_has_come_to_rest() {
    let house = House::with_shards(SHARDS).await;
    let mut a = Seat::take(&house, "a").await;
    a.until_holding(8).await;
    let mut b = Seat::take(&house, "b").await;
    let OwnershipChange::Lost { shard, reason, handover, .. } = a.changes.recv().await.unwrap() else { panic!() };
    assert_eq!(reason, LossReason::Moved);
    a.held.remove(&shard);
    // The other three move; this one stays with its old owner as long as the handover is kept.
    tokio::join!(a.until_holding(4), b.until_holding(3));
    assert!(!b.held.contains(&shard));
    drop(handover);
    b.until_holding(4).await;
    assert!(b.held.contains(&shard));
}

#[tokio::test]
async fn a_member_the_broker_cannot_hear_gives_up_and_comes_back() {
    let mut house = House::with_shards(SHARDS).await;
    let mut a = Seat::take(&house, "a").await;
    a.until_holding(8).await;
    house.server.kill();
    while !a.held.is_empty() {
        assert_eq!(a.change().await, Some(LossReason::Isolated));
    }
    house.server.restart().unwrap();
    a.until_holding(8).await;
    eventually("the table is as before", || async {
        leases(&house.broker).await.ok().filter(|table| table.len() == usize::from(SHARDS))
    })
    .await;
}

/// Writes into the table of leases as a member would whose request comes late.
async fn put_late(house: &House, shard: ShardId, member: &str) {
    let (_, entry) = members(&house.broker).await.unwrap().into_iter().find(|(id, _)| id.as_str() == member).unwrap();
    let Credentials::Password { user, password } = house.server.engine().credentials else { panic!() };
    let options = async_nats::ConnectOptions::with_user_and_password(user, password);
    let client = options.connect(house.server.url()).await.unwrap();
    let lease = format!(r#"{{"member":"{member}","incarnation":"{}"}}"#, entry.incarnation);
    client.request(format!("$KV.HW_LEASES.{shard}"), lease.into()).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_landed_late_is_released_and_the_shard_finds_its_owner() {
    let house = House::with_shards(SHARDS).await;
    let (mut a, mut b) = (Seat::take(&house, "a").await, Seat::take(&house, "b").await);
    until_shared(&mut a, &mut b).await;
    let shard = *a.held.iter().next().unwrap();
    put_late(&house, shard, "b").await;
    assert_eq!(a.change().await, Some(LossReason::Taken));
    until_shared(&mut a, &mut b).await;
    assert!(a.held.contains(&shard), "it is still assigned to a");
}

#[tokio::test]
async fn a_shard_is_not_acquired_again_before_its_driver_has_come_to_rest() {
    let mut house = House::with_shards(SHARDS).await;
    let mut a = Seat::take(&house, "a").await;
    a.until_holding(8).await;
    house.server.kill();
    let OwnershipChange::Lost { shard, handover, .. } = a.changes.recv().await.unwrap() else { panic!() };
    a.held.remove(&shard);
    while !a.held.is_empty() {
        assert_eq!(a.change().await, Some(LossReason::Isolated));
    }
    house.server.restart().unwrap();
    // The others come back; this one has a driver that will not stop, for longer than its lease is kept for it.
    a.until_holding(7).await;
    eventually("the lease is released", || async {
        leases(&house.broker).await.ok().filter(|table| !table.contains_key(&shard))
    })
    .await;
    assert!(!a.held.contains(&shard) && a.changes.try_recv().is_err());
    drop(handover);
    a.until_holding(8).await;
}

#[tokio::test]
async fn a_shard_that_a_member_cannot_drive_goes_to_another() {
    let house = House::with_shards(SHARDS).await;
    let (mut a, mut b) = (Seat::take(&house, "a").await, Seat::take(&house, "b").await);
    until_shared(&mut a, &mut b).await;
    let shard = *a.held.iter().next().unwrap();
    a.unfit.report(shard);
    while !b.held.contains(&shard) {
        tokio::select! {
            _ = a.change() => {}
            _ = b.change() => {}
        }
    }
    assert!(!a.held.contains(&shard));
}
