//! Which values of a commit are not in the journal but in the store of values, and how they come out and in.
//!
//! What a user says cannot be taken for one: which field of which event it is stands beside the events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Bundle, Commit, Event};
use crate::{Json, StoredValue, ValueDigest, WorkspaceId};

/// The values of a commit that stand elsewhere. Its events say `null` in their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// The workspace that they are stored in.
    pub workspace: WorkspaceId,
    /// In the order of the events; at least one.
    pub values: Vec<StoredField>,
}

/// A value of an event: its input, its items or its output, whichever it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredField {
    /// Which event of the commit, from 0.
    pub event: u32,
    pub value: StoredValue,
}

/// A value that has to be stored before a bundle that names it is appended.
#[derive(Debug, Clone, PartialEq)]
pub struct Stowed {
    pub workspace: WorkspaceId,
    pub stored: StoredValue,
    /// Its text is the value.
    pub value: Json,
}

/// What a bundle has to be stored before it, each value once.
pub(super) type Stowage = BTreeMap<(WorkspaceId, ValueDigest), Stowed>;

/// Returns the value of an event that may stand in the store of values instead.
pub(super) fn storable(event: &Event) -> Option<&Json> {
    match event {
        Event::Run(event) => event.storable(),
        Event::Asset(_)
        | Event::Workflow(_)
        | Event::Action(_)
        | Event::Memo(_)
        | Event::DefinitionAdopted { .. }
        | Event::Released(_) => None,
    }
}

fn storable_mut(event: &mut Event) -> Option<&mut Json> {
    match event {
        Event::Run(event) => event.storable_mut(),
        Event::Asset(_)
        | Event::Workflow(_)
        | Event::Action(_)
        | Event::Memo(_)
        | Event::DefinitionAdopted { .. }
        | Event::Released(_) => None,
    }
}

impl Event {
    /// Puts the value back in whose place it says `null`; of an event that has none nothing changes.
    pub fn put_back(&mut self, value: Json) {
        if let Some(place) = storable_mut(self) {
            *place = value;
        }
    }
}

impl Commit {
    /// Returns whether an event has a value of so many bytes or more.
    pub(super) fn has_large(&self, from: usize) -> bool {
        self.events.iter().filter_map(storable).any(|value| value.len_bytes() >= from)
    }

    /// Takes the values of so many bytes or more out into `stowage`. Returns how many bytes those have that were not there.
    pub(super) fn stow(&mut self, workspace: WorkspaceId, from: usize, stowage: &mut Stowage) -> usize {
        let (mut values, mut bytes) = (Vec::new(), 0);
        for (number, event) in (0..).zip(&mut self.events) {
            let Some(value) = storable_mut(event).filter(|value| value.len_bytes() >= from) else { continue };
            // No fact has a larger one; one that did would stay where it is.
            let Some(stored) = StoredValue::of(value.as_str().as_bytes()) else { continue };
            let value = std::mem::take(value);
            values.push(StoredField { event: number, value: stored });
            stowage.entry((workspace.clone(), stored.digest)).or_insert_with(|| {
                bytes += value.len_bytes();
                Stowed { workspace: workspace.clone(), stored, value }
            });
        }
        if !values.is_empty() {
            self.stored = Some(Box::new(Stored { workspace, values }));
        }
        bytes
    }

    /// Puts the values back that `find` has. What it has not stays named, and keeps the commit from being folded.
    fn fill(&mut self, find: &mut impl FnMut(&WorkspaceId, StoredValue) -> Option<Json>) {
        let Some(mut stored) = self.stored.take() else { return };
        let Stored { workspace, values } = &mut *stored;
        values.retain(|field| {
            let event = self.events.get_mut(field.event as usize).and_then(storable_mut);
            let Some((event, value)) = event.zip(find(workspace, field.value)) else { return true };
            *event = value;
            false
        });
        if !stored.values.is_empty() {
            self.stored = Some(stored);
        }
    }

    /// Says which of its values is not there, if one is not.
    pub(super) fn lacks(&self) -> Option<String> {
        let Stored { workspace, values } = &**self.stored.as_ref()?;
        let StoredField { event, value } = values.first()?;
        let of = self.events.get(*event as usize);
        let node = match of {
            Some(Event::Run(of)) => of.node().map(|node| format!(" of the node {node}")).unwrap_or_default(),
            Some(_) | None => String::new(),
        };
        let StoredValue { digest, size_bytes } = value;
        Some(format!(
            "the value {digest}{node} of {size_bytes} bytes is not in the store of values of the workspace {workspace}"
        ))
    }
}

impl Bundle {
    /// Returns the values that folding it takes and it does not hold, in their order; the same one perhaps several times.
    pub fn wanted(&self) -> impl Iterator<Item = (&WorkspaceId, StoredValue)> {
        let stored = self.commits.iter().filter_map(|commit| commit.stored.as_ref());
        stored.flat_map(|stored| stored.values.iter().map(|field| (&stored.workspace, field.value)))
    }

    /// Puts the values in that `find` has. A commit that lacks one is not folded: its aggregate is quarantined, and the others
    /// go on.
    pub fn fill(&mut self, mut find: impl FnMut(&WorkspaceId, StoredValue) -> Option<Json>) {
        self.commits.iter_mut().for_each(|commit| commit.fill(&mut find));
    }
}
