//! Why a run stands where it does: what it waits for, what decided, what was skipped, what could still fire.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use headwater_core::definition::Definition;
use headwater_core::run::{Account, Explanation, RunEvent};
use headwater_core::shard::Event;
use headwater_core::{BranchId, DefinitionVersion, Revision, RunId, Timestamp};
use headwater_projector::queries::{LONG_PAGE_MAX, Moment};
use serde::Serialize;

use super::history::{Refold, fold};
use super::not_found;
use crate::api::reading::Reading;
use crate::api::{Api, Problem};
use crate::codes::Code;

/// How many entries of each list are told where nothing is said.
const LIMIT: u32 = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    run_id: RunId,
    /// Of the last event that it rests on.
    time: Moment,
    #[serde(flatten)]
    explanation: Explanation,
}

/// `GET /runs/{runId}/explain`
pub async fn explain(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let run: RunId = reading.name("runId")?;
    let branch = reading.parameter::<u32>("branch")?.map_or(BranchId::ROOT, BranchId::new);
    let limit = reading.limit_within(LIMIT, LONG_PAGE_MAX)?;
    let workspace = reading.begin(&api).await?;
    api.reads.run_end(&workspace, run).await?.ok_or_else(|| not_found(run))?;
    let _turn = api.turns.look().await;
    let telling = Telling { run, branch, limit: limit as usize, account: None, time: Timestamp::default() };
    let Telling { account, time, .. } = fold(&api, &workspace, run, telling).await?;
    let account = account.ok_or_else(|| not_found(run))?;
    let explanation = tokio::task::spawn_blocking(move || account.explanation()).await;
    let explanation = explanation.map_err(|_| Problem::new(Code::Internal, "the run could not be explained"))?;
    let explanation = explanation.ok_or_else(|| {
        Problem::new(Code::MomentNotFound, format!("the run {run} has no branch {} yet", branch.get()))
    })?;
    Ok(api.read(Explained { run_id: run, time: Moment(time), explanation }))
}

/// A run that is told of.
struct Telling {
    run: RunId,
    branch: BranchId,
    limit: usize,
    account: Option<Account>,
    time: Timestamp,
}

impl Refold for Telling {
    fn begin(&mut self, definition: Arc<Definition>) {
        self.account = Some(Account::of(self.run, definition, self.branch, self.limit));
    }

    fn bring(&mut self, version: DefinitionVersion, definition: Arc<Definition>) {
        if let Some(account) = &mut self.account {
            account.bring(version, definition);
        }
    }

    fn learn(&mut self, _revision: Revision, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        let Some(account) = &mut self.account else { return Err("its start is not known".to_owned()) };
        self.time = time;
        account.learn(event, time)
    }

    fn reaches(&self, _at: Revision) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        false
    }

    /// How many items there are is told; of no other value more than that it is there.
    fn needs_value(&self, event: &Event) -> bool {
        matches!(event, Event::Run(RunEvent::ItemsListed { .. }))
    }
}
