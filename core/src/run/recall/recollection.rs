//! What is told of a run to those that go on from it: what its nodes had made, each where it stood, and who has tried in vain.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Path, RECALL_PIECE_BYTES_MAX, RECALL_PIECES_MAX, key_of, made_of, path_of};
use crate::definition::{Definition, Execution, NodeIx, RegionIx, RegionKind, TransitionIx};
use crate::dialogue::{Asker, InputVersion};
use crate::run::state::{Phase, Place, Run};
use crate::run::{
    BranchKind, BranchOutcome, Continuation, Description, History, Recalled, RecalledResult, RunEvent, RunStatus,
};
use crate::{BranchId, DefinitionVersion, Json, NodeAddress, NodeId, Revision, RunId, Timestamp};

/// What of a run is told to another.
#[derive(Debug, Clone)]
pub struct Recollected {
    pub how: Continuation,
    /// Of a fork: it has the same input and the same definition, so that what was made is taken whatever it was made of.
    pub is_same: bool,
    /// Nothing that these nodes made: they are others here.
    pub except: FxHashSet<NodeId>,
}

/// A run that is folded again, and what is told of it.
#[derive(Debug)]
pub struct Recollection {
    run: RunId,
    history: History,
    wanted: Recollected,
    made: BTreeMap<Path, (Asker, RecalledResult)>,
    tried: BTreeMap<Path, Asker>,
    /// What those were given that somebody has ended by hand.
    overruled: FxHashMap<Place, Option<Json>>,
    /// Where those stood that have made something: their branch may have ended.
    paths: FxHashMap<NodeAddress, Path>,
    /// Branches in which something is undone, and what.
    undoing: FxHashMap<BranchId, NodeAddress>,
}

impl Recollection {
    /// Returns that of a run of which nothing is known yet.
    pub fn of(run: RunId, definition: Arc<Definition>, wanted: Recollected) -> Self {
        Self {
            run,
            history: History::of(run, definition),
            wanted,
            made: BTreeMap::new(),
            tried: BTreeMap::new(),
            overruled: FxHashMap::default(),
            paths: FxHashMap::default(),
            undoing: FxHashMap::default(),
        }
    }

    /// Brings the definition of a version that the run goes over to, before it learns that.
    pub fn bring(&mut self, version: DefinitionVersion, definition: Arc<Definition>) {
        self.history.bring(version, definition);
    }

    /// Learns what happened next, and when.
    ///
    /// # Errors
    /// Why that cannot have happened.
    pub fn learn(&mut self, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        let found = self.history.run().and_then(|run| self.look(run, event));
        self.history.learn(event, time)?;
        if let RunEvent::RunMigrated { map, .. } = event {
            self.rename(map);
        }
        match found {
            Some(Found::Tried(path, from)) => _ = self.tried.insert(path, from),
            Some(Found::Made(path, node, from, result)) => {
                self.paths.insert(node, path.clone());
                self.made.insert(path, (from, result));
            }
            Some(Found::Recorded(path, version)) => {
                self.made.entry(path).and_modify(|(_, result)| result.assets.push(version));
            }
            Some(Found::Overruled(place, given)) => _ = self.overruled.insert(place, given),
            Some(Found::Undoes(branch, node)) => _ = self.undoing.insert(branch, node),
            Some(Found::Undone(path)) => _ = self.made.remove(&path),
            None => {}
        }
        Ok(())
    }

    /// Looks at what happens next, before it is folded.
    fn look(&self, run: &Run, event: &RunEvent) -> Option<Found> {
        if let RunEvent::AttemptScheduled { node, .. } = event {
            let place = run.find(node).filter(|place| !run.is_at_the_end(*place))?;
            let own = Asker { run: self.run, node: node.clone() };
            Some(Found::Tried(path_of(run, place)?, key_of(run, place).cloned().unwrap_or(own)))
        } else if let RunEvent::NodeSucceeded { node, output, reused, .. } = event {
            let place = run.find(node).filter(|place| !run.is_at_the_end(*place))?;
            let result = self.result(run, place, output, reused.is_some())?;
            let own = Asker { run: self.run, node: node.clone() };
            let from = reused.as_deref().cloned().unwrap_or(own);
            Some(Found::Made(path_of(run, place)?, node.clone(), from, result))
        } else if let RunEvent::NodeOverruled { node, .. } = event {
            let place = run.find(node)?;
            Some(Found::Overruled(place, run.node(place).phase.current()?.input.clone()))
        } else if let RunEvent::AssetRecorded { node, asset, partition, version } = event {
            let version = InputVersion { asset: asset.clone(), partition: partition.clone(), version: *version };
            Some(Found::Recorded(self.paths.get(node)?.clone(), version))
        } else if let RunEvent::BranchesOpened { kind: BranchKind::Undo, first, from, .. } = event {
            let kept = run.branches.kept().iter().nth(*from as usize)?;
            Some(Found::Undoes(*first, run.address(kept.place)))
        } else if let RunEvent::BranchEnded {
            branch,
            outcome: BranchOutcome::Succeeded { .. } | BranchOutcome::SucceededAs { .. },
        } = event
        {
            Some(Found::Undone(self.paths.get(self.undoing.get(branch)?)?.clone()))
        } else {
            None
        }
    }

    /// Returns what a node has made, where that is told.
    fn result(&self, run: &Run, place: Place, output: &Json, is_reused: bool) -> Option<RecalledResult> {
        let state = run.node(place);
        let node = run.definition().node(place.node);
        // What has branches is told piece by piece, and as what a run goes on it says itself.
        if matches!(state.phase, Phase::Around(_)) || matches!(node.action.execution, Execution::Continues(_)) {
            return None;
        }
        let by_position = match &self.wanted.how {
            Continuation::Retry {} | Continuation::Restart { .. } => true,
            Continuation::Fork { .. } => self.wanted.is_same,
            Continuation::Successor { .. } => return None,
        };
        let by_hand = self.overruled.get(&place);
        let given = match &state.phase {
            Phase::Current(current) => current.input.clone(),
            Phase::AwaitingMemo(awaited) => awaited.input.clone(),
            _begun => by_hand.cloned().flatten(),
        };
        let input = || given.as_ref().unwrap_or_else(|| run.input());
        // What is made inside a decision is made again at no cost, and what waits is told nothing that could be compared.
        let is_comparable = match &node.action.execution {
            Execution::Fleet { .. } | Execution::Engine(_) | Execution::Calls(_) | Execution::Callback(_) => {
                is_reused || by_hand.is_some() || matches!(state.phase, Phase::Current(_))
            }
            Execution::Inside { .. }
            | Execution::Fails { .. }
            | Execution::Each(_)
            | Execution::Group(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Undoes
            | Execution::Continues(_)
            | Execution::Asks(_) => false,
        };
        if self.wanted.except.contains(&node.id) || (!by_position && !is_comparable) {
            return None;
        }
        let consumed = state.consumed.clone();
        Some(RecalledResult {
            output: output.clone(),
            given: run.definition().undo_of(place.node).map(|_| input().clone()),
            made_of: (!by_position).then(|| made_of(input(), &consumed)),
            consumed,
            assets: Vec::new(),
        })
    }

    /// Has what was made be where the nodes are that it is called after now, or nowhere, where they are gone.
    fn rename(&mut self, map: &BTreeMap<NodeId, Option<NodeId>>) {
        let named = |node: NodeId| map.get(&node).cloned().unwrap_or(Some(node));
        let moved = |(within, own): Path| -> Option<Path> {
            let within = within.into_iter().map(|(node, index)| Some((named(node)?, index)));
            Some((within.collect::<Option<Vec<_>>>()?, named(own)?))
        };
        let take = std::mem::take(&mut self.made).into_iter();
        self.made = take.filter_map(|(path, made)| Some((moved(path)?, made))).collect();
        let take = std::mem::take(&mut self.tried).into_iter();
        self.tried = take.filter_map(|(path, by)| Some((moved(path)?, by))).collect();
        let take = std::mem::take(&mut self.paths).into_iter();
        let address = |at: NodeAddress| Some(NodeAddress::new(named(at.node().clone())?, at.branch()));
        self.paths = take.filter_map(|(at, path)| Some((address(at)?, moved(path)?))).collect();
        self.overruled.clear();
    }

    /// Forgets what is done again, once all has been learned.
    ///
    /// # Errors
    /// The node from which on it is, if the run's definition has none of that name.
    pub fn settle(&mut self) -> Result<(), NodeId> {
        let (Continuation::Restart { node }, Some(run)) = (&self.wanted.how, self.history.run()) else { return Ok(()) };
        let definition = run.definition();
        let behind = behind(definition, definition.find(node).ok_or_else(|| node.clone())?);
        let again: FxHashSet<NodeId> = behind.into_iter().map(|node| definition.node(node).id.clone()).collect();
        self.made.retain(|(within, own), _| {
            !again.contains(own) && !within.iter().any(|(around, _)| again.contains(around))
        });
        Ok(())
    }

    /// Returns where the run stands; `None`: nothing has happened.
    pub fn status(&self) -> Option<RunStatus> {
        self.history.run().map(Run::status)
    }

    /// Returns the run as it is by now; `None`: nothing has happened.
    pub fn seen(&self) -> Option<&Run> {
        self.history.run()
    }

    /// Returns what it is called, as far as it is called anything.
    pub fn description(&self) -> Description {
        self.history.run().and_then(|run| run.description.as_deref().cloned()).unwrap_or_default()
    }

    /// Returns how much it tells of, and the last revision that it has learned.
    pub fn counts(&self) -> (usize, Revision) {
        (self.made.len(), self.history.run().map_or(Revision::new(0), Run::revision))
    }

    /// Returns what is told, in pieces that a run can be told ([`super::RECALL_PIECE_BYTES_MAX`]).
    ///
    /// # Errors
    /// How many bytes it has, where that is more than a run is told.
    pub fn pieces(self) -> Result<Vec<Json>, usize> {
        let Self { wanted, made, tried, .. } = self;
        let told = |within: Vec<_>, from, result| Recalled { within, from, result };
        let in_vain: Vec<Recalled> = match wanted.how {
            Continuation::Retry {} => tried
                .into_iter()
                .filter(|(path, _)| !made.contains_key(path))
                .map(|((within, _), from)| told(within, from, None))
                .collect(),
            Continuation::Restart { .. } | Continuation::Fork { .. } | Continuation::Successor { .. } => Vec::new(),
        };
        let made = made.into_iter().map(|((within, _), (from, result))| told(within, from, Some(result)));
        let (mut pieces, mut piece, mut bytes) = (Vec::new(), String::new(), 0);
        for recalled in made.chain(in_vain) {
            let text = Json::of(&recalled);
            bytes += text.len_bytes();
            if !piece.is_empty() && piece.len() + text.len_bytes() + 2 > RECALL_PIECE_BYTES_MAX {
                pieces.push(listed(&std::mem::take(&mut piece)));
            }
            if text.len_bytes() + 2 > RECALL_PIECE_BYTES_MAX || pieces.len() >= RECALL_PIECES_MAX as usize {
                return Err(bytes);
            }
            if !piece.is_empty() {
                piece.push(',');
            }
            piece.push_str(text.as_str());
        }
        if !piece.is_empty() {
            pieces.push(listed(&piece));
        }
        Ok(pieces)
    }
}

/// What an event says of what is told.
enum Found {
    Tried(Path, Asker),
    Made(Path, NodeAddress, Asker, RecalledResult),
    Recorded(Path, InputVersion),
    Overruled(Place, Option<Json>),
    Undoes(BranchId, NodeAddress),
    Undone(Path),
}

fn listed(members: &str) -> Json {
    Json::joined(format!("[{members}]")).expect("a list of what this engine has written is JSON")
}

/// Returns a node and all that stand behind it, wherever: in its region, and behind what is around it.
fn behind(definition: &Definition, from: NodeIx) -> FxHashSet<NodeIx> {
    let (mut found, mut todo) = (FxHashSet::default(), vec![from]);
    while let Some(node) = todo.pop() {
        if !found.insert(node) {
            continue;
        }
        todo.extend(definition.node(node).leaving().map(|transition| definition.transition(transition).to));
        // What is around it is not over before, and what stands behind that sees what came of it.
        let mut at = definition.node(node).region;
        while at != RegionIx::ROOT {
            let region = definition.region(at);
            let target = |way: TransitionIx| definition.transition(way).to;
            match region.kind {
                RegionKind::Body { each } => todo.extend(definition.node(each).leaving().map(target)),
                RegionKind::Root | RegionKind::Loop { .. } => todo.extend(region.exits.iter().copied().map(target)),
            }
            at = region.parent;
        }
    }
    found
}
