//! Definitions are compiled beside the shards that need them: a few at once in a process, and each once for all its shards.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use headwater_core::Json;
use headwater_core::definition::{Definition, StoredDocument};
use headwater_core::shard::Compiled;
use tokio::sync::Semaphore;

use super::library::Library;
use super::recover::aside;

/// Half of the processors: the rest drives shards. Whoever asked first comes first.
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new((processors / 2).max(1))
});

/// The graphs that some shard of this process has, by the hashes of their documents.
static SHARED: LazyLock<Mutex<HashMap<u64, Weak<Definition>>>> = LazyLock::new(Mutex::default);

/// Compiles documents that a shard waits for, one after the other.
pub(super) async fn compile(library: &Library, documents: Vec<Json>) -> Vec<Compiled> {
    let mut all = Vec::with_capacity(documents.len());
    for document in documents {
        // Fetched before there is room, which others can use meanwhile.
        let kept = known(&document);
        let fetched = match StoredDocument::of(&document).filter(|_| kept.is_none()) {
            Some(stored) => Some(library.fetch(&stored).await),
            None => None,
        };
        all.push(compile_one(document, fetched).await);
        drop(kept);
    }
    all
}

/// Compiles a document, of one that is stored elsewhere what was fetched.
async fn compile_one(document: Json, fetched: Option<Result<Json, String>>) -> Compiled {
    let room = ROOM.acquire().await.expect("nobody closes it");
    let given = document.clone();
    let of_stored = |stored: &StoredDocument| match fetched {
        Some(Ok(fetched)) => Compiled::of_stored(stored, &fetched),
        Some(Err(reason)) => Compiled::failed(stored.to_json(), reason),
        // Whoever does not fetch it has its graph.
        None => Compiled::of(&stored.to_json()),
    };
    let compiled = aside(move || compiled_once(&given, of_stored)).await;
    drop(room);
    compiled.unwrap_or_else(|panicked| Compiled::failed(document, panicked.to_string()))
}

/// Returns the graph that another shard has, or compiles it. What only stands for a document is left to `of_stored`.
pub(super) fn compiled_once(document: &Json, of_stored: impl FnOnce(&StoredDocument) -> Compiled) -> Compiled {
    if let Some(graph) = known(document) {
        return Compiled::of_graph(graph);
    }
    let compiled = match StoredDocument::of(document) {
        Some(stored) => of_stored(&stored),
        None => Compiled::of(document),
    };
    if let Some(graph) = compiled.graph() {
        let mut shared = shared();
        if shared.len() == shared.capacity() {
            shared.retain(|_, graph| graph.strong_count() > 0);
        }
        shared.insert(hash_of(document), Arc::downgrade(graph));
    }
    compiled
}

/// Returns the graph that a shard of this process has.
fn known(document: &Json) -> Option<Arc<Definition>> {
    let known = shared().get(&hash_of(document)).and_then(Weak::upgrade);
    known.filter(|graph| graph.is_of(document))
}

fn hash_of(document: &Json) -> u64 {
    let mut hasher = DefaultHasher::new();
    document.as_str().hash(&mut hasher);
    hasher.finish()
}

/// Held for single look-ups: nothing is compiled under it.
fn shared() -> std::sync::MutexGuard<'static, HashMap<u64, Weak<Definition>>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_document_that_several_shards_need_is_compiled_once_and_dropped_with_the_last() {
        let document = Json::of(&json!({"nodes": [{"id": "a", "jobSlug": "shared"}], "slug": "shared"}));
        let mut both = vec![compile_one(document.clone(), None).await, compile_one(document.clone(), None).await];
        let graphs = both.iter().map(|compiled| compiled.graph().expect("it compiles"));
        let graphs: Vec<_> = graphs.collect();
        assert!(Arc::ptr_eq(graphs[0], graphs[1]));
        let weak = Arc::downgrade(graphs[0]);
        both.clear();
        assert!(weak.upgrade().is_none(), "nobody keeps what no shard has");
    }

    #[tokio::test]
    async fn what_does_not_compile_is_said_of_each_document() {
        let documents =
            [json!({"slug": "x", "stages": []}), json!({"slug": "y", "nodes": [{"id": "a", "jobSlug": "b"}]})];
        for (document, compiles) in documents.iter().zip([false, true]) {
            assert_eq!(compile_one(Json::of(document), None).await.graph().is_some(), compiles);
        }
    }
}
