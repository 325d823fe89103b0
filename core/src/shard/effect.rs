//! What follows from a commit outside the journal. Effects leave only after their bundle is acknowledged, and each
//! carries what makes sending it again harmless: a submission its derived id, a notice its version.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AggregateId, AssetKey, Command, Shard, Submission, WorkflowKey};
use crate::asset::{AssetCommand, AssetEffect, AssetNotice};
use crate::definition::Definition;
use crate::dialogue::{Asker, MemoAnswer, ToRun};
use crate::memo::MemoKey;
use crate::run::{Run, RunEffect};
use crate::workflow::{News, WorkflowCommand};
use crate::{CommandId, DefinitionVersion, Json, NodeAddress, Revision, RunId, WorkspaceId};

/// One thing to do outside. Checkpoints hold those that may not have been delivered: a change is a new
/// format of their section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Effect {
    /// Tell the worker that holds an attempt of this run to stop (best effort; its heartbeat tells it too).
    CancelTasks { workspace: WorkspaceId, run: RunId, node: NodeAddress },
    /// Give a command to an aggregate, perhaps on another shard.
    Submit(Box<Submission>),
    /// Publish a change of an asset on the feed.
    PublishAsset(AssetNotice),
    /// Make a definition version known to every process.
    PublishDefinition {
        workspace: WorkspaceId,
        workflow: crate::Slug,
        version: DefinitionVersion,
        document: Json,
        /// Whether starts without a version take it from now on. Absent: they do.
        #[serde(default = "starts", skip_serializing_if = "Clone::clone")]
        starts: bool,
        /// Nothing starts the workflow.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        paused: bool,
    },
}

fn starts() -> bool {
    true
}

impl Effect {
    /// Returns the command it gives to an aggregate.
    pub(super) fn command(&self) -> Option<&Command> {
        if let Self::Submit(submission) = self { Some(&submission.command) } else { None }
    }

    /// Carries what follows from an event of a run, whose revision is given.
    pub(super) fn of_run(run: &Run, revision: Revision, effect: RunEffect) -> Self {
        match effect {
            RunEffect::ToAsset { index, asset, said } => {
                let key = AssetKey { workspace: run.workspace().clone(), asset };
                let command = Command::Asset { key, command: said };
                Self::Submit(Box::new(Submission::following(&AggregateId::Run(run.id()), revision, index, command)))
            }
            RunEffect::ToRun { run: other, said } => {
                let command = Command::Run { run: other, command: said.into() };
                Self::Submit(Box::new(Submission::following(&AggregateId::Run(run.id()), revision, 0, command)))
            }
            RunEffect::ToSuccessor { index, run: other, said } => {
                let command = Command::Run { run: other, command: said.into() };
                Self::Submit(Box::new(Submission::following(&AggregateId::Run(run.id()), revision, index, command)))
            }
            RunEffect::AskVersion { index, workflow, caller } => {
                let key = WorkflowKey { workspace: run.workspace().clone(), workflow };
                let command = Command::Workflow { key, command: WorkflowCommand::NameCurrent { caller } };
                Self::Submit(Box::new(Submission::following(&AggregateId::Run(run.id()), revision, index, command)))
            }
            RunEffect::ToMemo { index, digest, said } => {
                let memo = MemoKey::of(&digest).or(MemoKey::numbered(0)).expect("there is a first one");
                let command = Command::Memo { memo, command: said };
                Self::Submit(Box::new(Submission::following(&AggregateId::Run(run.id()), revision, index, command)))
            }
            RunEffect::CancelTasks { node } => {
                Self::CancelTasks { workspace: run.workspace().clone(), run: run.id(), node }
            }
        }
    }

    /// Carries what follows from an event of an asset, whose revision is given.
    pub(super) fn of_asset(key: &AssetKey, revision: Revision, effect: AssetEffect) -> Self {
        match effect {
            AssetEffect::ToRun { run, said } => {
                let command = Command::Run { run, command: said.into() };
                Self::Submit(Box::new(Submission::following(&AggregateId::Asset(key.clone()), revision, 0, command)))
            }
            AssetEffect::Publish(notice) => Self::PublishAsset(notice),
        }
    }

    /// Carries what a memo answers, by an event whose revision is given.
    pub(super) fn of_memo(
        memo: MemoKey,
        revision: Revision,
        (asker, digest, answer): (Asker, String, MemoAnswer),
    ) -> Self {
        let Asker { run, node } = asker;
        let command = Command::Run { run, command: ToRun::Memo { node, digest, answer }.into() };
        Self::Submit(Box::new(Submission::following(&AggregateId::Memo(memo), revision, 0, command)))
    }

    /// Makes a new version known.
    pub(super) fn publication(news: &News) -> Self {
        Self::PublishDefinition {
            workspace: news.key.workspace.clone(),
            workflow: news.key.workflow.clone(),
            version: news.version,
            document: news.document.clone(),
            starts: news.starts,
            paused: news.paused,
        }
    }

    /// Carries what a new version says to assets.
    pub(super) fn declarations(
        news: &News,
        graph: &mut dyn FnMut(&Json) -> Option<Arc<Definition>>,
    ) -> impl Iterator<Item = Self> + use<> {
        let (from, workspace, revision) =
            (AggregateId::Workflow(news.key.clone()), news.key.workspace.clone(), news.revision);
        (0..).zip(news.declarations(graph)).map(move |(index, (asset, declaration))| {
            let key = AssetKey { workspace: workspace.clone(), asset };
            let command = Command::Asset { key, command: AssetCommand::DeclareAsset(declaration) };
            Self::Submit(Box::new(Submission::following(&from, revision, index, command)))
        })
    }
}

impl Submission {
    /// Addresses a command that follows from an event: the same event always sends it under the same id.
    pub fn following(aggregate: &AggregateId, revision: Revision, index: u64, command: Command) -> Self {
        let name = aggregate.to_string();
        let id = CommandId::derived(&[name.as_bytes(), &revision.get().to_be_bytes(), &index.to_be_bytes()]);
        Self::new(id, command)
    }
}

impl Shard {
    /// Returns everything active runs wait for from outside: for an owner that has just taken over.
    pub fn outstanding(&self) -> Vec<Effect> {
        let mut runs: Vec<_> = self.shelves.runs.values().collect();
        runs.sort_unstable_by_key(|run| run.id());
        let mut effects = Vec::new();
        for run in runs {
            crate::run::outstanding(run, &mut |effect| effects.push(Effect::of_run(run, run.revision(), effect)));
        }
        effects
    }

    /// Keeps of what was outstanding a while ago what still is: neither answered nor over meanwhile. A run that was
    /// answered or has ended must not ask again: nobody would let it be forgotten.
    pub fn still_outstanding(&self, before: Vec<Effect>) -> Vec<Effect> {
        if before.is_empty() {
            return before;
        }
        // Ids name the revision they were asked at, so what is wanted is compared by what it says.
        let said = |asked: &Submission| serde_json::to_string(&asked.command).expect("commands have text keys only");
        let outstanding = self.outstanding();
        let asked = outstanding.iter().filter_map(|it| if let Effect::Submit(asked) = it { Some(asked) } else { None });
        let wanted: HashSet<String> = asked.map(|asked| said(asked)).collect();
        let still = |effect: &Effect| match effect {
            Effect::Submit(asked) => wanted.contains(&said(asked)),
            Effect::CancelTasks { .. } | Effect::PublishAsset(_) | Effect::PublishDefinition { .. } => true,
        };
        before.into_iter().filter(still).collect()
    }
}
