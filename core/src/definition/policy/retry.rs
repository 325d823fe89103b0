//! How often failed attempts are tried again, after how long, and for which failures it is otherwise.

use std::time::Duration;

use serde_json::{Value, json};

use super::{TIMEOUT_MIN, time};
use crate::definition::ProblemCode;
use crate::definition::document::{Field, Fields};
use crate::definition::template::{Use, condition};
use crate::expr::Expression;

/// The most tries a document may ask for, other than `unlimited`.
const ATTEMPTS_MAX: u64 = 10_000;
/// The most error codes that one list names.
const CODES_MAX: usize = 100;
/// The most rules that a retry policy has.
const RULES_MAX: usize = 32;

/// How failures of attempts are tried again.
#[derive(Debug, Default)]
pub struct RetryPolicy {
    /// Where no rule says otherwise.
    pub pace: Pace,
    /// Error codes that are not tried again, whatever the rules say.
    pub non_retryable: Vec<String>,
    /// The first that is about a failure says how it is tried again.
    pub rules: Vec<RetryRule>,
    /// Nothing is tried again that would begin later than this after the first attempt was scheduled. Default: no bound.
    pub duration_max: Option<Duration>,
}

impl RetryPolicy {
    /// One try.
    pub fn once() -> Self {
        Self { pace: Pace { attempts_max: Some(1), ..Pace::default() }, ..Self::default() }
    }
}

/// What is otherwise for some failures.
#[derive(Debug)]
pub struct RetryRule {
    pub of: Failures,
    /// What the rule does not say is that of the policy.
    pub pace: Pace,
}

/// Which failures a rule is about.
#[derive(Debug)]
pub enum Failures {
    /// Those with one of these codes.
    Codes(Vec<String>),
    /// Those for which this holds. It has no value: it does not hold.
    When(Expression),
}

/// How many tries, and how far apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Tries of the node in all, at least 1. Default 3. `None`: without end, only where the document says so.
    pub attempts_max: Option<u32>,
    pub backoff: Backoff,
    /// Before the second try. Default 1 s.
    pub delay: Duration,
    /// No delay is longer. Default 5 min.
    pub delay_max: Duration,
    pub jitter: Jitter,
}

impl RetryPolicy {
    /// How it is where a document does not say: a group is not tried again.
    pub(in crate::definition) fn by_default(is_group: bool) -> Self {
        let mut policy = Self::default();
        if is_group {
            policy.pace.attempts_max = Some(1);
        }
        policy
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            attempts_max: Some(3),
            backoff: Backoff::Exponential,
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(300),
            jitter: Jitter::Full,
        }
    }
}

/// How delays between tries grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    None,
    Fixed,
    Linear,
    Exponential,
}

/// How delays are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// Exactly the computed delay.
    None,
    /// Between half of the delay and all of it.
    Full,
}

impl RetryPolicy {
    /// Returns whether it says something that releases before 0.2 do not know.
    pub(in crate::definition) fn has_later_words(&self) -> bool {
        !self.rules.is_empty() || self.duration_max.is_some()
    }
}

/// Reads `retry`; `uses` gets what the conditions of its rules name.
pub(in crate::definition) fn read(node: &mut Fields<'_>, uses: &mut Vec<Use>) -> Option<RetryPolicy> {
    let field = node.take(&["retry", "retryPolicy"])?;
    let like = |given: &Value| given.is_u64().then(|| format!("{{maxAttempts: {given}}}"));
    let mut fields = field.fields_like(like)?;
    let mut policy = RetryPolicy { pace: pace(&mut fields, Pace::default()), ..RetryPolicy::default() };
    if let Some(field) = fields.take(&["nonRetryable"]) {
        policy.non_retryable = codes(&field);
        fields.keep("nonRetryable", json!(policy.non_retryable));
    }
    policy.duration_max = time(&mut fields, &["maxDurationMs", "maxDuration"], TIMEOUT_MIN);
    if let Some(field) = fields.take(&["rules"]) {
        let (rules, source) = rules(&field, &policy, uses);
        policy.rules = rules;
        if !source.is_empty() {
            fields.keep("rules", Value::Array(source));
        }
    }
    let source = fields.finish();
    node.keep("retry", Value::Object(source));
    Some(policy)
}

/// Reads how many tries there are and how far apart; what is not said is as `base` says.
fn pace(fields: &mut Fields<'_>, base: Pace) -> Pace {
    let mut pace = base;
    if let Some(field) = fields.take(&["maxAttempts"]) {
        if field.value.as_str() == Some("unlimited") {
            pace.attempts_max = None;
            fields.keep("maxAttempts", json!("unlimited"));
        } else if let Some(attempts) = field.number(1, ATTEMPTS_MAX) {
            pace.attempts_max = Some(attempts as u32);
            fields.keep("maxAttempts", json!(attempts));
        }
    }
    if let Some(field) = fields.take(&["backoff", "strategy"]) {
        let words = [
            ("none", Backoff::None),
            ("fixed", Backoff::Fixed),
            ("linear", Backoff::Linear),
            ("exponential", Backoff::Exponential),
        ];
        if let Some(backoff) = field.word(&words) {
            pace.backoff = backoff;
            fields.keep("backoff", field.value.clone());
        }
    }
    if let Some(delay) = time(fields, &["delayMs", "delay", "initialDelayMs", "initialDelay"], Duration::ZERO) {
        pace.delay = delay;
    }
    match time(fields, &["maxDelayMs", "maxDelay"], Duration::ZERO) {
        Some(delay_max) if delay_max < pace.delay => {
            fields.error(ProblemCode::InvalidValue, "the first delay is longer than the longest (`maxDelayMs`)");
        }
        Some(delay_max) => pace.delay_max = delay_max,
        None => pace.delay_max = pace.delay_max.max(pace.delay),
    }
    if let Some(field) = fields.take(&["jitter"]) {
        let jitter = match field.value {
            Value::Bool(true) => Some(Jitter::Full),
            Value::Bool(false) => Some(Jitter::None),
            _ => field.word(&[("none", Jitter::None), ("full", Jitter::Full)]),
        };
        if let Some(jitter) = jitter {
            pace.jitter = jitter;
            fields.keep("jitter", json!(if jitter == Jitter::Full { "full" } else { "none" }));
        }
    }
    pace
}

fn rules(field: &Field<'_>, policy: &RetryPolicy, uses: &mut Vec<Use>) -> (Vec<RetryRule>, Vec<Value>) {
    let items = field.items();
    if !field.at_most(RULES_MAX, items.len(), "rules", "name several codes in one rule") {
        return (Vec::new(), Vec::new());
    }
    let (mut rules, mut source) = (Vec::new(), Vec::new());
    // What is settled before a rule is asked, and where.
    let mut settled: Vec<(String, &str)> =
        policy.non_retryable.iter().map(|code| (code.clone(), "`nonRetryable` names it")).collect();
    for item in &items {
        let Some(mut fields) = item.fields() else { continue };
        let of = failures(&mut fields, &mut settled, uses);
        let pace = pace(&mut fields, policy.pace.clone());
        source.push(Value::Object(fields.finish()));
        rules.extend(of.map(|of| RetryRule { of, pace }));
    }
    (rules, source)
}

/// Reads which failures a rule is about: exactly one of `codes` and `when`.
fn failures(fields: &mut Fields<'_>, settled: &mut Vec<(String, &str)>, uses: &mut Vec<Use>) -> Option<Failures> {
    match (fields.take(&["codes"]), fields.take(&["when"])) {
        (Some(field), None) => {
            let codes = codes(&field);
            if field.value.as_array().is_some_and(Vec::is_empty) {
                field.error(ProblemCode::InvalidValue, "a rule without a code is about no failure");
            }
            for (position, code) in codes.iter().enumerate() {
                if let Some((_, why)) = settled.iter().find(|(known, _)| known == code) {
                    let at = format!("{}/{position}", field.at);
                    field.findings().warning(&at, ProblemCode::InvalidValue, format!("has no effect: {why}"));
                }
            }
            settled.extend(codes.iter().map(|code| (code.clone(), "a rule before this one names it")));
            fields.keep("codes", json!(codes));
            Some(Failures::Codes(codes))
        }
        (None, Some(field)) => {
            let (expression, used) = condition(&field)?;
            fields.keep("when", json!(expression.source()));
            uses.push(used);
            Some(Failures::When(expression))
        }
        (Some(_), Some(_)) | (None, None) => {
            let message = "a rule says which failures it is about by `codes` or by `when`: exactly one of both";
            fields.error(ProblemCode::InvalidValue, message);
            None
        }
    }
}

/// Reads a list of error codes.
pub(super) fn codes(field: &Field<'_>) -> Vec<String> {
    let items = field.items();
    field.at_most(CODES_MAX, items.len(), "codes", "let the handler say which failures are permanent");
    items.iter().filter_map(|item| item.text().map(str::to_owned)).collect()
}
