//! Whether a worker's credentials are walled off from the broker's own API: tried, on a stream made for that.

use std::time::Duration;

use async_nats::jetstream::{consumer, stream};

use crate::{Broker, BrokerConfig, ConnectError, ExchangeError};

/// What a worker's credentials can do to the engine's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// Nothing of what was tried.
    Holds,
    /// They delete streams: give workers an account of their own.
    Broken,
}

/// Says why it could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum WallError {
    #[error("the worker's credentials do not connect")]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// How long the broker may take to do what it should not.
const EFFECT_WAIT: Duration = Duration::from_millis(500);

impl Broker {
    /// Tries, with a worker's credentials, to have the broker delete a stream that is made for that and removed afterwards: directly, and
    /// by naming its deletion as where the answer to something harmless should go.
    ///
    /// # Errors
    /// See [`WallError`].
    pub async fn try_wall(&self, worker: &BrokerConfig) -> Result<Wall, WallError> {
        const WHAT: &str = "try the wall around workers";
        let unavailable = |error: async_nats::Error| ExchangeError::unavailable(WHAT, error);
        let name = format!("HW_PROBE_{:016x}", rand_bits());
        let jetstream = self.jetstream();
        let config = stream::Config {
            name: name.clone(),
            subjects: vec![format!("hw.probe.{name}")],
            storage: stream::StorageType::Memory,
            ..Default::default()
        };
        let probe = jetstream.create_stream(config).await.map_err(|error| unavailable(error.into()))?;
        let pull = consumer::pull::Config { durable_name: Some("probe".to_owned()), ..Default::default() };
        let tried = async {
            probe.create_consumer(pull).await.map_err(|error| unavailable(error.into()))?;
            let worker = Broker::connect(worker).await?;
            self.attack(&worker, &name).await?;
            tokio::time::sleep(EFFECT_WAIT).await;
            let left = jetstream.get_stream(&name).await;
            Ok(if left.is_ok() { Wall::Holds } else { Wall::Broken })
        };
        let tried = tried.await;
        // Gone already where the wall is broken.
        if let Err(error) = jetstream.delete_stream(&name).await {
            tracing::debug!(%error, "the probe is not there any more");
        }
        tried
    }

    async fn attack(&self, worker: &Broker, name: &str) -> Result<(), ExchangeError> {
        let delete = format!("$JS.API.STREAM.DELETE.{name}");
        let asked = [
            format!("$JS.API.CONSUMER.MSG.NEXT.{name}.probe"),
            format!("$JS.API.STREAM.INFO.{name}"),
            "$JS.API.INFO".to_owned(),
        ];
        let sent = async {
            for subject in asked {
                let client = worker.client();
                client.publish_with_reply(subject, delete.clone(), r#"{"batch":1,"no_wait":true}"#.into()).await?;
            }
            worker.client().publish(delete, "".into()).await
        };
        sent.await.map_err(|error| ExchangeError::unavailable("try the wall around workers", error))?;
        worker.flush().await
    }
}

/// Random enough that two probes do not meet.
fn rand_bits() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one("probe")
}
