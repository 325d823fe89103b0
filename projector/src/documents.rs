//! Definitions that the journal names by digest: fetched before their commits are folded.

use std::collections::HashMap;

use headwater_core::definition::StoredDocument;
use headwater_core::shard::{AggregateId, Event};
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{Json, ShardId, ValueDigest};
use headwater_streams::ExchangeError;
use headwater_streams::journals::{Entry, Journals};

use crate::parse::{ParsedBundle, parse};
use crate::tables::DeadRow;

/// What was fetched, by digest: of what is stored for a workflow's own workspace.
pub type Documents = HashMap<ValueDigest, Json>;

/// Fetches what these entries name. What the store has lost is left out.
///
/// # Errors
/// See [`ExchangeError`]; ask again.
pub(crate) async fn fetch<J: Journals>(
    journals: &J,
    shard: ShardId,
    entries: &[Entry],
) -> Result<Documents, ExchangeError> {
    let mut documents = Documents::new();
    for entry in entries.iter().filter(|entry| may_name_some(&entry.bytes)) {
        for stored in parse(shard, entry).commits.iter().flat_map(|commit| named(&commit.aggregate, &commit.events)) {
            if !documents.contains_key(&stored.digest)
                && let Some(document) = journals.document(&stored).await?
            {
                documents.insert(stored.digest, document);
            }
        }
    }
    Ok(documents)
}

/// Most entries name none, and are not parsed twice.
fn may_name_some(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.contains(r#""storedDocument":"#))
}

fn named(aggregate: &AggregateId, events: &[Event]) -> Vec<StoredDocument> {
    let (AggregateId::Workflow(key) | AggregateId::Definition(key, _)) = aggregate else { return Vec::new() };
    let applied = events.iter().filter_map(|event| match event {
        Event::Workflow(WorkflowEvent::WorkflowApplied { document, .. }) | Event::DefinitionAdopted { document } => {
            StoredDocument::of(document)
        }
        Event::Workflow(
            WorkflowEvent::VersionSelected { .. }
            | WorkflowEvent::VersionPinned { .. }
            | WorkflowEvent::StartsPaused { .. }
            | WorkflowEvent::StartsResumed { .. },
        )
        | Event::Run(_)
        | Event::Asset(_)
        | Event::Action(_)
        | Event::Memo(_)
        | Event::Released(_) => None,
    });
    applied.filter(|stored| stored.workspace == key.workspace).collect()
}

/// Puts documents where a bundle names them. A commit whose document is lost is buried.
pub(crate) fn place(shard: ShardId, entry: &Entry, bundle: &mut ParsedBundle, documents: &Documents) {
    let mut lost = Vec::new();
    bundle.commits.retain_mut(|commit| {
        let missing = commit.events.iter_mut().find_map(|event| {
            let (document, is_needed) = match event {
                Event::Workflow(WorkflowEvent::WorkflowApplied { document, .. }) => (document, true),
                // Whether it has a policy is asked of it.
                Event::DefinitionAdopted { document } => (document, false),
                Event::Workflow(
                    WorkflowEvent::VersionSelected { .. }
                    | WorkflowEvent::VersionPinned { .. }
                    | WorkflowEvent::StartsPaused { .. }
                    | WorkflowEvent::StartsResumed { .. },
                )
                | Event::Run(_)
                | Event::Asset(_)
                | Event::Action(_)
                | Event::Memo(_)
                | Event::Released(_) => return None,
            };
            let stored = StoredDocument::of(document)?;
            match documents.get(&stored.digest) {
                Some(fetched) => *document = fetched.clone(),
                None if is_needed => return Some(stored.digest),
                None => {}
            }
            None
        });
        if let Some(digest) = missing {
            let reason = format!("the store of values has no {digest}, which is its definition");
            let raw = commit.text.clone();
            lost.push(DeadRow { shard, sequence: entry.sequence, ordinal: commit.ordinal, reason, raw });
        }
        missing.is_none()
    });
    bundle.dead.append(&mut lost);
}
