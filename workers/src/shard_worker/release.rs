//! How a release from hold is carried out: the journal as it is found begins a new incarnation, and only then is the hold lifted.

use headwater_core::credit::Hands;
use headwater_core::definition::{StoredDocument, compile};
use headwater_core::shard::{AggregateId, Command, HoldReason, Owner, Replaces, Submission};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{BundleId, CommandId, Incarnation, Sequence, ShardId};
use headwater_streams::holds::{self, Hold, HoldRevision, ReleaseOrder};
use headwater_streams::journal::Journal;
use headwater_streams::values::ValueStore;
use headwater_streams::{Broker, ExchangeError, shard_map};

use super::append::{Lost, append};
use super::deliver::Outlets;
use super::recover::{RecoverError, Recovered, recover_as_found};
use super::{heard, now};

/// Says why a release was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReleaseError {
    /// It never will be.
    #[error("{0}")]
    Refused(String),
    #[error("the journal cannot be folded now")]
    Recover(#[source] RecoverError),
    #[error("the broker does not say what is there")]
    Exchange(#[from] ExchangeError),
    #[error("the journal is not ours")]
    Lost(#[source] Lost),
}

/// Carries out the release that a hold orders. Each step can be repeated: what one try has done the next one finds done. One that is
/// refused says so in the hold.
///
/// # Errors
/// See [`ReleaseError`].
pub(super) async fn carry_out(
    outlets: &Outlets,
    shard: ShardId,
    hold: &Hold,
    order: &ReleaseOrder,
    revision: HoldRevision,
) -> Result<(), ReleaseError> {
    let refused = match begin(outlets, shard, hold, order).await {
        Ok(incarnation) => {
            tracing::warn!(%shard, %incarnation, actor = ?order.actor, reason = order.reason, "released from hold");
            return Ok(holds::lift(&outlets.broker, shard, revision).await?);
        }
        Err(error) => error,
    };
    if let ReleaseError::Refused(refused) = &refused {
        let hold = Hold { release: None, refused: Some(refused.clone()), ..hold.clone() };
        holds::replace(&outlets.broker, shard, &hold, revision).await?;
    }
    Err(refused)
}

/// Begins the incarnation with a bundle that says so, restores what other places hold, and tells the map.
async fn begin(
    outlets: &Outlets,
    shard: ShardId,
    hold: &Hold,
    order: &ReleaseOrder,
) -> Result<Incarnation, ReleaseError> {
    let broker = &outlets.broker;
    let refused = |why: &str, instead: &str| ReleaseError::Refused(format!("{why}: {instead}"));
    hold.reason.releasable().map_err(|instead| refused(&hold.reason.to_string(), instead))?;
    let found = Journal::look(broker, shard).await?;
    let recovered = async {
        match recover_as_found::<()>(broker, shard, &outlets.map).await {
            Err(RecoverError::Held { reason, .. }) => {
                let instead = reason.releasable().err().unwrap_or("look at it again");
                Err(refused(&reason.to_string(), instead))
            }
            recovered => recovered.map_err(ReleaseError::Recover),
        }
    };
    let end = found.map_or(Sequence::ZERO, |(_, info)| info.last);
    let mut fresh = None;
    if let Some(expected) = order.expect.filter(|expected| expected.in_stream() != end) {
        // A try before this one may have appended.
        let recovered = recovered.await?;
        if recovered.owner.released_by() != Some(order.id) {
            let why = format!("its journal ends at entry {end}, and at {} was expected", expected.in_stream());
            return Err(refused(&why, "look at `headwater hold list` again"));
        }
        fresh = Some(recovered);
    } else if fresh.is_none() {
        fresh = Some(recovered.await?);
    }
    let Some(Recovered { journal, made_at, state, mut owner, .. }) = fresh else {
        return Err(ReleaseError::Refused("the journal was not folded".to_owned()));
    };
    if owner.released_by() != Some(order.id) {
        let from = [
            Some(state.incarnation()),
            Some(owner.shard().lanes().incarnation()),
            hold.saw.as_ref().map(|saw| saw.at.incarnation()),
            named(&hold.reason),
            heard::furthest(broker, shard, outlets.map.shards).await.map(|(_, reached)| reached.incarnation()),
        ];
        let from = from.into_iter().flatten().max().unwrap_or_default();
        if from >= Incarnation::LAST {
            return Err(ReleaseError::Refused(format!("incarnation {from} is the last there can be")));
        }
        owner.begin_incarnation(
            from.next(),
            Replaces {
                from,
                release: order.id,
                contradicted: hold.reason.clone(),
                actor: order.actor.clone(),
                reason: order.reason.clone(),
                at: order.at,
            },
        );
    }
    // Nothing is delivered here: whoever drives the shard next inherits it.
    owner.inherit();
    for wish in lost_definitions(outlets, &owner, order.id).await? {
        if owner.is_full() {
            append_next(broker, &journal, &mut owner).await?;
        }
        owner.submit((), wish, now(), &mut Hands::default());
    }
    append_next(broker, &journal, &mut owner).await?;
    shard_map::begin(broker, shard, made_at, owner.last()).await?;
    Ok(owner.shard().lanes().incarnation())
}

/// Returns the incarnation of what a reason says was seen.
fn named(reason: &HoldReason) -> Option<Incarnation> {
    match reason {
        HoldReason::Behind { reached: at, .. } | HoldReason::Different { at, .. } => Some(at.incarnation()),
        HoldReason::Older { expected, .. } => Some(*expected),
        HoldReason::Missing {}
        | HoldReason::MadeAnew { .. }
        | HoldReason::Beginning { .. }
        | HoldReason::Hole { .. }
        | HoldReason::NotABundle { .. }
        | HoldReason::NotFollowing { .. } => None,
    }
}

pub(super) async fn append_next(broker: &Broker, journal: &Journal, owner: &mut Owner<()>) -> Result<(), ReleaseError> {
    if let Some(next) = owner.next_append(BundleId::from_uuid(uuid::Uuid::new_v4())) {
        let sequence = append(journal.clone(), ValueStore::new(broker), next).await.map_err(ReleaseError::Lost)?;
        owner.appended(sequence);
    }
    Ok(())
}

/// Returns the wishes that apply again what the table of definitions holds and the journal does not tell: other shards have
/// adopted these versions, so their numbers must not mean anything else.
async fn lost_definitions(
    outlets: &Outlets,
    owner: &Owner<()>,
    release: CommandId,
) -> Result<Vec<Submission>, ExchangeError> {
    let shard = owner.shard();
    let is_ours = |key: &_| outlets.map.shard_of(&AggregateId::Workflow(Clone::clone(key))) == Some(shard.id());
    let mut wishes = Vec::new();
    for (key, (versions, current)) in outlets.definitions.list(is_ours).await? {
        let told = shard.workflow(&key);
        let lost = |version: &_| told.is_none_or(|told| told.document(*version).is_none());
        let missing = versions.iter().filter(|(version, _)| lost(version));
        let selected = current.and_then(|current| versions.get_key_value(&current));
        let before = wishes.len();
        for (step, (version, document)) in missing.chain(selected).enumerate() {
            let compiled = match StoredDocument::of(document) {
                Some(stored) => Ok(stored.digest.to_string()),
                None => compile(&document.to_value()).map(|(definition, _)| definition.content_hash),
            };
            let content_hash = match compiled {
                Ok(content_hash) => content_hash,
                Err(problems) => {
                    tracing::error!(workflow = %key.workflow, %version, %problems, "a lost definition is not restored");
                    break;
                }
            };
            let name = key.workflow.to_string();
            let step = u64::try_from(step).unwrap_or(u64::MAX).to_be_bytes();
            let id = CommandId::derived(&[
                release.as_uuid().as_bytes(),
                key.workspace.as_str().as_bytes(),
                name.as_bytes(),
                &step,
            ]);
            let apply = ApplyWorkflow { document: document.clone(), content_hash };
            let command = Command::Workflow { key: key.clone(), command: WorkflowCommand::ApplyWorkflow(apply) };
            wishes.push(Submission::new(id, command));
        }
        if wishes.len() > before {
            tracing::info!(workflow = %key.workflow, versions = versions.len(), "definitions are held against the table");
        }
    }
    Ok(wishes)
}
