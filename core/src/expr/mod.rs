//! Expressions: CEL, and the `${{ … }}` templates that hold them.
//!
//! Pure and bounded: source length, nesting, work, memory and result size have limits; nothing here reads a clock.
//!
//! | module | question it answers |
//! |---|---|
//! | `expression` | what one expression is worth here |
//! | `template` | what a JSON value with expressions inside is worth here |
//! | `work` | how much may be done for that |
//! | `source` | is this text small and flat enough for the parser, and where does it end |
//! | `lower` | which variables does it name, and which paths can be taken without evaluating |
//! | `macros` | which macro is that |
//! | `path` | what stands at `input.a.b` |
//! | `typing` | does it fail whatever it sees |
//! | `eval` | what the rest is worth |
//! | `check` | how large and deep may a result be |

mod check;
mod eval;
mod expression;
mod lower;
mod macros;
mod path;
mod scope;
mod source;
mod template;
mod typing;
mod work;

pub use check::RESULT_BYTES_MAX;
pub(crate) use eval::{check_time, read_span, span_until};
pub use expression::{Expression, ExpressionProblem};
pub use scope::{ConsumedAsset, EvaluationError, Facts, NodeStanding, Scope};
pub use template::Template;
pub(crate) use typing::{PARAMS, Seen, Verdict, Wanted};
pub use work::{DECISION_WORK_MAX, DecisionLimit, EXPRESSION_WORK_MAX, Limit, Work};
