//! Reusable actions, their versions, and who uses them.

use headwater_core::{DefinitionVersion, Json, Slug, WorkspaceId};
use serde::Serialize;
use tokio_postgres::Row;

use super::{Moment, Reads, json, json_if, moment, page_size, small_number};
use crate::columns::integer;
use crate::database::DatabaseError;

/// An action in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionSummary {
    pub slug: String,
    /// Of the current version, like what follows.
    pub name: Option<String>,
    pub description: Option<String>,
    pub version: u32,
    pub content_hash: String,
    pub created_at: Moment,
    pub updated_at: Moment,
    /// How many workflows use it in their current versions.
    pub workflows: u64,
}

/// A version in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionVersion {
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
pub struct ActionView {
    pub slug: String,
    #[serde(flatten)]
    pub summary: ActionVersion,
    pub document: Json,
}

/// A node of the current version of a workflow that says it comes from an action.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionUser {
    pub workflow: String,
    pub workflow_version: u32,
    pub node_id: String,
    /// The version of the action.
    pub version: u32,
}

const VERSION: &str = "d.slug, d.version, d.content_hash, d.name, d.description, d.applied_at, d.applied_by,
                       d.version = a.current_version AS current";

impl Reads {
    /// Reads reusable actions.
    pub fn of_actions(&self) -> ActionReads<'_> {
        ActionReads(self)
    }
}

/// Reads reusable actions.
#[derive(Debug, Clone, Copy)]
pub struct ActionReads<'r>(&'r Reads);

impl ActionReads<'_> {
    /// Returns a page of a workspace's actions by slug, behind `after`.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`], here and below.
    pub async fn list(
        &self,
        workspace: &WorkspaceId,
        after: Option<&Slug>,
        limit: u32,
    ) -> Result<Vec<ActionSummary>, DatabaseError> {
        let sql = "SELECT a.slug, d.name, d.description, d.version, d.content_hash, a.created_at, a.updated_at,
                          (SELECT count(DISTINCT n.workflow) FROM nodes n
                           JOIN workflows w ON (w.workspace, w.slug, w.current_version) = (n.workspace, n.workflow, n.version)
                           WHERE n.workspace = a.workspace AND n.action_slug = a.slug) AS workflows
                   FROM actions a
                   JOIN action_defs d ON (d.workspace, d.slug, d.version) = (a.workspace, a.slug, a.current_version)
                   WHERE a.workspace = $1 AND a.slug > $2 ORDER BY a.slug LIMIT $3";
        let (workspace, after) = (workspace.as_str(), after.map_or("", |slug| slug.as_str()));
        let rows = self.0.rows(sql, &[&workspace, &after, &page_size(limit)]).await?;
        Ok(rows.iter().map(summary).collect())
    }

    /// Returns a version of an action with its document; the current one where none is named. `None`: there is none.
    pub async fn one(
        &self,
        workspace: &WorkspaceId,
        slug: &Slug,
        version: Option<DefinitionVersion>,
    ) -> Result<Option<ActionView>, DatabaseError> {
        let sql = format!(
            "SELECT {VERSION}, d.document::text AS document FROM actions a JOIN action_defs d USING (workspace, slug)
             WHERE a.workspace = $1 AND a.slug = $2 AND d.version = coalesce($3, a.current_version)"
        );
        let version = version.map(|version| integer(version.get()));
        let rows = self.0.rows(&sql, &[&workspace.as_str(), &slug.as_str(), &version]).await?;
        Ok(rows.first().map(|row| ActionView {
            slug: row.get("slug"),
            summary: one_version(row),
            document: json(row, "document"),
        }))
    }

    /// Returns the versions of an action, newest first, from below `before`. Empty: there is no such action.
    pub async fn versions(
        &self,
        workspace: &WorkspaceId,
        slug: &Slug,
        before: Option<DefinitionVersion>,
        limit: u32,
    ) -> Result<Vec<ActionVersion>, DatabaseError> {
        let sql = format!(
            "SELECT {VERSION} FROM actions a JOIN action_defs d USING (workspace, slug)
             WHERE a.workspace = $1 AND a.slug = $2 AND d.version < $3 ORDER BY d.version DESC LIMIT $4"
        );
        let before = before.map_or(i32::MAX, |version| integer(version.get()));
        let rows = self.0.rows(&sql, &[&workspace.as_str(), &slug.as_str(), &before, &page_size(limit)]).await?;
        Ok(rows.iter().map(one_version).collect())
    }

    /// Returns the nodes of current versions that say they come from an action, by workflow and node; the first `limit`.
    pub async fn users(
        &self,
        workspace: &WorkspaceId,
        slug: &Slug,
        limit: u32,
    ) -> Result<Vec<ActionUser>, DatabaseError> {
        let sql = "SELECT n.workflow, n.version AS workflow_version, n.node_id, n.action_version FROM nodes n
                   JOIN workflows w ON (w.workspace, w.slug, w.current_version) = (n.workspace, n.workflow, n.version)
                   WHERE n.workspace = $1 AND n.action_slug = $2 ORDER BY n.workflow, n.node_id LIMIT $3";
        let rows = self.0.rows(sql, &[&workspace.as_str(), &slug.as_str(), &page_size(limit)]).await?;
        let user = |row: &Row| ActionUser {
            workflow: row.get("workflow"),
            workflow_version: small_number(row, "workflow_version"),
            node_id: row.get("node_id"),
            version: small_number(row, "action_version"),
        };
        Ok(rows.iter().map(user).collect())
    }
}

fn summary(row: &Row) -> ActionSummary {
    ActionSummary {
        slug: row.get("slug"),
        name: row.get("name"),
        description: row.get("description"),
        version: small_number(row, "version"),
        content_hash: row.get("content_hash"),
        created_at: moment(row, "created_at"),
        updated_at: moment(row, "updated_at"),
        workflows: row.get::<_, i64>("workflows").unsigned_abs(),
    }
}

fn one_version(row: &Row) -> ActionVersion {
    ActionVersion {
        version: small_number(row, "version"),
        content_hash: row.get("content_hash"),
        name: row.get("name"),
        description: row.get("description"),
        applied_at: moment(row, "applied_at"),
        applied_by: json_if(row, "applied_by"),
        current: row.get("current"),
    }
}
