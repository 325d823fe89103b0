//! The functions an expression may call: CEL's own, those for texts and numbers, and the engine's guards.
//!
//! None reads a clock, none is random, and what can multiply its input is charged against a budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelInt, CelList, CelMap, CelMapKey, CelString, DYN_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError};

/// How many items all loops of one evaluation may visit together.
pub(super) const ITERATIONS_MAX: u64 = 100_000;

/// How much all values made in one evaluation may weigh together.
pub(super) const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Lets a loop run: a list as it is, a map as the sorted list of its keys. Charged to the budget.
pub(super) const ITEMS: &str = "@items";
/// Lets a value be kept: charged to the budget by weight.
pub(super) const KEEP: &str = "@keep";
/// `join` and `replace`, whose results can be far larger than what goes in: charged before they are made.
pub(super) const GUARDED: [(&str, &str); 2] = [("join", "@join"), ("replace", "@replace")];
/// The variable that holds the budget of an evaluation.
pub(super) const BUDGET: &str = "@budget";

/// Names of types an expression may compare with: `type(input.x) == string`.
pub(super) const TYPES: [&str; 10] =
    ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

/// Names that may stand before a dot and a function.
pub(super) const NAMESPACES: [&str; 2] = ["math", "optional"];

/// Everything that can be called by name, after macros are expanded (`math.greatest` becomes `math.@max`).
const FUNCTIONS: [&str; 51] = [
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
    "math.@max",
    "math.@min",
    "math.abs",
    "math.bitAnd",
    "math.bitNot",
    "math.bitOr",
    "math.bitShiftLeft",
    "math.bitShiftRight",
    "math.bitXor",
    "math.ceil",
    "math.floor",
    "math.isFinite",
    "math.isInf",
    "math.isNaN",
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
    "@in",
    "@not_strictly_false",
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
        env.add_overload(ITEMS, "@items", any(2), items),
        env.add_overload(KEEP, "@keep", any(2), keep),
        env.add_overload("@join", "@join_1", any(2), join),
        env.add_overload("@join", "@join_2", any(3), join),
        env.add_overload("@replace", "@replace_3", any(4), replace),
        env.add_overload("@replace", "@replace_4", any(5), replace),
    ];
    debug_assert!(added.iter().all(Result::is_ok), "the names are free: {added:?}");
    Arc::new(env)
});

/// So many arguments of whatever types.
fn any(count: usize) -> Vec<Type> {
    (0..count).map(|_| DYN_TYPE).collect()
}

/// What one evaluation may still spend; travels as a value because functions see nothing else.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Left>);

#[derive(Debug)]
struct Left {
    iterations: AtomicU64,
    bytes: AtomicU64,
}

static BUDGET_TYPE: Type = Type::new_unspecified_type("budget");

impl Budget {
    pub(super) fn full() -> Self {
        Self(Arc::new(Left { iterations: AtomicU64::new(ITERATIONS_MAX), bytes: AtomicU64::new(BYTES_MAX) }))
    }

    fn iterate(&self, items: u64) -> Result<(), ExecutionError> {
        let reason = || format!("more than {ITERATIONS_MAX} items visited");
        spend(&self.0.iterations, items).map_err(|()| ExecutionError::function_error("loop", reason()))
    }

    fn weigh(&self, bytes: usize) -> Result<(), ExecutionError> {
        let reason = || format!("the values made here weigh more than {BYTES_MAX} bytes");
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        spend(&self.0.bytes, bytes).map_err(|()| ExecutionError::function_error("memory", reason()))
    }
}

fn spend(left: &AtomicU64, amount: u64) -> Result<(), ()> {
    let spent = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(amount));
    spent.map(|_| ()).map_err(|_| ())
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

/// What a function gets: its arguments, and the budget that stands last.
fn charged<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<(Vec<CowVal<'b, 'v>>, Budget), ExecutionError> {
    let budget = args.pop().and_then(|budget| budget.downcast_ref::<Budget>().cloned());
    budget.map(|budget| (args, budget)).ok_or_else(ExecutionError::missing_argument_or_target)
}

fn keep<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (mut args, budget) = charged(args)?;
    let value = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    budget.weigh(weight(&*value))?;
    Ok(value)
}

/// About how many bytes a value takes.
fn weight(value: &dyn Val) -> usize {
    const EACH: usize = 32;
    if let Some(text) = value.downcast_ref::<CelString>() {
        return EACH + text.inner().len();
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        return EACH + list.inner().iter().map(|item| weight(item.as_ref())).sum::<usize>();
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        return EACH + map.inner().iter().map(|(key, item)| weight(key.inner()) + weight(item.as_ref())).sum::<usize>();
    }
    EACH
}

fn text_of<'a>(function: &str, args: &'a [CowVal<'_, '_>], at: usize) -> Result<&'a str, ExecutionError> {
    let text = args.get(at).and_then(|arg| arg.downcast_ref::<CelString>());
    text.map(CelString::inner).ok_or_else(|| {
        let types = args.iter().map(|arg| arg.get_type().name().to_owned()).collect();
        ExecutionError::no_such_member_overload(function, types)
    })
}

fn join<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (args, budget) = charged(args)?;
    let separator = if args.len() > 1 { text_of("join", &args, 1)? } else { "" };
    let list = args.first().and_then(|list| list.downcast_ref::<CelList>());
    let pieces: Option<Vec<&str>> = list.and_then(|list| {
        list.inner().iter().map(|item| item.downcast_ref::<CelString>().map(CelString::inner)).collect()
    });
    let pieces = pieces.ok_or_else(|| ExecutionError::function_error("join", "takes a list of texts"))?;
    let separators = separator.len().saturating_mul(pieces.len().saturating_sub(1));
    budget.weigh(pieces.iter().map(|piece| piece.len()).sum::<usize>().saturating_add(separators))?;
    Ok(CowVal::owned(CelString::from(pieces.join(separator))))
}

fn replace<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (args, budget) = charged(args)?;
    let (text, from) = (text_of("replace", &args, 0)?, text_of("replace", &args, 1)?);
    let to = text_of("replace", &args, 2)?;
    let limit = match args.get(3).map(|limit| limit.downcast_ref::<CelInt>()) {
        None => usize::MAX,
        Some(Some(limit)) => usize::try_from(*limit.inner()).unwrap_or(usize::MAX),
        Some(None) => return Err(ExecutionError::function_error("replace", "takes a number of times last")),
    };
    let times = text.matches(from).count().min(limit);
    budget.weigh(times.saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(CowVal::owned(CelString::from(text.replacen(from, to, limit))))
}

fn items<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (mut args, budget) = charged(args)?;
    let range = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let visits = range.as_sizer().map_or(0, |sizer| u64::try_from(*sizer.size().inner()).unwrap_or(0));
    budget.iterate(visits)?;
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
