//! The run, as a shard keeps it: it begins by its start, waits in lines and for turns, and goes when it has ended.

use std::borrow::Cow;

use super::start::{bring, identity_of, missing_for, missing_for_migration};
use super::{Command, Event, Record, Shelves};
use crate::address::WorkflowKey;
use crate::asset::AssetCommand;
use crate::credit::Hands;
use crate::dialogue::{MemoAnswer, MemoCommand};
use crate::run::{
    self, ProducedAsset, ReportOutcome, Run, RunCommand, RunEvent, RunRecord, RunRejection, RunStatus, Trigger,
};
use crate::shard::checkpoint::Kind;
use crate::shard::compiled::Missing;
use crate::shard::decide::HandedTasks;
use crate::shard::definitions::Definitions;
use crate::shard::held::{hold_values, hold_values_of};
use crate::shard::reactions::Reactions;
use crate::shard::shelf::{Aggregate, Ground, Shelf, Timers, Told, Unrestored, Verdict};
use crate::shard::window::EndedRun;
use crate::shard::{AggregateId, Commit, Decided, Effect, Rejection, Shard};
use crate::workflow::WorkflowCommand;
use crate::{CommandId, Json, QueueName, Revision, RunId, Timestamp, WorkspaceId};

impl Aggregate for Run {
    type Key = RunId;
    type Command = RunCommand;
    type Event = RunEvent;
    type Record = RunRecord;

    const CALLED: &'static str = "a run";
    const SECTION: Kind = Kind::Runs;
    const TIMERS: Option<Timers<Self>> = Some(Timers { next_due: Self::next_due, fire: || RunCommand::FireTimers {} });

    fn id(key: RunId) -> AggregateId {
        AggregateId::Run(key)
    }

    fn shelf(shelves: &Shelves) -> &Shelf<Self> {
        &shelves.runs
    }

    fn shelf_mut(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.runs
    }

    fn event(event: &Event) -> Option<&RunEvent> {
        if let Event::Run(event) = event { Some(event) } else { None }
    }

    fn wrapped(event: RunEvent) -> Event {
        Event::Run(event)
    }

    fn key(&self) -> RunId {
        self.id()
    }

    fn workspace(&self) -> Option<&WorkspaceId> {
        Some(Self::workspace(self))
    }

    fn revision(&self) -> Revision {
        Self::revision(self)
    }

    fn stand_at(&mut self, revision: Revision) {
        Self::stand_at(self, revision);
    }

    fn unknown(_: &RunId) -> Option<Self> {
        None
    }

    fn decide(&mut self, wish: RunCommand, ground: &mut Ground<'_>) -> Result<Verdict<RunEvent>, Rejection> {
        if let RunCommand::MigrateRun(migration) = &wish {
            bring(self, migration.version, ground.definitions)?;
        }
        let lines = ground.lines;
        let is_contended = |workspace: &WorkspaceId, queue: &QueueName| lines.waiting(workspace, queue) > 0;
        let Ground { now, budget, map, .. } = *ground;
        let shard_for = |number| map.spread(number);
        let (hands, is_contended) = (&mut *ground.hands, &is_contended);
        let mut its = run::Ground { now, hands, is_contended, shard_for: &shard_for, budget, spent: 0 };
        let decided = run::decide(self, wish, &mut its);
        *ground.spent += its.spent;
        run::bring_nothing(self);
        let events = decided.map_err(Rejection::Run)?;
        let tasks = handed_tasks(self, &events, ground.hands);
        Ok(Verdict { events, granted: None, tasks })
    }

    fn evolve(&mut self, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        run::check_legal(self, event).map_err(|illegal| illegal.to_string())?;
        run::evolve(self, event, time);
        Ok(())
    }

    fn react(&self, event: &RunEvent, revision: Revision, time: Timestamp, reactions: &mut Reactions) {
        let effects = &mut reactions.effects;
        run::react(self, event, time, &mut |effect| effects.push(Effect::of_run(self, revision, effect)));
    }

    fn record(&self) -> Cow<'_, RunRecord> {
        Cow::Owned(Self::record(self))
    }

    fn restore(record: RunRecord, definitions: &mut Definitions) -> Result<Self, Unrestored> {
        let ((key, version), run) = (record.definition(), record.id());
        let unusable = |why| Unrestored::Definition { run, key: key.clone(), version, why };
        let definition = definitions.graph(&key, version).map_err(unusable)?;
        record.restore(definition).map_err(|node| Unrestored::Node { run, node })
    }

    fn is_own(wish: &RunCommand) -> bool {
        matches!(wish, RunCommand::FireTimers {} | RunCommand::Continue {} | RunCommand::LoseAttempt { .. })
    }

    fn is_kept(wish: &RunCommand) -> bool {
        match wish {
            RunCommand::ReportAttempt(_)
            | RunCommand::ReturnAttempt { .. }
            | RunCommand::ResolveAsset { .. }
            | RunCommand::RefuseAsset { .. }
            | RunCommand::AcknowledgeAsset { .. }
            | RunCommand::AnswerCall { .. }
            | RunCommand::InheritSignal(_)
            | RunCommand::HearSuccessor { .. }
            | RunCommand::AnswerMemo { .. }
            | RunCommand::WithdrawRun { .. } => true,
            RunCommand::StartRun(start) => match start.trigger {
                Trigger::Materialize { .. } => true,
                // Its caller is told, rather than waiting for whoever looks at it.
                Trigger::Manual {} | Trigger::Call(_) => false,
            },
            RunCommand::GrantAttempts { .. }
            | RunCommand::Recall { .. }
            | RunCommand::StartAttempt { .. }
            | RunCommand::LoseAttempt { .. }
            | RunCommand::CancelRun { .. }
            | RunCommand::CancelRunKeeping { .. }
            | RunCommand::Signal { .. }
            | RunCommand::Operate { .. }
            | RunCommand::MigrateRun(_)
            | RunCommand::AnswerPerson { .. }
            | RunCommand::CallBack { .. }
            | RunCommand::ReassignPerson { .. }
            | RunCommand::FireTimers {}
            | RunCommand::Continue {} => false,
        }
    }

    fn bytes_asked(wish: &RunCommand) -> usize {
        if let RunCommand::StartRun(start) = wish {
            start.input.len_bytes()
        } else if let RunCommand::Signal { payload, .. } = wish {
            payload.len_bytes()
        } else if let RunCommand::Recall { results, .. } = wish {
            results.len_bytes()
        } else if let RunCommand::CallBack { said, .. } = wish {
            said.len_bytes()
        } else if let RunCommand::AnswerPerson { value, .. } = wish {
            value.len_bytes()
        } else {
            0
        }
    }

    fn missing(shard: &Shard, id: CommandId, run: &RunId, wish: &RunCommand) -> Option<Missing> {
        if let RunCommand::MigrateRun(migration) = wish {
            return missing_for_migration(shard, id, *run, migration);
        }
        let RunCommand::StartRun(start) = wish else { return None };
        missing_for(shard, id, *run, start)
    }

    fn absent(shard: &Shard, id: &RunId, wish: RunCommand) -> Result<Decided, Rejection> {
        match (shard.memory.ended(*id), wish) {
            // Late news for a run that has ended changes nothing; late wishes are refused.
            (
                Some(_),
                RunCommand::FireTimers {}
                | RunCommand::Continue {}
                | RunCommand::GrantAttempts { .. }
                | RunCommand::ResolveAsset { .. }
                | RunCommand::RefuseAsset { .. }
                | RunCommand::AcknowledgeAsset { .. }
                | RunCommand::AnswerCall { .. }
                | RunCommand::InheritSignal(_)
                | RunCommand::HearSuccessor { .. }
                | RunCommand::AnswerMemo { answer: MemoAnswer::Hit { .. }, .. }
                | RunCommand::WithdrawRun { .. },
            ) => Ok(Decided::default()),
            (Some(ended), _) => Err(Rejection::Run(closed(shard, *id, ended))),
            (None, _) => Err(Rejection::Run(RunRejection::RunNotFound)),
        }
    }

    fn answer_again(run: Option<&Self>, wish: &RunCommand, Told { session, first, last }: Told) -> Decided {
        let RunCommand::ReportAttempt(_) = wish else { return Decided::default() };
        let held = session.zip(run).into_iter().flat_map(|(session, run)| {
            let held = run::held_since(run, session, first, last);
            held.filter_map(move |node| Some((session, run::task_of(run, &node)?)))
        });
        Decided { tasks: held.collect(), ..Decided::default() }
    }

    fn begun(id: &RunId, commit: &Commit, definitions: &mut Definitions) -> Result<(Self, usize), String> {
        if commit.revision != Revision::FIRST {
            return Err("a run goes on that never started or has ended".to_owned());
        }
        let Some(Event::Run(first @ RunEvent::RunStarted { workspace, workflow, version, .. })) = commit.events.first()
        else {
            return Err("the first event of a run is not its start".to_owned());
        };
        let key = WorkflowKey { workspace: workspace.clone(), workflow: workflow.clone() };
        let unusable = |why| format!("the definition {workspace}/{workflow}/{version}: {why}");
        let definition = definitions.graph(&key, *version).map_err(unusable)?;
        Ok((Self::started(*id, definition, first, commit.time), 1))
    }

    fn prepare(&mut self, commit: &Commit, definitions: &mut Definitions) -> Result<(), String> {
        for event in &commit.events {
            if let Event::Run(RunEvent::RunMigrated { version, .. }) = event {
                bring(self, *version, definitions).map_err(|rejection| rejection.to_string())?;
            }
        }
        Ok(())
    }

    fn book(shard: &mut Shard, id: &RunId, commit: &Commit) -> Option<(RunId, RunStatus)> {
        hold_values(shard, *id, commit);
        let run = shard.shelves.runs.get_mut(id)?;
        shard.docket.follow(run);
        run::memos_told(run);
        let is_keyed = run.is_keyed();
        if commit.revision == Revision::FIRST {
            shard.docket.chains.begin(run);
            if is_keyed {
                shard.memory.hold_key(*id);
            }
        }
        let status = run.status();
        if !status.is_terminal() {
            return None;
        }
        let (version, start_hash) = identity_of(run);
        let ended = EndedRun { status, version, start_hash };
        shard.memory.remember_ended(*id, ended, is_keyed, commit.time, &shard.bounds);
        if let Some(Event::Run(RunEvent::RunSucceeded { successor: Some(successor), .. })) = commit.events.last() {
            shard.memory.ended.goes_on_as(*id, *successor);
        }
        let run = shard.shelves.runs.remove(id)?;
        shard.docket.chains.end(&run);
        shard.docket.held.let_go(run.workspace(), *id);
        Some((*id, status))
    }

    fn shelved(&mut self, shard: &mut Shard) {
        hold_values_of(shard, self);
        shard.docket.follow(self);
        shard.docket.chains.begin(self);
        if self.is_keyed() {
            shard.memory.hold_key(self.id());
        }
    }

    fn forgotten(shard: &mut Shard, id: &RunId, run: Option<Self>) {
        if let Some(run) = &run {
            shard.docket.held.let_go(run.workspace(), *id);
        }
        shard.docket.forget(*id, run);
    }

    fn owed(run: Option<&Self>, owed: &mut Vec<Effect>) {
        let awaits = |command: &Command| match command {
            Command::Asset { key, command: AssetCommand::RecordAsset(record) } => {
                run.is_some_and(|run| run.awaits_record(&record.node, &key.asset, &record.partition))
            }
            Command::Run { run: child, command: RunCommand::StartRun(_) | RunCommand::InheritSignal(_) } => {
                run.is_some_and(|run| run::awaits_child(run, *child))
            }
            Command::Asset { command: AssetCommand::ResolveConsumption(_), .. }
            | Command::Workflow { command: WorkflowCommand::NameCurrent { .. }, .. }
            | Command::Memo { command: MemoCommand::Ask { .. }, .. } => false,
            Command::Run { .. }
            | Command::Asset { .. }
            | Command::Workflow { .. }
            | Command::Action { .. }
            | Command::Memo { .. }
            | Command::AdoptDefinition { .. } => true,
        };
        // What it asks of assets, workflows and memos is asked anew below.
        owed.retain(|effect| effect.command().is_none_or(awaits));
        if let Some(run) = run {
            run::outstanding(run, &mut |effect| owed.push(Effect::of_run(run, run.revision(), effect)));
        }
    }
}

/// How what is asked of a run is refused that has ended.
fn closed(shard: &Shard, id: RunId, ended: EndedRun) -> RunRejection {
    RunRejection::RunClosed { status: ended.status, successor: shard.successor_of(id) }
}

/// Puts back a run that has ended.
pub(super) fn put_ended(shard: &mut Shard, id: RunId, ended: EndedRun, is_keyed: bool, now: Timestamp) {
    if is_keyed {
        shard.memory.hold_key(id);
    }
    shard.memory.remember_ended(id, ended, is_keyed, now, &shard.bounds);
}

/// Returns what a release says of a run that has ended.
pub(super) fn ended(shard: &Shard, id: RunId, keyed: bool) -> Option<Record> {
    let EndedRun { status, version, start_hash } = shard.memory.ended(id)?;
    Some(Record::Ended { status, version, start_hash, keyed })
}

/// The tasks that these events granted to workers. One that is over already goes to nobody: its worker is not expected to
/// speak of it.
pub(super) fn handed_tasks(run: &Run, events: &[RunEvent], hands: &mut Hands) -> HandedTasks {
    let mut tasks = HandedTasks::new();
    for event in events {
        let (RunEvent::AttemptScheduled { node, session: Some(session), .. }
        | RunEvent::AttemptGranted { node, session, .. }) = event
        else {
            continue;
        };
        match run::task_of(run, node) {
            Some(task) => tasks.push((*session, task)),
            None => {
                if let Some(room) = hands.room(*session) {
                    room.heard();
                }
            }
        }
    }
    tasks
}

/// Returns about how many bytes a worker's word has; `None` where it is not a worker's.
pub(in crate::shard) fn worker_bytes(command: &Command) -> Option<usize> {
    let Command::Run { command, .. } = command else { return None };
    match command {
        RunCommand::ReportAttempt(report) => Some(match &report.outcome {
            ReportOutcome::Succeeded { output, assets } => {
                let of = |json: &Option<Json>| json.as_ref().map_or(0, Json::len_bytes);
                let of_asset = |a: &ProducedAsset| a.payload.len_bytes() + of(&a.schema) + of(&a.freshness);
                output.len_bytes() + assets.iter().map(of_asset).sum::<usize>()
            }
            ReportOutcome::Failed { code, message, details, .. } => {
                code.len() + message.len() + details.as_ref().map_or(0, Json::len_bytes)
            }
        }),
        RunCommand::ReturnAttempt { .. } => Some(0),
        RunCommand::StartRun(_)
        | RunCommand::Recall { .. }
        | RunCommand::GrantAttempts { .. }
        | RunCommand::StartAttempt { .. }
        | RunCommand::LoseAttempt { .. }
        | RunCommand::CancelRun { .. }
        | RunCommand::CancelRunKeeping { .. }
        | RunCommand::Signal { .. }
        | RunCommand::Operate { .. }
        | RunCommand::MigrateRun(_)
        | RunCommand::AnswerPerson { .. }
        | RunCommand::CallBack { .. }
        | RunCommand::ReassignPerson { .. }
        | RunCommand::FireTimers {}
        | RunCommand::Continue {}
        | RunCommand::ResolveAsset { .. }
        | RunCommand::RefuseAsset { .. }
        | RunCommand::AcknowledgeAsset { .. }
        | RunCommand::AnswerCall { .. }
        | RunCommand::InheritSignal(_)
        | RunCommand::HearSuccessor { .. }
        | RunCommand::AnswerMemo { .. }
        | RunCommand::WithdrawRun { .. } => None,
    }
}
