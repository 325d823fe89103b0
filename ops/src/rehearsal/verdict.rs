//! Whether a case came to what was expected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headwater_core::run::{Context, NodeStatus};
use headwater_core::{Json, NodeAddress};
use serde_json::{Value, json};

use super::crew::{Fault, Occurrence, Repetition};
use super::script::{Case, Continues, Elapsed, Expectation, MadeAsset, Path};
use super::stage::{Stage, Stop};
use super::story::{Ends, Line, Made, Story};

/// Something that is not as it was expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The field of the expectation, or what else is wrong.
    pub what: String,
    pub expected: Value,
    pub actual: Value,
}

/// What came of a case.
#[derive(Debug)]
pub struct Verdict {
    pub name: String,
    /// Absent: the run never started.
    pub status: Option<String>,
    /// None: the case is as it should be.
    pub differences: Vec<Difference>,
    pub faults: Vec<Fault>,
    /// With which its faults come again.
    pub seed: Option<u64>,
    pub elapsed: Duration,
    pub decisions: u64,
    pub nodes: usize,
    pub timeline: Vec<Line>,
    /// How many lines of the timeline are left out.
    pub left_out: usize,
}

impl Verdict {
    /// Returns whether the case is as it should be.
    pub fn is_passed(&self) -> bool {
        self.differences.is_empty()
    }

    /// Looks at what came of a case.
    pub(super) fn of(case: &Case, stage: &Stage<'_>, stop: &Stop) -> Self {
        let (story, seen) = (stage.story(), stage.story().seen());
        let mut found = Found::default();
        found.stop(stop, case, seen.as_ref());
        // Of a case that was cut short the rest says nothing.
        if matches!(stop, Stop::Ended | Stop::Stuck) {
            found.compare(&case.expect, story, seen.as_ref(), stage.elapsed());
        }
        stage.crew().repetitions().iter().for_each(|repetition| found.repeated(repetition));
        let (lines, left_out) = story.timeline();
        Self {
            name: case.name.clone(),
            status: seen.map(|seen| seen.status.to_string()),
            differences: found.0,
            faults: stage.crew().faults().to_vec(),
            seed: case.faults.map(|faults| faults.seed),
            elapsed: stage.elapsed(),
            decisions: stage.decisions(),
            nodes: story.ends().succeeded.len(),
            timeline: lines.to_vec(),
            left_out,
        }
    }
}

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, what: impl Into<String>, expected: Value, actual: Value) {
        self.0.push(Difference { what: what.into(), expected, actual });
    }

    /// Notes what differs.
    fn check(&mut self, what: &str, expected: Value, actual: Value) {
        if expected != actual {
            self.add(what, expected, actual);
        }
    }

    fn stop(&mut self, stop: &Stop, case: &Case, seen: Option<&Context>) {
        let limits = case.limits;
        let actual = match stop {
            Stop::Ended => return,
            // Whoever expects that names the status.
            Stop::Stuck if case.expect.end.status == seen.map(|seen| seen.status.to_string()) => return,
            Stop::Stuck => format!("nothing is left that could happen{}", seen.map(waiting).unwrap_or_default()),
            Stop::Decisions => format!("it took more than {} decisions (limits.decisions)", limits.decisions),
            Stop::Time => format!("it would take longer than {} of virtual time (limits.time)", span(limits.time)),
            Stop::MissingMock(missing) => missing.0.clone(),
            Stop::Refused(reason) => format!("it does not start: {reason}"),
            Stop::Contradiction(reason) => format!("the engine contradicts itself: {reason}"),
        };
        self.add("end", "the run ends".into(), actual.into());
    }

    fn compare(&mut self, expect: &Expectation, story: &Story, seen: Option<&Context>, elapsed: Duration) {
        let ends = story.ends();
        self.end(expect, ends, seen);
        self.nodes(expect, ends);
        for (key, expected) in &expect.state {
            let actual = seen.and_then(|seen| seen.state.get(key.as_str()));
            let actual = actual.map_or(Value::Null, |actual| actual.to_value());
            self.check(&format!("state.{key}"), expected.to_value(), actual);
        }
        if let Some(expected) = &expect.assets {
            self.assets(expected, story.made());
        }
        self.elapsed(expect.elapsed, elapsed);
    }

    fn end(&mut self, expect: &Expectation, ends: &Ends, seen: Option<&Context>) {
        let failure = ends.failure.as_ref();
        if let Some(expected) = &expect.end.status {
            let actual = seen.map(|seen| seen.status.to_string()).unwrap_or_default();
            if *expected != actual {
                let why = failure.map(|failure| {
                    let node = failure.node_id.as_ref().map(|node| format!(" at {node}")).unwrap_or_default();
                    format!(" ({}{node}: {})", failure.code, failure.message)
                });
                let actual = format!("{actual}{}", why.unwrap_or_default());
                self.add("status", expected.as_str().into(), actual.into());
            }
        }
        if let Some(expected) = &expect.end.error {
            self.check("error", expected.as_str().into(), failure.map(|failure| failure.code.as_str()).into());
        }
        if let Some(expected) = &expect.end.continues_as {
            self.continues(expected, ends.continues_as.as_ref());
        }
        if let Some(expected) = &expect.end.output {
            let actual = ends.output.as_ref().map_or(Value::Null, |output| output.to_value());
            self.check("output", expected.to_value(), actual);
        }
    }

    fn continues(&mut self, expected: &Continues, actual: Option<&(String, Json)>) {
        let shown = actual.map_or(json!(false), |(of, with)| json!({"workflow": of, "input": with.to_value()}));
        let (wanted, fits) = match (expected, actual) {
            (Continues::Not, actual) => (json!(false), actual.is_none()),
            (Continues::As { workflow, input }, actual) => {
                let wanted = json!({"workflow": workflow, "input": input.as_ref().map(Json::to_value)});
                let is_it = |(of, with): &(String, Json)| {
                    workflow.as_ref().is_none_or(|workflow| workflow == of)
                        && input.as_ref().is_none_or(|input| input.to_value() == with.to_value())
                };
                (wanted, actual.is_some_and(is_it))
            }
        };
        if !fits {
            self.add("continuesAs", wanted, shown);
        }
    }

    fn nodes(&mut self, expect: &Expectation, ends: &Ends) {
        match &expect.path {
            None => {}
            Some(Path::Whole(expected)) => {
                let actual: Vec<_> = ends.succeeded.iter().map(|node| named(node, expected)).collect();
                self.check("path", json!(expected), json!(actual));
            }
            Some(Path::Contains(expected)) => {
                let actual: Vec<_> = ends.succeeded.iter().map(|node| named(node, expected)).collect();
                let mut left = actual.iter();
                if !expected.iter().all(|wanted| left.any(|node| node == wanted)) {
                    self.add("path", json!({"contains": expected}), json!(actual));
                }
            }
        }
        if let Some(expected) = &expect.skipped {
            let actual: BTreeSet<_> = ends.skipped.iter().map(|node| named(node, expected)).collect();
            let wanted: BTreeSet<_> = expected.iter().cloned().collect();
            self.check("skipped", json!(wanted), json!(actual));
        }
        if let Some(expected) = &expect.failed {
            let names: Vec<_> = expected.keys().cloned().collect();
            let failed = ends.failed.iter().map(|(node, code)| (named(node, &names), code));
            let actual: BTreeMap<_, _> = failed.collect();
            self.check("failed", json!(expected), json!(actual));
        }
        for (node, expected) in &expect.attempts {
            let of = ends.attempts.iter().filter(|(at, _)| at.to_string() == *node || at.node().as_str() == node);
            let actual: u32 = of.map(|(_, attempts)| attempts).sum();
            self.check(&format!("attempts.{node}"), (*expected).into(), actual.into());
        }
    }

    fn assets(&mut self, expected: &[MadeAsset], made: &[Made]) {
        let mut left: Vec<&Made> = made.iter().collect();
        let fits = |wanted: &MadeAsset, made: &Made| {
            let payload = wanted.payload.as_ref().is_none_or(|payload| payload.to_value() == made.payload.to_value());
            wanted.asset == made.asset && wanted.partition == made.partition && payload
        };
        let all_are_there = expected.iter().all(|wanted| {
            let at = left.iter().position(|made| fits(wanted, made));
            at.map(|at| left.remove(at)).is_some()
        });
        if !all_are_there || !left.is_empty() {
            let wanted = expected.iter().map(|one| {
                asset(one.asset.as_str(), one.partition.as_ref().map(ToString::to_string), one.payload.as_ref())
            });
            let actual = made.iter().map(|one| {
                asset(one.asset.as_str(), one.partition.as_ref().map(ToString::to_string), Some(&one.payload))
            });
            self.add("assets", wanted.collect(), actual.collect());
        }
    }

    fn elapsed(&mut self, Elapsed { at_least, at_most }: Elapsed, elapsed: Duration) {
        let is_in = at_least.is_none_or(|least| elapsed >= least) && at_most.is_none_or(|most| elapsed <= most);
        if !is_in {
            let expected = match (at_least, at_most) {
                (Some(least), Some(most)) if least == most => json!(span(least)),
                (least, most) => json!({"atLeast": least.map(span), "atMost": most.map(span)}),
            };
            self.add("elapsed", expected, span(elapsed).into());
        }
    }

    fn repeated(&mut self, repetition: &Repetition) {
        let Repetition { node, workflow, idempotency_key, allowed, occurrences } = repetition;
        let told = |Occurrence { attempt, fault }: &Occurrence| match fault {
            Some(fault) => format!("in attempt {attempt} ({fault})"),
            None => format!("in attempt {attempt}"),
        };
        let times: Vec<_> = occurrences.iter().map(told).collect();
        let actual = format!(
            "the handler of `{node}` in `{workflow}` had its effect {} times under the key {idempotency_key}: {}",
            occurrences.len(),
            times.join(", ")
        );
        let expected = if *allowed == 1 { "once".into() } else { format!("{allowed} times at most") };
        self.add(format!("effects of {node}"), expected.into(), actual.into());
    }
}

/// The nodes that a run waits for.
fn waiting(seen: &Context) -> String {
    let has_ended = |status: NodeStatus| match status {
        NodeStatus::Succeeded | NodeStatus::Failed | NodeStatus::Skipped | NodeStatus::Cancelled => true,
        NodeStatus::Pending | NodeStatus::Queued | NodeStatus::Running | NodeStatus::Waiting => false,
    };
    let active = seen.nodes.iter().filter(|(_, node)| !has_ended(node.status));
    let told: Vec<_> = active.map(|(id, node)| format!("{id} is {}", node.status.as_str())).collect();
    if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) }
}

/// A node as an author names it: by its address where that is named, else without its branch.
fn named(node: &NodeAddress, names: &[String]) -> String {
    let address = node.to_string();
    if names.contains(&address) || names.iter().all(|name| name != node.node().as_str()) {
        return address;
    }
    node.node().to_string()
}

fn asset(id: &str, partition: Option<String>, payload: Option<&headwater_core::Json>) -> Value {
    let mut shown = json!({"assetId": id});
    if let Some(partition) = partition {
        shown["partitionKey"] = partition.into();
    }
    if let Some(payload) = payload {
        shown["payload"] = payload.to_value();
    }
    shown
}

/// A span as people write it: `2h 3m 4s`, `250ms`.
pub fn span(span: Duration) -> String {
    let ms = span.as_millis();
    let parts = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut left = ms;
    let mut shown = Vec::new();
    for (unit, size) in parts {
        if left / size > 0 {
            shown.push(format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}
