//! An expression as it is evaluated: names are resolved, macros are what they mean.

use super::functions::Function;
use super::keyed::By;
use super::operators::Operator;
use super::value::Kind;

/// A node of an expression.
#[derive(Debug)]
pub(in super::super) enum Term {
    Constant(Constant),
    /// The value at the path of a slot.
    Slot(usize),
    /// Whether there is one.
    Presence(usize),
    /// What time it is.
    Now,
    /// A variable of a loop: its place among those in scope, outermost first.
    Local(usize),
    Not(Box<Term>),
    Negate(Box<Term>),
    And(Box<[Term; 2]>),
    Or(Box<[Term; 2]>),
    Choose(Box<[Term; 3]>),
    Binary(Operator, Box<[Term; 2]>),
    /// `.a[b].?c`, from left to right.
    Steps(Box<Term>, Vec<Access>),
    /// `has(x.field)`.
    Has(Box<Term>, String),
    List(Vec<Item>),
    Map(Vec<Entry>),
    Call(Function, Vec<Term>),
    /// A function that exists, called in a way that it does not.
    Unfit(String, Vec<Term>),
    Loop(Box<Loop>),
    /// A variable and what is computed with it: `x.optMap(v, …)`.
    Let(Box<[Term; 2]>),
}

/// A value that stands in the source.
#[derive(Debug)]
pub(in super::super) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Kind(Kind),
}

/// One step into a value.
#[derive(Debug)]
pub(in super::super) enum Access {
    Field(String),
    Index(Term),
    /// `.?a`, `[?i]`: an optional.
    MaybeField(String),
    MaybeIndex(Term),
}

/// An item of a list; an optional one (`[?x]`) may be left out.
#[derive(Debug)]
pub(in super::super) struct Item {
    pub(in super::super) value: Term,
    pub(in super::super) optional: bool,
}

/// An entry of a map.
#[derive(Debug)]
pub(in super::super) struct Entry {
    pub(in super::super) key: Term,
    pub(in super::super) value: Term,
    pub(in super::super) optional: bool,
}

/// A macro that visits each item of a list, or each key of a map.
#[derive(Debug)]
pub(in super::super) struct Loop {
    pub(in super::super) range: Term,
    pub(in super::super) body: Body,
}

/// What is done with each.
#[derive(Debug)]
pub(in super::super) enum Body {
    All(Term),
    Exists(Term),
    ExistsOne(Term),
    /// `map(x, term)`, `map(x, filter, term)`, `filter(x, filter)`.
    Collect {
        filter: Option<Term>,
        item: Term,
    },
    /// `fold(acc, initial, item, result)`: two variables.
    Fold {
        initial: Term,
        result: Term,
    },
    /// `sortBy(item, key)` and its like.
    Keyed {
        by: By,
        key: Term,
    },
}
