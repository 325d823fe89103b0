//! How a run goes on as another one: its successor, which is told to start once nothing of the run is left to be done. The run
//! has ended when that has begun, so there is always one of the chain that can be spoken to.

use serde::{Deserialize, Serialize};

use super::agenda::Next;
use super::decision::Decision;
use super::mail::Letter;
use super::react::withdraw as withdraw_run;
use super::state::{Place, Run};
use super::step::inherit_signal;
use super::{Ending, RunCommand, RunEffect, RunEvent, RunFailure};
use crate::definition::SuccessorVersion;
use crate::dialogue::{Continuation, ContinuedFrom, Inherited, StartRun, StartWishes, ToRun};
use crate::{DefinitionVersion, Json, NodeAddress, RunId, Slug, Timestamp};

/// What links a run to the one before and to the one after. Most have neither, and take no memory for it. Checkpoints hold it
/// as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Chain(Option<Box<Links>>);

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Links {
    /// How many signals of the run before are still to come, and how many bytes they have.
    #[serde(default, skip_serializing_if = "is_zero")]
    coming: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    coming_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Successor>,
}

/// The run that a run goes on as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Successor {
    pub node: NodeAddress,
    pub run: RunId,
    pub workflow: Slug,
    pub version: DefinitionVersion,
    pub input: Json,
    /// When it was told to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_at: Option<Timestamp>,
    /// Nobody wants it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Withdrawn>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Withdrawn {
    pub reason: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps: bool,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Chain {
    pub const NONE: Self = Self(None);

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns how many signals of the run before are still to come, and how many bytes they have.
    pub fn coming(&self) -> (usize, usize) {
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        self.0.as_ref().map_or((0, 0), |links| (count(links.coming), count(links.coming_bytes)))
    }

    /// Returns as what the run goes on, once that is certain.
    pub fn next(&self) -> Option<&Successor> {
        self.0.as_ref()?.next.as_ref()
    }

    fn next_mut(&mut self) -> Option<&mut Successor> {
        self.0.as_mut()?.next.as_mut()
    }

    fn await_signals(&mut self, count: u32, bytes: u64) {
        let links = self.0.get_or_insert_default();
        (links.coming, links.coming_bytes) = (u64::from(count), bytes);
    }

    fn inherit(&mut self, bytes: usize) {
        if let Some(links) = &mut self.0 {
            links.coming = links.coming.saturating_sub(1);
            let left = links.coming_bytes.saturating_sub(bytes as u64);
            links.coming_bytes = if links.coming == 0 { 0 } else { left };
        }
        self.0.take_if(|links| **links == Links::default());
    }
}

/// Takes over from the run before what a start says of it.
pub(super) fn begin(run: &mut Run) {
    let Some(ContinuedFrom { how: Continuation::Successor { recorded, signals, signal_bytes, .. }, .. }) =
        run.continued_from().cloned()
    else {
        return;
    };
    recorded.into_iter().for_each(|version| run.assets.keep_promise(version));
    if signals > 0 {
        run.waiting.dealings_mut().chain.await_signals(signals, signal_bytes);
    }
}

/// Learns as what the run goes on, and what becomes of that; and what the run before had been told.
pub(super) fn learn(run: &mut Run, event: &RunEvent, now: Timestamp, letter: Option<Letter>) {
    let dealings = run.waiting.dealings_mut();
    match event {
        RunEvent::SuccessorChosen { node, successor, workflow, version, input } => {
            let (node, workflow, input) = (node.clone(), workflow.clone(), input.clone());
            let next = Successor {
                node,
                run: *successor,
                workflow,
                version: *version,
                input,
                called_at: None,
                withdrawn: None,
            };
            dealings.chain.0.get_or_insert_default().next = Some(next);
        }
        RunEvent::SuccessorCalled { .. } => {
            if let Some(next) = dealings.chain.next_mut() {
                next.called_at = Some(now);
            }
        }
        RunEvent::SuccessorWithdrawn { reason, keeps, .. } => {
            if let Some(next) = dealings.chain.next_mut() {
                next.withdrawn = Some(Withdrawn { reason: reason.clone(), keeps: *keeps });
            }
        }
        RunEvent::SignalInherited { payload, .. } => {
            dealings.chain.inherit(payload.len_bytes());
            if let Some(letter) = letter.filter(|letter| !dealings.mail.has_received(letter.id)) {
                dealings.mail.receive(letter);
            }
        }
        _other => {}
    }
}

/// Whether a node has a run go on as another, and of which version that is, where no question is needed to know it.
pub(super) fn goes_on_as(run: &Run, place: Place) -> Option<Option<DefinitionVersion>> {
    let continues = run.definition().node(place.node).action.continues()?;
    Some((continues.version == SuccessorVersion::Same).then(|| run.version()))
}

/// Returns the run that one goes on as: always the same, on its own shard.
pub(super) fn successor_of(decision: &Decision<'_>) -> RunId {
    let run = decision.run().id();
    RunId::derived(run.shard(), decision.now(), &[b"successor", run.as_uuid().as_bytes()])
}

/// Returns the first run of the chain that a run is of: whoever called that waits for the end of the chain.
pub(super) fn first_of(run: &Run) -> RunId {
    match run.continued_from() {
        Some(ContinuedFrom { how: Continuation::Successor { first, .. }, .. }) => *first,
        Some(_) | None => run.id(),
    }
}

/// Whether a run that goes on as another hears this before it has ended.
pub(super) fn hears(run: &Run, command: &RunCommand) -> bool {
    let can_be_heard = matches!(
        command,
        RunCommand::AcknowledgeAsset { .. }
            | RunCommand::InheritSignal(_)
            | RunCommand::HearSuccessor { .. }
            | RunCommand::WithdrawRun { .. }
            | RunCommand::CancelRun { .. }
            | RunCommand::CancelRunKeeping { .. }
    );
    can_be_heard && run.waiting.chain().next().is_some()
}

/// What a run does that goes on as another, once everything else is withdrawn and done.
enum Handover {
    /// There is no such other, or not any more: it ends as it would.
    None,
    /// It waits: for what it has still to be told, or for its successor to begin.
    Waits,
    /// The successor is told to start.
    Calls,
    /// Nobody wants the successor, which has not been told to start.
    Cancelled,
}

/// Finds what is next where everything else is over.
fn handover(run: &Run) -> Handover {
    let is_succeeding = run.ending().is_some_and(|ending| matches!(ending, Ending::Succeeded { .. }));
    let Some(next) = run.waiting.chain().next().filter(|_| is_succeeding && run.failure_of_finally().is_none()) else {
        return Handover::None;
    };
    match next {
        Successor { called_at: Some(_), .. } => Handover::Waits,
        Successor { withdrawn: Some(_), .. } => Handover::Cancelled,
        _ if !run.assets.is_all_recorded() || run.waiting.chain().coming() != (0, 0) => Handover::Waits,
        Successor { .. } => Handover::Calls,
    }
}

/// Does it; says whether the run does not end now as it would.
pub(super) fn hand_over(decision: &mut Decision<'_>) -> bool {
    let next = decision.run().waiting.chain().next();
    let (successor, withdrawn) = next.map_or((None, None), |next| (Some(next.run), next.withdrawn.clone()));
    match handover(decision.run()) {
        Handover::None => return false,
        Handover::Waits => {}
        Handover::Calls => {
            successor.into_iter().for_each(|successor| decision.emit(RunEvent::SuccessorCalled { successor }));
        }
        Handover::Cancelled => {
            let reason = withdrawn.map(|withdrawn| withdrawn.reason).unwrap_or_default();
            decision.emit(RunEvent::RunCancelled { reason });
        }
    }
    true
}

/// Says what a run does next that is ending, and would withdraw what is left.
pub(super) fn next_or_wait(run: &Run) -> Option<Next> {
    let waits = run.branches.active() == 0 && !run.is_before_finally() && matches!(handover(run), Handover::Waits);
    (!waits).then_some(Next::Withdraw)
}

/// Has a run whose successor is certain let go of it. It is cancelled instead of that, where it was not told to start.
pub(super) fn withdraw(decision: &mut Decision<'_>, ending: Ending) {
    let next = decision.run().waiting.chain().next();
    let Some(successor) = next.filter(|next| next.withdrawn.is_none()).map(|next| next.run) else { return };
    if let Ending::Cancelled { reason, keeps } = ending {
        decision.emit(RunEvent::SuccessorWithdrawn { successor, reason, keeps });
    }
}

/// Hears what the run before and the one after say.
pub(super) fn hear_of_chain(decision: &mut Decision<'_>, said: RunCommand) {
    if let RunCommand::InheritSignal(inherited) = said {
        inherit_signal(decision, *inherited);
    } else if let RunCommand::HearSuccessor { successor, refusal } = said {
        hear(decision, successor, refusal);
    }
}

/// Says what follows outside from how a run goes on.
pub(super) fn follows(run: &Run, event: &RunEvent, follows: &mut impl FnMut(RunEffect)) {
    if let RunEvent::SuccessorWithdrawn { successor, keeps, .. } = event {
        if run.waiting.chain().next().is_some_and(|next| next.called_at.is_some()) {
            withdraw_run(run, *successor, *keeps, follows);
        }
    } else if let RunEvent::SuccessorCalled { .. } = event
        && let Some((successor, start)) = start_of(run)
    {
        // Behind its start comes what it inherits.
        let inherited = inheritance(run).map(|inherited| ToRun::Inherit(Box::new(inherited)));
        for (index, said) in (0..).zip(std::iter::once(ToRun::Start(start)).chain(inherited)) {
            follows(RunEffect::ToSuccessor { index, run: successor, said });
        }
    }
}

/// Tells the run that goes on in a new one that this has begun; says whether there is such a run.
pub(super) fn tell_of_start(run: &Run, follows: &mut impl FnMut(RunEffect)) -> bool {
    let Some(ContinuedFrom { run: before, how: Continuation::Successor { .. }, .. }) = run.continued_from() else {
        return false;
    };
    follows(RunEffect::ToRun { run: *before, said: ToRun::Succeeded { successor: run.id() } });
    true
}

/// Learns that the successor has begun, or why it does not. What is said of another changes nothing.
fn hear(decision: &mut Decision<'_>, successor: RunId, refusal: Option<RunFailure>) {
    let next = decision.run().waiting.chain().next();
    if next.is_none_or(|next| next.run != successor || next.called_at.is_none()) {
        return;
    }
    let Some(Ending::Succeeded { output }) = decision.run().ending().cloned() else { return };
    match refusal {
        None => decision.emit(RunEvent::RunSucceeded { output, successor: Some(successor) }),
        Some(failure) => decision.emit(RunEvent::RunFailed { failure }),
    }
}

/// Whether the end of a run can be this: what goes on as another ends with its name, and is cancelled where nobody wants that.
pub(super) fn can_end(run: &Run, event: &RunEvent) -> bool {
    let next = run.waiting.chain().next();
    match event {
        RunEvent::RunSucceeded { successor, .. } => {
            next.filter(|next| next.called_at.is_some()).map(|next| next.run) == *successor
                && (next.is_none() || run.failure_of_finally().is_none())
        }
        RunEvent::RunFailed { .. } => {
            next.is_some_and(|next| next.called_at.is_some()) || run.failure_of_finally().is_some()
        }
        RunEvent::RunCancelled { .. } => next.is_some_and(|next| next.called_at.is_none() && next.withdrawn.is_some()),
        _other => false,
    }
}

/// What a run that goes on as another can learn of it.
pub(super) fn can_learn(run: &Run, event: &RunEvent) -> bool {
    let chain = run.waiting.chain();
    match event {
        RunEvent::SuccessorChosen { .. } => run.ending().is_none() && chain.next().is_none(),
        RunEvent::SuccessorCalled { successor } => {
            let is_it = chain.next().is_some_and(|next| next.run == *successor && next.called_at.is_none());
            is_it && matches!(handover(run), Handover::Calls) && run.branches.active() == 0
        }
        RunEvent::SuccessorWithdrawn { successor, .. } => {
            chain.next().is_some_and(|next| next.run == *successor && next.withdrawn.is_none())
        }
        RunEvent::SignalInherited { .. } => chain.coming().0 > 0,
        _other => true,
    }
}

/// The signals that a run hands over: what nobody has taken. Whoever waits for the reply to an update learns that the run is over.
fn inheritance(run: &Run) -> impl Iterator<Item = Inherited> {
    run.waiting.mail().kept().filter(|letter| !letter.update).map(|letter| Inherited {
        signal: letter.id,
        name: letter.name.clone(),
        key: letter.key.clone(),
        payload: letter.payload.clone(),
    })
}

/// How the successor of a run starts.
fn start_of(run: &Run) -> Option<(RunId, StartRun)> {
    let next = run.waiting.chain().next()?;
    let number = match run.continued_from() {
        Some(ContinuedFrom { how: Continuation::Successor { number, .. }, .. }) => number.saturating_add(1),
        Some(_) | None => 1,
    };
    let (mut signals, mut signal_bytes) = (0, 0);
    for inherited in inheritance(run) {
        signals += 1;
        signal_bytes += inherited.payload.len_bytes() as u64;
    }
    let how = Continuation::Successor {
        first: first_of(run),
        number,
        recorded: run.assets.promised().to_vec(),
        signals,
        signal_bytes,
    };
    let wishes = StartWishes {
        description: run.description.as_deref().cloned().unwrap_or_default(),
        targets: if next.workflow == *run.workflow() { run.targets().to_vec() } else { Vec::new() },
        continued: Some(ContinuedFrom { run: run.id(), revision: run.revision(), how, reason: None, pieces: 0 }),
    };
    let start = StartRun {
        workspace: run.workspace().clone(),
        workflow: next.workflow.clone(),
        version: next.version,
        input: next.input.clone(),
        trigger: run.origin.trigger().clone(),
        keyed: false,
        wishes: Some(Box::new(wishes)),
    };
    Some((next.run, start))
}
