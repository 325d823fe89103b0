//! Large values, on a real broker and in memory: one suite for both.

mod harness;

use bytes::Bytes;
use harness::{House, quick, workspace};
use headwater_core::{StoredValue, VALUE_BYTES_MAX, ValueDigest, WorkspaceId};
use headwater_streams::values::{MemoryValues, ValueError, ValueStore, Values};
use headwater_streams::{BrokerConfig, Credentials, Disposition};

/// So many bytes that do not repeat.
fn value(bytes: usize) -> Bytes {
    (0..).flat_map(|n: u32| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(bytes).collect::<Vec<u8>>().into()
}

async fn conforms(values: &impl Values) {
    let (ours, theirs): (WorkspaceId, WorkspaceId) = (workspace(), "other".parse().unwrap());
    for bytes in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20, VALUE_BYTES_MAX] {
        let value = value(bytes);
        let stored = values.put(&ours, value.clone()).await.unwrap();
        assert_eq!(Some(stored), StoredValue::of(&value));
        assert_eq!(values.put(&ours, value.clone()).await.unwrap(), stored, "the same again");
        assert_eq!(values.get(&ours, stored.digest).await.unwrap(), value, "{bytes}");
        let refusal = values.get(&theirs, stored.digest).await.unwrap_err();
        assert!(matches!(refusal, ValueError::Missing { .. }), "another workspace reads it");
    }
    let refusal = values.put(&ours, value(VALUE_BYTES_MAX + 1)).await.unwrap_err();
    assert!(matches!(refusal, ValueError::TooLarge { bytes } if bytes == VALUE_BYTES_MAX + 1));
    let refusal = values.get(&ours, ValueDigest::of(b"never stored")).await.unwrap_err();
    assert_eq!(refusal.disposition(), Disposition::Corrupt);
}

#[tokio::test]
async fn values_in_memory_are_kept_by_workspace_and_digest() {
    conforms(&MemoryValues::new()).await;
}

#[tokio::test]
async fn values_on_a_broker_are_kept_by_workspace_and_digest() {
    let house = House::with_shards(1).await;
    conforms(&ValueStore::new(&house.broker)).await;
}

/// Speaks to the broker past everything.
async fn raw(house: &House) -> async_nats::jetstream::Context {
    let BrokerConfig { url, credentials, .. } = house.server.engine();
    let Credentials::Password { user, password } = credentials else { panic!("a broker of one's own has a password") };
    let client = async_nats::ConnectOptions::with_user_and_password(user, password).connect(url).await.unwrap();
    async_nats::jetstream::new(client)
}

#[tokio::test]
async fn a_value_is_written_once_and_one_written_in_part_is_completed() {
    let house = House::with_shards(1).await;
    let (values, raw) = (ValueStore::new(&house.broker), raw(&house).await);
    let messages = || async { raw.get_stream("HW_VALUES").await.unwrap().cached_info().state.messages };
    let (acme, value) = (workspace(), value((3 << 20) + 5));
    let digest = ValueDigest::of(&value);
    for part in [1, 3] {
        let bytes = value.slice(part << 20..value.len().min((part + 1) << 20));
        raw.publish(format!("hw.value.acme.{digest}.{part}"), bytes).await.unwrap().await.unwrap();
    }
    let refusal = values.get(&workspace(), digest).await.unwrap_err();
    assert!(matches!(refusal, ValueError::Missing { .. }), "{refusal}");
    values.put(&workspace(), value.clone()).await.unwrap();
    assert_eq!((messages().await, values.get(&workspace(), digest).await.unwrap()), (4, value.clone()));
    let both = tokio::join!(values.put(&acme, value.clone()), values.put(&acme, value.slice(1..)));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(messages().await, 8);
    let same = value.slice(2..);
    let both = tokio::join!(values.put(&acme, same.clone()), values.put(&acme, same.clone()));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    assert_eq!(messages().await, 12);
}

#[tokio::test]
async fn a_value_that_is_another_one_by_now_is_not_returned() {
    let house = House::with_shards(1).await;
    let (values, raw) = (ValueStore::new(&house.broker), raw(&house).await);
    let digest = ValueDigest::of(b"what was meant");
    raw.publish(format!("hw.value.acme.{digest}.0"), "something else".into()).await.unwrap().await.unwrap();
    let refusal = values.get(&workspace(), digest).await.unwrap_err();
    assert!(matches!(refusal, ValueError::Damaged { .. }), "{refusal}");
}

#[tokio::test]
async fn workers_can_neither_read_nor_write_values() {
    let house = House::with_shards(1).await;
    let value = Bytes::from_static(b"secret");
    let digest = ValueStore::new(&house.broker).put(&workspace(), value).await.unwrap().digest;
    let worker = headwater_streams::Broker::connect(&quick(house.server.worker())).await.unwrap();
    let values = ValueStore::new(&worker);
    assert_eq!(values.get(&workspace(), digest).await.unwrap_err().disposition(), Disposition::Unavailable);
    assert!(values.put(&workspace(), Bytes::from_static(b"forged")).await.is_err());
}

#[tokio::test]
async fn a_stream_that_is_away_has_not_lost_anything() {
    let house = House::empty().await;
    let refusal = ValueStore::new(&house.broker).get(&workspace(), ValueDigest::of(b"x")).await.unwrap_err();
    assert_eq!(refusal.disposition(), Disposition::Unavailable);
}
