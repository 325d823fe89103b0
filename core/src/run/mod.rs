//! The Run: one execution of one definition version.
//!
//! | file | question |
//! |---|---|
//! | `decide` | what may happen when a command comes |
//! | `decision` | what is decided so far, and how a fact is taken down |
//! | `step` | what a node does when its turn comes, something is due of it, or it ends; a kind of node, a file |
//! | `agenda` | what has still to begin, and what a run does next of its own accord |
//! | `settle`, `output` | how it goes on with that, and ends well |
//! | `branching` | how branches end: well, badly, or withdrawn |
//! | `ending` | how a run ends before everything was done |
//! | `budget` | how much one decision may do, and what is left for the next |
//! | `recall` | what a run knows of one that it goes on from, and what is told of a run to those that do |
//! | `grace` | how it ends that is cancelled with a grace |
//! | `operate`, `halt` | how somebody takes a run in hand, and what of it is halted |
//! | `migration` | how it goes over to another version of its workflow |
//! | `wanted` | which active runs somebody means |
//! | `weight` | how much room a fact takes, and which of its values may stand beside the journal |
//! | `attempt` | what an attempt waits for |
//! | `report` | what a worker's report says, and what becomes of one that cannot be read |
//! | `produce` | whether a handler's result keeps the node's contract |
//! | `state` | what a run is: its branches, where their nodes stand, what expressions see |
//! | `finally` | what runs whatever the end |
//! | `compensation` | what is undone before that |
//! | `few` | an ordered set of which most have few members |
//! | `mail` | what was said to it, and who waits for what |
//! | `replies` | what updates were answered with |
//! | `person` | what people are asked, and what they have answered |
//! | `succession` | how it goes on as another run |
//! | `callback` | which attempts somebody outside ends, and by what |
//! | `landing` | what memos hear of nodes that asked them |
//! | `history` | what was seen of a run at some moment |
//! | `snapshot` | what is kept of that by a policy, and when |
//! | `digest` | by what two foldings of a run are told apart |
//! | `explain` | why a run stands where it does |
//! | `evolve` | what an event means for the state |
//! | `legal` | what can happen to a run where it stands, and what cannot be |
//! | `handed` | what a worker gets of an attempt |
//! | `react` | what follows from an event outside |
//! | `waiting` | which attempts wait for a worker, and who holds the others |
//! | `status` | where runs and nodes stand, in the words users see |
//! | `checkpoint`, `recorded_branch` | what a checkpoint holds of a run, and of each of its branches |
//! | `standing` | where its nodes stand, for who shows a run that was released from quarantine |

mod agenda;
mod attempt;
mod branching;
mod budget;
mod callback;
mod checkpoint;
mod command;
mod compensation;
mod decide;
mod decision;
mod describe;
mod digest;
mod ending;
mod event;
mod evolve;
mod explain;
mod few;
mod finally;
mod grace;
mod halt;
mod handed;
mod history;
mod landing;
mod legal;
mod mail;
mod migration;
mod operate;
mod output;
mod person;
mod produce;
mod react;
mod recall;
mod recorded_branch;
mod replies;
mod report;
mod settle;
mod snapshot;
mod standing;
mod state;
mod status;
mod step;
mod succession;
mod waiting;
mod wanted;
mod weight;

pub use budget::{Budget, DECISION_BYTES_MAX, DECISION_STORED_MAX, RunLimits};
pub(crate) use callback::listed as callbacks_listed;
pub use callback::{
    CALLBACK_SIGNAL, CALLBACKS_KEPT_MAX, CallbackToken, CalledBack, NoCallbackToken, awaited as awaited_callback,
    read as read_callback,
};
pub(crate) use checkpoint::RunRecord;
pub use command::{Grant, Report, ReportOutcome, RunCommand, RunRejection};
pub(crate) use decide::complete_input_within;
pub use decide::{Ground, decide, start};
pub use digest::{DIGESTED_BYTES_MAX, RunDigest, digest_of};
pub use event::{AssetNeed, BRANCHES_OPENED_MAX, BranchKind, BranchOutcome, Ending, JoinClosing, RunEvent};
pub(crate) use evolve::evolve;
pub use explain::{
    Account, At, Decided, EXPLANATION_BYTES_MAX, End, ExplainedBranch, Explanation, Listed, OpenWay, Said, SkipReason,
    Skipped, Verdict, Wait, WaitFor, WantedAsset, Way, WayIn, Why,
};

pub use halt::{GRACE_MAX, OPERATIONS_MAX};
pub use handed::task_of;
pub(crate) use history::live_context;
pub use history::{Context, History, LIVE_BYTES_MAX, SeenNode};
pub(crate) use landing::told as memos_told;
pub(crate) use legal::check as check_legal;
pub use mail::{
    AwaitedSignal, SIGNAL_BYTES_MAX, SIGNAL_TAKERS_MAX, SIGNALS_KEPT_BYTES_MAX, SIGNALS_KEPT_MAX, SIGNALS_MAX,
};
pub use migration::{MIGRATION_PROBLEMS_MAX, Migration, MigrationProblem, Renamed};
pub(crate) use migration::{bring, bring_nothing, started_as};
pub use operate::Operation;
pub use person::{ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX, ANSWERS_MAX, PersonTask};
pub use produce::ProducedAsset;
pub(crate) use react::answer_to_caller;
pub use react::{RunEffect, outstanding, react};
pub use recall::{
    Outcome, Outcomes, RECALL_PIECE_BYTES_MAX, RECALL_PIECES_MAX, RECALL_WAIT, Recollected, Recollection,
};
pub use replies::{
    REPLIES_KEPT_BYTES_MAX, REPLIES_KEPT_MAX, REPLY_BYTES_MAX, Reply, UpdateStanding, standing_of_update,
};
pub use report::read_assets;
pub use snapshot::{SNAPSHOT_BYTES_MAX, Snapshot, Snapshots};
pub use standing::{BranchStanding, NodeStanding, Standing};
pub use state::Run;
pub(crate) use state::large_bytes;
pub use status::{NodeStatus, RunStatus};
pub use waiting::HeldAttempt;
pub(crate) use waiting::{Move, awaits_child, held_since};
pub use wanted::RunsWanted;

pub use crate::dialogue::{
    CalledBy, Continuation, ContinuedFrom, Description, INPUT_BYTES_MAX, Inherited, Recalled, RecalledResult,
};
pub use crate::dialogue::{StartRun, StartWishes, Trigger};
pub use crate::failure::{DETAILS_BYTES_MAX, RunFailure, check_details};
