//! Workflows and their versions.

use headwater_core::{DefinitionVersion, Json, Slug};
use serde::Serialize;
use tokio_postgres::Row;

use super::{Moment, Reads, View, json, json_if, moment, page_size, small_number};
use crate::columns::integer;
use crate::database::DatabaseError;

/// A workflow in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowSummary {
    pub slug: String,
    /// Of the current version, like what follows.
    pub name: Option<String>,
    pub description: Option<String>,
    pub version: u32,
    /// Starts without a version take it instead of the current one.
    pub pinned_version: Option<u32>,
    pub content_hash: String,
    pub created_at: Moment,
    pub updated_at: Moment,
}

/// A version in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionSummary {
    pub version: u32,
    pub content_hash: String,
    pub name: Option<String>,
    pub description: Option<String>,
    pub applied_at: Moment,
    /// Who applied it, where they said so: `{claimed}`.
    pub applied_by: Option<Json>,
    pub current: bool,
}

/// A version with its document.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionView {
    pub slug: String,
    #[serde(flatten)]
    pub summary: DefinitionSummary,
    /// Of the workflow.
    pub pinned_version: Option<u32>,
    pub document: Json,
}

const DEFINITION: &str = "d.slug, d.version, d.content_hash, d.name, d.description, d.applied_at, d.applied_by,
                          d.version = w.current_version AS current";

impl Reads {
    /// Returns a page of a view's workflows by slug, behind `after`.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`], here and below.
    pub async fn workflows(
        &self,
        view: &View,
        after: Option<&Slug>,
        limit: u32,
    ) -> Result<Vec<WorkflowSummary>, DatabaseError> {
        let sql = format!(
            "SELECT w.slug, d.name, d.description, d.version, w.pinned_version, d.content_hash, w.created_at, w.updated_at
             FROM {} w
             JOIN workflow_defs d ON (d.workspace, d.slug, d.version) = (w.workspace, w.slug, w.current_version)
             WHERE w.workspace = $1 AND w.slug > $2 ORDER BY w.slug LIMIT $3",
            view.workflows(3)
        );
        let (workspace, after) = (view.workspace.as_str(), after.map_or("", |slug| slug.as_str()));
        let rows = self.rows(&sql, &view.parameters(&[&workspace, &after, &page_size(limit)])).await?;
        Ok(rows.iter().map(workflow).collect())
    }

    /// Returns a version of a workflow with its document; the current one where none is named. `None`: there is none.
    pub async fn definition(
        &self,
        view: &View,
        slug: &Slug,
        version: Option<DefinitionVersion>,
    ) -> Result<Option<DefinitionView>, DatabaseError> {
        let sql = format!(
            "SELECT {DEFINITION}, w.pinned_version, d.document::text AS document
             FROM {} w JOIN workflow_defs d USING (workspace, slug)
             WHERE w.workspace = $1 AND w.slug = $2 AND d.version = coalesce($3, w.current_version) AND {}",
            view.workflows(3),
            view.definition_is_there(3)
        );
        let version = version.map(|version| integer(version.get()));
        let (workspace, slug) = (view.workspace.as_str(), slug.as_str());
        let rows = self.rows(&sql, &view.parameters(&[&workspace, &slug, &version])).await?;
        Ok(rows.first().map(|row| DefinitionView {
            slug: row.get("slug"),
            summary: definition(row),
            pinned_version: pinned(row),
            document: json(row, "document"),
        }))
    }

    /// Returns the versions of a workflow, newest first, from below `before`. Empty: there is no such workflow.
    pub async fn definitions(
        &self,
        view: &View,
        slug: &Slug,
        before: Option<DefinitionVersion>,
        limit: u32,
    ) -> Result<Vec<DefinitionSummary>, DatabaseError> {
        let sql = format!(
            "SELECT {DEFINITION} FROM {} w JOIN workflow_defs d USING (workspace, slug)
             WHERE w.workspace = $1 AND w.slug = $2 AND d.version < $3 AND {} ORDER BY d.version DESC LIMIT $4",
            view.workflows(4),
            view.definition_is_there(4)
        );
        let before = before.map_or(i32::MAX, |version| integer(version.get()));
        let (workspace, slug) = (view.workspace.as_str(), slug.as_str());
        let rows = self.rows(&sql, &view.parameters(&[&workspace, &slug, &before, &page_size(limit)])).await?;
        Ok(rows.iter().map(definition).collect())
    }
}

fn workflow(row: &Row) -> WorkflowSummary {
    WorkflowSummary {
        slug: row.get("slug"),
        name: row.get("name"),
        description: row.get("description"),
        version: small_number(row, "version"),
        pinned_version: pinned(row),
        content_hash: row.get("content_hash"),
        created_at: moment(row, "created_at"),
        updated_at: moment(row, "updated_at"),
    }
}

fn pinned(row: &Row) -> Option<u32> {
    row.get::<_, Option<i32>>("pinned_version").and_then(|version| u32::try_from(version).ok())
}

fn definition(row: &Row) -> DefinitionSummary {
    DefinitionSummary {
        version: small_number(row, "version"),
        content_hash: row.get("content_hash"),
        name: row.get("name"),
        description: row.get("description"),
        applied_at: moment(row, "applied_at"),
        applied_by: json_if(row, "applied_by"),
        current: row.get("current"),
    }
}
