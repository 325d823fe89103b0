//! Definitions: what a workflow is, compiled from either spelling into one graph.
//!
//! [`compile`] takes the document as users write it and answers with a [`Definition`] or with *all* its
//! [`Problem`]s. Steps with `dependsOn` and nodes with transitions end in the same [`Node`]s and [`Transition`]s.
//!
//! | module | question it answers |
//! |---|---|
//! | `compile` | what a whole document means |
//! | `header` | what stands around its nodes |
//! | `document` | which fields are there, and which nobody knows |
//! | `listed` | which nodes a document lists, right or not |
//! | `drawn` | which nodes stand in which list, those of bodies too |
//! | `node` | what one step or node means |
//! | `naming` | what runs are called |
//! | `action` | what it does, each kind in a file; how that is carried out |
//! | `reusable` | which actions several workflows share, and what becomes of a node that uses one |
//! | `reuse` | whether a node takes a result that was made before |
//! | `policy` | how often, how long, when it is ready |
//! | `snapshots` | when what is seen of a run is kept |
//! | `contract` | which assets it produces and consumes, how fresh, in which partitions, when by themselves |
//! | `template` | which expressions a value holds, and what they name |
//! | `edges` | how nodes are joined, in both spellings |
//! | `joins` | whether what is joined can come together |
//! | `for_each` | what happens once for each item, and what becomes of it |
//! | `group` | what succeeds or fails together |
//! | `compensate` | what undoes a node |
//! | `order` | in which order they run, and what runs in circles |
//! | `loops` | which circles are loops, and where each begins |
//! | `losers` | what a race is over for, once somebody has won it |
//! | `regions`, `region` | which nodes happen together, perhaps many times |
//! | `references` | whether every name an expression uses is there by then |
//! | `typed` | which expressions certainly fail, as far as schemas say what they see |
//! | `schema` | whether a value keeps a JSON Schema |
//! | `charge` | what it costs to find out |
//! | `pattern` | which patterns of a schema look within characters |
//! | `unfold` | how large it becomes where references are followed |
//! | `span` | how long `90s` is |
//! | `hints` | what people mean who come from other tools |
//! | `graph` | what a run walks in the end |
//! | `stored` | what stands for a document that is too large for a message |
//! | `difference` | what lies between two versions |

mod action;
mod charge;
mod compensate;
mod compile;
mod continuing;
mod contract;
mod difference;
mod document;
mod drawn;
mod edges;
mod for_each;
mod graph;
mod group;
mod header;
mod hints;
mod joins;
mod listed;
mod loops;
mod losers;
mod naming;
mod node;
mod order;
mod pattern;
mod policy;
mod problem;
mod references;
mod region;
mod regions;
mod reusable;
mod reuse;
mod schema;
mod snapshots;
mod span;
mod stored;
mod template;
mod typed;
mod unfold;

pub use action::{
    ASSIGNEES_MAX, Action, BuiltIn, CALLBACK_SILENCE_MIN, Call, CallEnd, Callback, ContinueAs, DESCRIPTION_BYTES_MAX,
    Execution, FORM_BYTES_MAX, HumanInput, OnChildFailure, OnInvalid, Pause, SIGNALS_AWAITED_MAX, SignalWanted,
    SuccessorVersion, TITLE_CHARS_MAX, WaitSignal, form_of, queue_of_engine, queue_of_job,
};
pub(crate) use action::{SIGNAL, assignees_of, description_of, not_due, signal_key_of, title_of};
pub(crate) use compensate::UNDONE;
pub use compensate::{Compensation, Undo};
pub use compile::{compilations, compile};
pub use contract::{
    Automation, Declared, Freshness, Granularity, Meaning, Mode, Partitioning, TimeWindow, Wait, refused_at_the_door,
};
pub use difference::{Breaking, Change, ChangeKind, Difference, Subject, difference};
pub use document::nearest;
pub(crate) use document::sorted;
pub use for_each::{EachJoin, ForEach, ItemTolerance, Merge, OnTimeout, Reduce};
pub use graph::{
    Back, Consumes, Definition, Join, Node, NodeIndex, NodeIx, OnMiss, OnNoRoute, Outcome, Produces, Require,
    Transition, TransitionIx, place_of,
};
pub use group::Group;
pub use naming::{ATTRIBUTES_MAX, Naming, RUN_LABELS_MAX, check_key};
pub use policy::{Backoff, Failures, Jitter, Pace, RetryPolicy, RetryRule, Tolerance};
pub use problem::{Problem, ProblemCode, Problems, Severity};
pub use region::{Region, RegionIx, RegionKind};
pub use reusable::{
    ActionDef, ActionRef, Beyond, Expanded, Filled, Signature, compile_action, expand, is_action, names_actions,
    origins, references,
};
pub use reuse::{Reuse, ReuseKey, ReuseScope};
pub use schema::{Schema, SchemaBreach, SchemaBreaches, SchemaRefusal};
pub use snapshots::SnapshotPolicy;
pub(crate) use span::SPAN_MAX;
pub use span::{InvalidSpan, parse_span};
pub use stored::{INLINE_BYTES_MAX, StoredDocument};
