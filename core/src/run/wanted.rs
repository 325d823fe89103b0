//! Which active runs somebody means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Run, RunStatus};
use crate::{Slug, Timestamp, WorkspaceId};

/// Which active runs of a workspace somebody means: those of which all of this is so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunsWanted {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Slug>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// They have all of these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// They started then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_from: Option<Timestamp>,
    /// They started before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_before: Option<Timestamp>,
}

impl RunsWanted {
    /// Says whether a run is one of them.
    pub fn means(&self, workspace: &WorkspaceId, run: &Run) -> bool {
        let Self { workflow, status, labels, started_from, started_before } = self;
        let started_at = run.origin.started_at();
        let has = |(key, value): (&String, &String)| {
            run.description.as_ref().is_some_and(|description| description.labels.get(key) == Some(value))
        };
        run.workspace() == workspace
            && workflow.as_ref().is_none_or(|workflow| run.workflow() == workflow)
            && status.is_none_or(|status| run.status() == status)
            && started_from.is_none_or(|from| started_at >= from)
            && started_before.is_none_or(|before| started_at < before)
            && labels.iter().all(has)
    }
}
