//! The evaluator of expressions: every step it takes is charged to a [`super::work::Meter`].
//!
//! | module | question it answers |
//! |---|---|
//! | `term` | what does an expression look like once its names are resolved |
//! | `machine`, `loops` | what is it worth |
//! | `value` | what does it compute with |
//! | `read`, `write` | how does JSON become a value, and a value JSON |
//! | `operators`, `functions`, `texts`, `numbers`, `pattern`, `captures`, `data`, `encodings`, `format`, `time` | what can be done with values |
//! | `nested` | how deep is it |
//! | `keyed` | which item has the least key, and which have the same |
//! | `distinct` | which values are the first of their like |
//! | `fault` | why has it no value |

mod captures;
mod data;
mod distinct;
mod encodings;
mod fault;
mod format;
mod functions;
mod keyed;
mod loops;
mod machine;
mod nested;
mod numbers;
mod operators;
mod pattern;
mod read;
mod term;
mod texts;
mod time;
mod value;
mod write;

pub(super) use fault::Fault;
pub(super) use functions::{Function, NAMESPACES, Style, is_later, knows};
pub(super) use keyed::By;
pub(super) use machine::{Machine, Slots};
pub(super) use operators::Operator;
pub(super) use term::{Access, Body, Constant, Entry, Item, Loop, Term};
pub(super) use time::Moment;
pub(crate) use time::{check_time, read_span, span_until};
pub(super) use value::{Kind, Value};
pub(super) use write::write;
