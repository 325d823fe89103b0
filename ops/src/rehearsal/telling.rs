//! How it is shown what came of a case: a line for people, more where something is not as it should be; the same for programs.

use serde_json::{Value, json};

use super::story::Line;
use super::verdict::{Difference, Verdict, span};

/// How many lines of a timeline people are shown.
const LINES_SHOWN: usize = 60;

/// Tells people what came of a case.
pub fn lines(verdict: &Verdict) -> Vec<String> {
    let elapsed = span(verdict.elapsed);
    let seed = verdict.seed.map(|seed| format!(", faults {seed}")).unwrap_or_default();
    let status = verdict.status.as_deref().unwrap_or("not started");
    let mark = if verdict.is_passed() { "ok  " } else { "FAIL" };
    let nodes = if verdict.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", verdict.nodes) };
    let mut told = vec![format!("{mark}  {}  ({status}, {nodes}, {elapsed} of virtual time{seed})", verdict.name)];
    if verdict.is_passed() {
        return told;
    }
    for Difference { what, expected, actual } in &verdict.differences {
        told.push(format!("      {what}"));
        told.push(format!("        expected  {}", shown(expected)));
        told.push(format!("        actual    {}", shown(actual)));
    }
    told.push("      timeline".to_owned());
    let many_runs = verdict.timeline.iter().any(|line| line.run != verdict.timeline[0].run);
    for Line { after, run, text } in verdict.timeline.iter().take(LINES_SHOWN) {
        let run = if many_runs { format!("{run}: ") } else { String::new() };
        told.push(format!("        +{:<12} {run}{text}", span(*after)));
    }
    let more = verdict.timeline.len().saturating_sub(LINES_SHOWN) + verdict.left_out;
    if more > 0 {
        told.push(format!("        and {more} more"));
    }
    if let Some(seed) = verdict.seed {
        told.push(format!("      the same again: --faults {seed} --case {:?}", verdict.name));
    }
    told
}

/// Text as it is, the rest as JSON.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Tells programs what came of a case.
pub fn json(verdict: &Verdict) -> Value {
    let differences: Vec<Value> = verdict
        .differences
        .iter()
        .map(|Difference { what, expected, actual }| json!({"what": what, "expected": expected, "actual": actual}))
        .collect();
    let timeline: Vec<Value> = verdict
        .timeline
        .iter()
        .map(|Line { after, run, text }| json!({"afterMs": millis(*after), "run": run, "text": text}))
        .collect();
    json!({
        "name": verdict.name,
        "passed": verdict.is_passed(),
        "status": verdict.status,
        "differences": differences,
        "faults": {"seed": verdict.seed, "happened": verdict.faults},
        "elapsedMs": millis(verdict.elapsed),
        "decisions": verdict.decisions,
        "timeline": timeline,
        "linesLeftOut": verdict.left_out,
    })
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
