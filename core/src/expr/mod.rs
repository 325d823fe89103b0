//! Expressions: CEL, and the `${{ … }}` templates that hold them.
//!
//! Pure and bounded: source length, nesting and output size have limits; nothing here reads a clock.

mod expression;
mod scope;
mod template;

pub use expression::{Expression, ExpressionProblem};
pub use scope::{ConsumedAsset, EvaluationError, Scope};
pub use template::Template;
