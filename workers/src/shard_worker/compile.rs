//! Definitions are compiled beside the shards that need them: a few at once in a process, and each once for all its shards.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use headwater_core::Json;
use headwater_core::definition::Definition;
use headwater_core::shard::Compiled;
use tokio::sync::Semaphore;

use super::recover::aside;

/// Half of the processors: the rest drives shards. Whoever asked first comes first.
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new((processors / 2).max(1))
});

/// The graphs that some shard of this process has, by the hashes of their documents.
static SHARED: LazyLock<Mutex<HashMap<u64, Weak<Definition>>>> = LazyLock::new(Mutex::default);

/// Compiles documents that a shard waits for, one after the other.
pub(super) async fn compile(documents: Vec<Json>) -> Vec<Compiled> {
    let mut all = Vec::with_capacity(documents.len());
    for document in documents {
        let room = ROOM.acquire().await.expect("nobody closes it");
        let given = document.clone();
        let compiled = aside(move || compiled_once(&given)).await;
        drop(room);
        all.push(compiled.unwrap_or_else(|panicked| Compiled::failed(document, panicked.to_string())));
    }
    all
}

/// Returns the graph that another shard has, or compiles it.
pub(super) fn compiled_once(document: &Json) -> Compiled {
    let mut hasher = DefaultHasher::new();
    document.as_str().hash(&mut hasher);
    let hash = hasher.finish();
    let known = shared().get(&hash).and_then(Weak::upgrade);
    if let Some(graph) = known.filter(|graph| graph.source == *document) {
        return Compiled::of_graph(graph);
    }
    let compiled = Compiled::of(document);
    if let Some(graph) = compiled.graph() {
        let mut shared = shared();
        if shared.len() == shared.capacity() {
            shared.retain(|_, graph| graph.strong_count() > 0);
        }
        shared.insert(hash, Arc::downgrade(graph));
    }
    compiled
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
        let mut both = compile(vec![document.clone(), document.clone()]).await;
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
        let compiled = compile(documents.iter().map(Json::of).collect()).await;
        assert_eq!(compiled.iter().map(|compiled| compiled.graph().is_some()).collect::<Vec<_>>(), [false, true]);
    }
}
