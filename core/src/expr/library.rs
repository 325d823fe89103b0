//! The functions an expression may call: CEL's own, those for texts and numbers, and the engine's guards.
//!
//! None reads a clock, none is random, and what can multiply its input is charged against a budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelList, CelMap, CelMapKey, CelString, DYN_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError};

/// How many items all loops of one evaluation may visit together.
pub(super) const ITERATIONS_MAX: u64 = 100_000;

/// Lets a loop run: a list as it is, a map as the sorted list of its keys. Charged to the budget.
pub(super) const ITEMS: &str = "@items";
/// The variable that holds the budget of an evaluation.
pub(super) const BUDGET: &str = "@budget";

/// Names of types an expression may compare with: `type(input.x) == string`.
pub(super) const TYPES: [&str; 10] =
    ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

/// Names that may stand before a dot and a function.
pub(super) const NAMESPACES: [&str; 2] = ["math", "optional"];

const FUNCTIONS: [&str; 58] = [
    "bool",
    "bytes",
    "charAt",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "hasValue",
    "indexOf",
    "int",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "matches",
    "math.abs",
    "math.bitAnd",
    "math.bitNot",
    "math.bitOr",
    "math.bitShiftLeft",
    "math.bitShiftRight",
    "math.bitXor",
    "math.ceil",
    "math.floor",
    "math.greatest",
    "math.isFinite",
    "math.isInf",
    "math.isNaN",
    "math.least",
    "math.round",
    "math.sign",
    "math.sqrt",
    "math.trunc",
    "optional.none",
    "optional.of",
    "optional.ofNonZeroValue",
    "or",
    "orValue",
    "replace",
    "reverse",
    "size",
    "split",
    "startsWith",
    "string",
    "substring",
    "trim",
    "type",
    "uint",
    "upperAscii",
    "value",
    // What the macros and operators become.
    "@in",
    "@not_strictly_false",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "filter",
    "has",
    "map",
];

/// Returns whether there is such a function. Operators are functions with names like `_+_`.
pub(super) fn knows(function: &str) -> bool {
    FUNCTIONS.contains(&function) || function.starts_with('_') || function == "!_" || function == "-_"
}

/// The environment every expression is parsed and evaluated in; made once.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let added = [
        env.add_extension(cel::extensions::strings),
        env.add_extension(cel::extensions::math),
        env.add_overload(ITEMS, "@items(dyn,dyn)", vec![DYN_TYPE, DYN_TYPE], items),
    ];
    debug_assert!(added.iter().all(Result::is_ok), "the names are free: {added:?}");
    Arc::new(env)
});

/// What one evaluation may still spend; travels as a value because functions see nothing else.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicU64>);

static BUDGET_TYPE: Type = Type::new_unspecified_type("budget");

impl Budget {
    pub(super) fn full() -> Self {
        Self(Arc::new(AtomicU64::new(ITERATIONS_MAX)))
    }

    fn spend(&self, amount: u64) -> Result<(), ExecutionError> {
        let spent = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(amount));
        spent.map(|_| ()).map_err(|_| over_budget())
    }
}

fn over_budget() -> ExecutionError {
    ExecutionError::function_error("loop", format!("more than {ITERATIONS_MAX} items visited"))
}

impl Val for Budget {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }
    fn cel_type() -> &'static Type {
        &BUDGET_TYPE
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> Option<&dyn std::any::Any> {
        Some(self)
    }
}

impl StaticVal for Budget {}

fn items<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (Some(budget), Some(range)) = (args.pop(), args.pop()) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let visits = range.as_sizer().map_or(0, |sizer| u64::try_from(*sizer.size().inner()).unwrap_or(0));
    if let Some(budget) = budget.downcast_ref::<Budget>() {
        budget.spend(visits)?;
    }
    if range.downcast_ref::<CelList>().is_some() {
        return Ok(range);
    }
    let Some(map) = range.downcast_ref::<CelMap>() else {
        let got = range.get_type().name().to_owned();
        return Err(ExecutionError::UnexpectedType { got, want: "list or map".to_owned() });
    };
    // A hash map has no order of its own: without this the same input could give two results.
    let mut keys: Vec<&CelMapKey<'_>> = map.inner().keys().collect();
    keys.sort();
    let keys = keys.into_iter().map(|key| key.clone().into_static());
    Ok(CowVal::owned(CelList::from(keys.map(key_value).collect::<Vec<_>>())))
}

fn key_value<'v>(key: CelMapKey<'static>) -> Box<dyn Val + 'v> {
    match key {
        CelMapKey::Bool(key) => Box::new(key),
        CelMapKey::Int(key) => Box::new(key),
        CelMapKey::UInt(key) => Box::new(key),
        CelMapKey::String(key) => Box::new(CelString::from(key.inner().to_owned())),
    }
}
