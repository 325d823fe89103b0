//! Which reusable actions definitions name, and how those among them are applied, before the workflows that use them.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _};
use headwater_core::action::ActionCommand;
use headwater_core::definition::{ActionRef, Beyond, Filled};
use headwater_core::protocol::Granted;
use headwater_core::shard::{ActionKey, AggregateId, Command, Submission};
use headwater_core::{DefinitionVersion, ShardId, Slug, WorkspaceId};
use headwater_workers::shard_client::DescribedAction;

use super::apply::{Applied, aside};
use crate::api::asked::Caller;
use crate::api::{Api, COMMAND_WAIT, Problem, fresh_command};
use crate::codes::Code;
use crate::documents::{CheckedAction, Checks};

/// The most versions of actions that the definitions of one request name: they are all held meanwhile.
const REFERENCES_MAX: usize = 1_000;
/// How many shards are asked at once.
const AT_ONCE: usize = 32;

/// Fills in the actions that definitions name: those of the same request as they are there, all others as their shards know them.
///
/// # Errors
/// When the shard of an action does not answer, or there are too many.
pub async fn fill(api: &Api, workspace: &WorkspaceId, mut checks: Checks) -> Result<Checks, Problem> {
    let references = checks.references();
    if references.len() > REFERENCES_MAX {
        let count = references.len();
        let detail = format!("{count} versions of actions are named, and at most {REFERENCES_MAX}: send it in several");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    let own = checks.actions().iter().map(|one| async move {
        let definition = &one.definition;
        let described = described(api, workspace, &definition.slug, None, Some(&definition.content_hash)).await?;
        let filled = Filled { version: described.of_content, source: definition.source.clone() };
        Ok::<_, Problem>((definition.slug.clone(), filled))
    });
    let own: Vec<_> = own.collect();
    let own: BTreeMap<Slug, Filled> = futures_util::stream::iter(own).buffered(AT_ONCE).try_collect().await?;
    let others = references.iter().map(|reference| find(api, workspace, &own, reference));
    let others: Vec<_> = others.collect();
    let found: Vec<_> = futures_util::stream::iter(others).buffered(AT_ONCE).try_collect().await?;
    checks.number_actions(|slug| own.get(slug).map(|filled| filled.version));
    let known = found.into_iter().flatten().collect();
    aside(move || {
        checks.fill(&known, Beyond::Refused);
        checks
    })
    .await
}

async fn find(
    api: &Api,
    workspace: &WorkspaceId,
    own: &BTreeMap<Slug, Filled>,
    reference: &ActionRef,
) -> Result<Option<(ActionRef, Filled)>, Problem> {
    let ActionRef { slug, version } = reference;
    if let Some(filled) = own.get(slug).filter(|own| version.is_none_or(|version| version == own.version)) {
        return Ok(Some((reference.clone(), filled.clone())));
    }
    let found = described(api, workspace, slug, *version, None).await?.found;
    Ok(found.map(|(version, source)| (reference.clone(), Filled { version, source })))
}

async fn described(
    api: &Api,
    workspace: &WorkspaceId,
    slug: &Slug,
    version: Option<DefinitionVersion>,
    content_hash: Option<&str>,
) -> Result<DescribedAction, Problem> {
    let key = ActionKey { workspace: workspace.clone(), action: slug.clone() };
    let (shard, hash) = (shard_of(api, &key)?, content_hash.map(str::to_owned));
    Ok(api.shards.client.describe_action(shard, key, version, hash, COMMAND_WAIT).await?)
}

fn shard_of(api: &Api, key: &ActionKey) -> Result<ShardId, Problem> {
    let shard = api.shards.of(&AggregateId::Action(key.clone()));
    shard.ok_or_else(|| Problem::new(Code::Internal, "the shard map has no place for the action"))
}

/// Applies the actions of a request.
pub async fn apply(api: &Api, caller: &Caller, actions: &[CheckedAction]) -> Result<Vec<Applied>, Problem> {
    let applied: Vec<_> = actions.iter().map(|one| apply_one(api, caller, one)).collect();
    futures_util::stream::iter(applied).buffered(AT_ONCE).try_collect().await
}

async fn apply_one(api: &Api, caller: &Caller, checked: &CheckedAction) -> Result<Applied, Problem> {
    let key = ActionKey { workspace: caller.workspace.clone(), action: checked.definition.slug.clone() };
    let shard = shard_of(api, &key)?;
    let (document, content_hash) = (checked.definition.source.clone(), checked.definition.content_hash.clone());
    let command = Command::Action { key, command: ActionCommand::ApplyAction { document, content_hash } };
    let submission = Submission::of(caller.actor.clone(), fresh_command(), command);
    let (position, granted) = api.shards.client.submit(shard, submission, COMMAND_WAIT).await?;
    match granted {
        Some(Granted::Action { version, .. }) if checked.version.is_some_and(|expected| expected != version) => {
            let detail = format!(
                "another version of the action `{}` was applied meanwhile: apply all of it again",
                checked.definition.slug
            );
            Err(Problem::new(Code::Indeterminate, detail))
        }
        Some(Granted::Action { version, created }) => Ok(Applied { version, created, position }),
        Some(Granted::Workflow { .. } | Granted::Run { .. } | Granted::Asset { .. }) | None => {
            Err(Problem::new(Code::Internal, "the action was applied without a version"))
        }
    }
}
