//! Actions that several workflows use: versioned documents of their own, filled in where a workflow is applied.
//!
//! A node says `action: {ref: "fetch@3"}`, and its `input` are the action's parameters. [`expand`] writes the action into the
//! node, so that a workflow's version holds all that its runs do (ADR 25): `params`, `paramsSchema` and `outputSchema` are words
//! that anybody can write by hand, and `ref` says where they come from.
//!
//! | module | question it answers |
//! |---|---|
//! | `named` | which version of which action is meant, and where a document says so |
//! | `read` | what a document of an action means |
//! | `expand` | what a node is with its action filled in, and whether it is what its `ref` says |
//! | `signature` | what a node takes and gives |
//! | `written` | whether parameters fit, as far as they are written out |

mod expand;
mod named;
mod read;
mod signature;
mod written;

pub use expand::{Beyond, Expanded, Filled, expand};
pub use named::{ActionRef, names_actions, origins, references};
pub use read::{ActionDef, compile_action, is_action};
pub use signature::Signature;
pub(super) use signature::{PARAMS_OF_NODES, read as signature};
pub(super) use written::check as check_written;
