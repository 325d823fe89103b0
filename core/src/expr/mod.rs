//! Expressions: CEL, and the `${{ … }}` templates that hold them.
//!
//! Pure and bounded: source length, nesting, iterations and result size have limits; nothing here reads a clock.
//!
//! | module | question it answers |
//! |---|---|
//! | `expression` | what one expression is worth here |
//! | `template` | what a JSON value with expressions inside is worth here |
//! | `source` | is this text small and flat enough for the parser, and where does it end |
//! | `lower` | which variables does it name, and which paths can be taken without CEL |
//! | `path` | what stands at `input.a.b` |
//! | `program` | what CEL makes of the rest |
//! | `library` | which functions there are |
//! | `value` | how JSON text becomes CEL values, and back |

mod expression;
mod library;
mod lower;
mod path;
mod program;
mod scope;
mod source;
mod template;
mod value;

pub use expression::{Expression, ExpressionProblem};
pub use scope::{ConsumedAsset, EvaluationError, Scope};
pub use template::Template;
pub use value::RESULT_BYTES_MAX;
