//! Documents that a shard does not have: looked up where versions are published, and, where they are too large for the journal,
//! fetched from the store of values.

use std::time::Duration;

use headwater_core::Json;
use headwater_core::definition::StoredDocument;
use headwater_core::desk::Needed;
use headwater_core::shard::{Compiled, Compiler};
use headwater_streams::backoff::Backoff;
use headwater_streams::complaints::Complaints;
use headwater_streams::definitions::Definitions;
use headwater_streams::values::{self, ValueError, ValueStore};
use headwater_streams::{Broker, Disposition};
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio::time::Instant;

use super::compile::compiled_once;

/// How long a store that does not answer is asked for a document.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// Where documents are that the journal names by digest. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Library {
    values: ValueStore,
}

impl Library {
    pub fn new(broker: &Broker) -> Self {
        Self { values: ValueStore::new(broker) }
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// Why there is none, in words: the store has lost it, or does not answer.
    pub async fn fetch(&self, stored: &StoredDocument) -> Result<Json, String> {
        let give_up_at = Instant::now() + PATIENCE;
        loop {
            let error = match values::document(&self.values, stored).await {
                Ok(document) => return Ok(document),
                Err(error) => error,
            };
            let is_final = error.disposition() == Disposition::Corrupt || Instant::now() >= give_up_at;
            if is_final {
                return Err(said(&error));
            }
            static UNREAD: Complaints = Complaints::new();
            if let Some(count) = UNREAD.due() {
                tracing::warn!(%error, digest = %stored.digest, count, "a document cannot be fetched yet, trying again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Compiles what is folded, off the threads of the runtime: what is stored elsewhere is waited for there.
    pub fn compiler(&self) -> Compiler {
        let (library, runtime) = (self.clone(), Handle::current());
        Compiler::new(move |document| {
            compiled_once(document, |stored| match block_in_place(|| runtime.block_on(library.fetch(stored))) {
                Ok(fetched) => Compiled::of_stored(stored, &fetched),
                Err(reason) => Compiled::failed(stored.to_json(), reason),
            })
        })
    }
}

/// Looks a definition version up, for as long as the table cannot be read: what waits for it is not refused for that.
pub(super) async fn find(definitions: &Definitions, (key, version): &Needed) -> Option<Json> {
    let mut backoff = Backoff::of_exchange();
    loop {
        let error = match definitions.as_stored(key, *version).await {
            Ok(found) => return found,
            Err(error) => error,
        };
        static UNREAD: Complaints = Complaints::new();
        if let Some(count) = UNREAD.due() {
            tracing::warn!(%error, workflow = %key.workflow, %version, count, "a definition cannot be read");
        }
        if matches!(error.disposition(), Disposition::Rejection | Disposition::Malformed) {
            return None;
        }
        backoff.wait().await;
    }
}

fn said(error: &ValueError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[cfg(test)]
mod tests {
    use headwater_core::DefinitionVersion;
    use headwater_core::shard::WorkflowKey;
    use headwater_streams::BrokerConfig;
    use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
    use headwater_streams::topology::Topology;
    use serde_json::json;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_version_is_looked_up_for_as_long_as_the_table_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = NatsServer::start(&ServerBinary::find().unwrap(), ServerConfig::new(folder.path())).unwrap();
        let config = BrokerConfig { request_timeout: Duration::from_millis(300), ..server.engine() };
        let broker = Broker::connect(&config).await.unwrap();
        Topology::new(1, 1).unwrap().apply(&broker).await.unwrap();
        let definitions = Definitions::new(&broker);
        let key = WorkflowKey { workspace: "acme".parse().unwrap(), workflow: "flow".parse().unwrap() };
        let (document, version) = (Json::of(&json!({"slug": "flow"})), DefinitionVersion::FIRST);
        definitions.publish(&key, version, &document).await.unwrap();

        server.kill();
        let needed = (key, version);
        let search = find(&definitions, &needed);
        tokio::pin!(search);
        let given_up = tokio::time::timeout(Duration::from_secs(1), &mut search).await;
        assert!(given_up.is_err(), "{given_up:?}");
        server.restart().unwrap();
        assert_eq!(search.await, Some(document));
        let other = (needed.0.clone(), version.next());
        assert_eq!(find(&definitions, &other).await, None, "there is no such version");
    }
}
