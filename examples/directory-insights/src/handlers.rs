//! The jobs under their names, as JSON in and JSON out: what a worker registers.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Attempt, Failure, archive, report, scan};

/// A job as a worker calls it.
pub type Handler = fn(&Value, &Attempt<'_>) -> Result<Value, Failure>;

/// Every job of this package under its slug.
pub const HANDLERS: [(&str, Handler); 3] = [
    ("scan-directory", |input, attempt| call(input, |input| scan::scan_directory(input, attempt))),
    ("generate-visualizations", |input, attempt| call(input, |input| report::generate_visualizations(input, attempt))),
    ("archive-report", |input, attempt| call(input, |input| archive::archive_report(input, attempt))),
];

fn call<I: DeserializeOwned, O: Serialize>(
    input: &Value,
    job: impl FnOnce(&I) -> Result<O, Failure>,
) -> Result<Value, Failure> {
    let input = I::deserialize(input).map_err(|e| Failure::InvalidInput(format!("the input does not fit: {e}")))?;
    let output = job(&input)?;
    serde_json::to_value(output).map_err(|e| Failure::InvalidInput(format!("the output is not JSON: {e}")))
}
