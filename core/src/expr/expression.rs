//! One CEL expression, parsed once.

use std::cell::OnceCell;
use std::sync::{Arc, LazyLock};

use cel::{Env, IdedExpr};

use super::check::check_made;
use super::eval::{self, Fault, Machine, Slots, Term, Value};
use super::lower::{self, Lowered, Slot};
use super::path::{Found, Path, Root, Step};
use super::typing::{self, Seen, Verdict, Wanted};
use super::work::Meter;
use super::{EvaluationError, Scope, Work, source};
use crate::Json;

/// A parsed expression.
#[derive(Debug)]
pub struct Expression {
    source: String,
    plan: Plan,
    has_later_words: bool,
}

/// How it is evaluated.
#[derive(Debug)]
enum Plan {
    /// By taking a path, without building a value.
    Path(Path),
    Program {
        term: Term,
        slots: Vec<Slot>,
    },
}

/// What expressions are parsed in; made once. Only its parser and its macros are used.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let added = [env.add_extension(cel::extensions::strings), env.add_extension(cel::extensions::math)];
    debug_assert!(added.iter().all(Result::is_ok), "the names are free: {added:?}");
    Arc::new(env)
});

/// Says why a text is not an expression the engine takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ExpressionProblem {
    /// What is wrong, with the place where CEL can tell it.
    pub reason: String,
}

impl Expression {
    /// Parses a source of at most 4,096 bytes and 32 levels.
    ///
    /// # Errors
    /// Syntax errors, unknown variables and functions, a source over the limits.
    pub fn parse(text: &str) -> Result<Self, ExpressionProblem> {
        Self::parse_among(text, &[])
    }

    /// Parses a source that stands where these names are bound beside the variables there always are.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_among(text: &str, bound: &[String]) -> Result<Self, ExpressionProblem> {
        source::check(text)?;
        let parsed = parse(text, bound).map_err(|reason| ExpressionProblem { reason: with_dash_hint(text, reason) });
        let (plan, has_later_words) = parsed?;
        Ok(Self { source: text.trim().to_owned(), plan, has_later_words })
    }

    /// Checks a source as far as that can be done without knowing what it may name.
    ///
    /// # Errors
    /// Syntax errors, a source over the limits.
    pub(crate) fn check_grammar(text: &str) -> Result<(), ExpressionProblem> {
        source::check(text)?;
        parsed(text).map_err(|reason| ExpressionProblem { reason }).map(|_| ())
    }

    /// Returns the source, without white space around it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns whether it asks for something that releases before 0.2 do not know.
    pub(crate) fn has_later_words(&self) -> bool {
        self.has_later_words
    }

    /// Returns whether it certainly has no value, as far as schemas describe what it sees.
    pub(crate) fn verdict(&self, seen: &Seen<'_>, wanted: Wanted) -> Option<Verdict> {
        match &self.plan {
            Plan::Path(path) => typing::verdict(&Term::Slot(0), &[Slot::Value(path.clone())], seen, wanted),
            Plan::Program { term, slots } => typing::verdict(term, slots, seen, wanted),
        }
    }

    /// Returns the ids of the nodes whose output it names literally (`nodes.a.output`, `nodes["a"].output`).
    pub fn node_references(&self) -> Vec<String> {
        self.first_keys(Root::Nodes)
    }

    /// Returns the ids of the assets it names literally (`assets["id"].payload`).
    pub fn asset_references(&self) -> Vec<String> {
        self.first_keys(Root::Assets)
    }

    /// Returns the keys of the run's state it names literally (`state.k`).
    pub fn state_references(&self) -> Vec<String> {
        self.first_keys(Root::State)
    }

    /// Returns the keys of the run's input it names literally (`input.k`).
    pub fn input_references(&self) -> Vec<String> {
        self.first_keys(Root::Input)
    }

    /// Returns the variables it names, in order of appearance.
    pub(crate) fn roots(&self) -> Vec<String> {
        let mut roots: Vec<String> = Vec::new();
        for path in self.paths() {
            let name = match (path.root, path.steps.first()) {
                (Root::Bound, Some(Step::Key(name))) => name,
                (root, _) => root.name(),
            };
            if !roots.iter().any(|known| known == name) {
                roots.push(name.to_owned());
            }
        }
        roots
    }

    /// Evaluates to a JSON value, as the only thing a decision does: see [`Self::evaluate_within`].
    ///
    /// # Errors
    /// As [`Self::evaluate_within`].
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Json, EvaluationError> {
        self.evaluate_within(scope, &Work::of_a_decision())
    }

    /// Evaluates to a JSON value. A plain path costs a scan of what lies on the way; a whole value a reference count.
    ///
    /// # Errors
    /// A missing key, a type error, an overflow: the reason in words. A limit of the expression or of the decision.
    pub fn evaluate_within(&self, scope: &Scope<'_>, work: &Work) -> Result<Json, EvaluationError> {
        let meter = Meter::of(work);
        let result = match &self.plan {
            Plan::Path(path) => take(path, scope, &meter).map(Found::into_json),
            Plan::Program { term, slots } => run(term, slots, scope, &meter, |value| eval::write(value, &meter)),
        };
        result.map_err(|fault| self.error(fault))
    }

    /// Evaluates to the text of a JSON value that nobody keeps: as [`Self::evaluate_within`], without a copy for a path.
    ///
    /// # Errors
    /// As [`Self::evaluate_within`].
    pub(super) fn with_text<T>(
        &self,
        scope: &Scope<'_>,
        work: &Work,
        look: impl FnOnce(&str) -> T,
    ) -> Result<T, EvaluationError> {
        let meter = Meter::of(work);
        match &self.plan {
            Plan::Path(path) => {
                take(path, scope, &meter).map(|found| look(found.text())).map_err(|fault| self.error(fault))
            }
            Plan::Program { .. } => self.evaluate_within(scope, work).map(|json| look(json.as_str())),
        }
    }

    /// Evaluates to a truth value, as the only thing a decision does: see [`Self::holds_within`].
    ///
    /// # Errors
    /// As [`Self::holds_within`].
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, EvaluationError> {
        self.holds_within(scope, &Work::of_a_decision())
    }

    /// Evaluates to a truth value.
    ///
    /// # Errors
    /// As [`Self::evaluate_within`]; a value other than `true` or `false` is an error too.
    pub fn holds_within(&self, scope: &Scope<'_>, work: &Work) -> Result<bool, EvaluationError> {
        let meter = Meter::of(work);
        let result = match &self.plan {
            Plan::Path(path) => path.resolve(scope, &meter).and_then(|found| match found.text() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(Fault::new("the value is not true or false")),
            }),
            Plan::Program { term, slots } => run(term, slots, scope, &meter, |value| match value {
                Value::Bool(truth) => Ok(*truth),
                other => Err(Fault::new(format!("the result is of the type {}, not true or false", other.kind_name()))),
            }),
        };
        result.map_err(|fault| self.error(fault))
    }

    fn paths(&self) -> Box<dyn Iterator<Item = &Path> + '_> {
        match &self.plan {
            Plan::Path(path) => Box::new(std::iter::once(path)),
            Plan::Program { slots, .. } => Box::new(slots.iter().map(Slot::path)),
        }
    }

    /// The distinct first steps below a variable, in order of appearance.
    fn first_keys(&self, root: Root) -> Vec<String> {
        let mut keys = Vec::new();
        for path in self.paths() {
            if let (true, Some(Step::Key(key))) = (path.root == root, path.steps.first())
                && !keys.contains(key)
            {
                keys.push(key.clone());
            }
        }
        keys
    }

    fn error(&self, fault: Fault) -> EvaluationError {
        let (reason, limit) = fault.into_parts();
        EvaluationError { source_text: self.source.chars().take(200).collect(), reason, limit }
    }
}

/// Takes what stands at a path, to be handed on.
fn take<'a>(path: &Path, scope: &Scope<'a>, meter: &Meter<'_>) -> Result<Found<'a>, Fault> {
    let found = path.resolve(scope, meter)?;
    match &found {
        Found::Whole(_) => {}
        Found::Part(raw) => meter.scan(raw.get().len())?,
        Found::Made(json) => {
            meter.scan(json.len_bytes())?;
            check_made(json.as_str())?;
        }
    }
    Ok(found)
}

fn run<T>(
    term: &Term,
    slots: &[Slot],
    scope: &Scope<'_>,
    meter: &Meter<'_>,
    finish: impl FnOnce(&Value<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let found = slots.iter().map(|_| OnceCell::new()).collect();
    let bound = Bound { slots, scope, found };
    finish(&Machine::new(&bound, slots.len(), meter).evaluate(term)?)
}

/// The slots of an expression, cut out of a scope when they are first used.
struct Bound<'e, 'r> {
    slots: &'e [Slot],
    scope: &'e Scope<'r>,
    found: Vec<OnceCell<Found<'r>>>,
}

impl<'s, 'r: 's> Slots<'s> for Bound<'s, 'r> {
    fn text(&'s self, slot: usize, meter: &Meter<'_>) -> Result<&'s str, Fault> {
        if let Some(found) = self.found[slot].get() {
            return Ok(found.text());
        }
        let found = self.slots[slot].path().resolve(self.scope, meter)?;
        Ok(self.found[slot].get_or_init(|| found).text())
    }

    fn now(&'s self) -> eval::Moment {
        self.scope.now.into()
    }

    fn is_present(&'s self, slot: usize, meter: &Meter<'_>) -> Result<bool, Fault> {
        match self.slots[slot].path().resolve(self.scope, meter) {
            Ok(_) => Ok(true),
            Err(fault) if fault.is_limit() => Err(fault),
            Err(_) => Ok(false),
        }
    }
}

fn parsed(text: &str) -> Result<IdedExpr, String> {
    if text.trim().is_empty() {
        return Err("the expression is empty".to_owned());
    }
    ENVIRONMENT.parser().parse(text).map_err(|errors| match errors.errors.first() {
        Some(error) => format!("not an expression: {} (column {})", error.msg, error.pos.1),
        None => "not an expression".to_owned(),
    })
}

/// Returns how it is evaluated, and whether it asks for something that releases before 0.2 do not know.
fn parse(text: &str, bound: &[String]) -> Result<(Plan, bool), String> {
    let Lowered { term, mut slots, has_later_words } = lower::lower(&parsed(text)?, bound)?;
    let has_later_words = has_later_words || slots.iter().any(|slot| slot.path().has_later_words());
    let plan = match (&term, slots.pop()) {
        (Term::Slot(0), Some(Slot::Value(path))) if slots.is_empty() => Plan::Path(path),
        (_, last) => {
            slots.extend(last);
            Plan::Program { term, slots }
        }
    };
    Ok((plan, has_later_words))
}

/// CEL reads `nodes.zip-report.output` as a subtraction; says how such a name is written.
fn with_dash_hint(text: &str, reason: String) -> String {
    for (root, _) in Root::ALL {
        for (at, _) in text.match_indices(&format!("{root}.")) {
            let rest = &text[at + root.len() + 1..];
            let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').next().unwrap_or("");
            let dashed = name.split('-').count() > 1 && name.split('-').all(|part| !part.is_empty());
            if dashed {
                return format!("{reason}; a name with dashes is written `{root}[\"{name}\"]`");
            }
        }
    }
    reason
}
