//! Plain paths (`input.a.b`, `nodes["x"].output.y`): the commonest expressions, taken without evaluating.
//!
//! A path is resolved by slicing JSON text; only what lies on the way is scanned, and nothing is built.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::eval::Fault;
use super::work::Meter;
use super::{ConsumedAsset, Scope};
use crate::Json;

/// A variable an expression may start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Root {
    Input,
    State,
    Nodes,
    Assets,
    Error,
    Run,
    Trigger,
    /// What a body or a merge has bound; the first step is its name.
    Bound,
}

impl Root {
    pub(super) const ALL: [(&'static str, Self); 7] = [
        ("input", Self::Input),
        ("state", Self::State),
        ("nodes", Self::Nodes),
        ("assets", Self::Assets),
        ("error", Self::Error),
        ("run", Self::Run),
        ("trigger", Self::Trigger),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, root)| *root)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, root)| *root == self).map_or("", |(name, _)| *name)
    }
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A variable and the literal steps below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) root: Root,
    pub(super) steps: Vec<Step>,
}

/// What stands at a path.
pub(super) enum Found<'a> {
    /// A whole value of the run: costs a reference count.
    Whole(&'a Json),
    /// A piece of one.
    Part(&'a RawValue),
    /// Made for the occasion: small things like `error`.
    Made(Json),
}

impl Found<'_> {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Whole(json) => json.as_str(),
            Self::Part(raw) => raw.get(),
            Self::Made(json) => json.as_str(),
        }
    }

    pub(super) fn into_json(self) -> Json {
        match self {
            Self::Whole(json) => json.clone(),
            Self::Part(raw) => Json::checked(raw),
            Self::Made(json) => json,
        }
    }
}

impl Path {
    /// What there is of a node beside its output: words and numbers, with nothing below them.
    const NODE_WORDS: [&str; 2] = ["status", "attempts"];

    /// Checks what is asked of a node.
    ///
    /// # Errors
    /// What there is to ask, in words.
    pub(super) fn check_of_node(&self) -> Result<(), String> {
        match self.steps.as_slice() {
            [Step::Key(_), Step::Key(output), ..] if output == "output" => Ok(()),
            [Step::Key(_), Step::Key(word)] if Self::NODE_WORDS.contains(&word.as_str()) => Ok(()),
            [Step::Key(_), Step::Key(error), ..] if error == "error" => Ok(()),
            [Step::Key(id), ..] => {
                Err(format!("of `nodes[{id:?}]` there are `.output`, `.status`, `.attempts` and `.error`"))
            }
            _ => {
                let how =
                    "`nodes` needs the id of a node, written out: `nodes.<id>.output` or `nodes[\"<id>\"].output`";
                Err(how.to_owned())
            }
        }
    }

    /// Returns whether releases before 0.2 do not know it.
    pub(super) fn has_later_words(&self) -> bool {
        match (self.root, self.steps.as_slice()) {
            (Root::Nodes, [_, Step::Key(word)]) if Self::NODE_WORDS.contains(&word.as_str()) => true,
            (Root::Nodes, [_, Step::Key(word), ..]) => word == "error",
            (Root::Run, [Step::Key(word), ..]) => word == "status",
            (Root::Bound, _) => true,
            (Root::Error, [Step::Key(word), ..]) => word == "details",
            (Root::Nodes | Root::Input | Root::State | Root::Assets | Root::Error | Root::Run | Root::Trigger, _) => {
                false
            }
        }
    }

    /// Takes the path in a scope; the fault says what is missing where. Charged for the text on the way.
    pub(super) fn resolve<'a>(&self, scope: &Scope<'a>, meter: &Meter<'_>) -> Result<Found<'a>, Fault> {
        meter.charge(1)?;
        let (base, used) = self.base(scope, meter)?;
        if used == self.steps.len() {
            return Ok(base);
        }
        match base {
            Found::Whole(json) => self.descend(json.as_str(), used, meter).map(Found::Part),
            Found::Part(raw) => self.descend(raw.get(), used, meter).map(Found::Part),
            Found::Made(json) => self.descend(json.as_str(), used, meter).map(|raw| Found::Made(Json::checked(raw))),
        }
    }

    /// Finds the value of the run the path leads into, and how many steps that took. What is made is charged first.
    fn base<'a>(&self, scope: &Scope<'a>, meter: &Meter<'_>) -> Result<(Found<'a>, usize), Fault> {
        match (self.root, self.steps.as_slice()) {
            (Root::Input, _) => Ok((Found::Whole(scope.input), 0)),
            (Root::Run, _) => Ok((Found::Whole(scope.facts.run()), 0)),
            (Root::Trigger, _) => Ok((Found::Whole(scope.facts.trigger()), 0)),
            (Root::Bound, [Step::Key(name), ..]) => match scope.bound.iter().find(|(known, _)| known == name) {
                Some((_, value)) => Ok((Found::Whole(value), 1)),
                None => Err(Fault::new(format!("there is no `{name}` here"))),
            },
            (Root::Bound, _) => Err(Fault::new("what is bound has a name")),
            (Root::State, [Step::Key(key), ..]) => match scope.state.get(key.as_str()) {
                Some(value) => Ok((Found::Whole(value), 1)),
                None => Err(Fault::new(format!("there is no key `{key}` in `state`"))),
            },
            (Root::State, _) => {
                meter.charge(scope.state.len() as u64)?;
                meter.keep(scope.state.iter().map(|(key, value)| key.len() + value.len_bytes()).sum())?;
                Ok((Found::Made(Json::of(scope.state)), 0))
            }
            (Root::Nodes, [Step::Key(id), Step::Key(word), ..]) if word == "output" => match (scope.output)(id) {
                Some(output) => Ok((Found::Whole(output), 2)),
                None => Err(Fault::new(format!("node `{id}` has no output here"))),
            },
            (Root::Nodes, [Step::Key(id), Step::Key(word), ..]) if word == "error" => {
                let failure = (scope.standing)(id).and_then(|standing| standing.error);
                let failure = failure.ok_or_else(|| Fault::new(format!("node `{id}` has not failed")))?;
                meter.keep(2 * failure.message.len())?;
                Ok((Found::Made(Json::of(failure)), 2))
            }
            (Root::Nodes, [Step::Key(id), Step::Key(word)]) => {
                let standing = (scope.standing)(id).ok_or_else(|| Fault::new(format!("there is no node `{id}`")))?;
                match word.as_str() {
                    "status" => Ok((Found::Made(Json::of(&standing.status)), 2)),
                    "attempts" => Ok((Found::Made(Json::of(&standing.attempts)), 2)),
                    _ => Err(Fault::new(format!("there is no `{word}` of a node"))),
                }
            }
            (Root::Nodes, _) => Err(Fault::new("`nodes` needs the id of a node and `.output`")),
            (Root::Assets, [Step::Key(id), rest @ ..]) => {
                meter.charge(scope.assets.len() as u64 / 2)?;
                let consumed = scope.assets.iter().find(|c| c.asset.as_str().eq_ignore_ascii_case(id));
                let consumed = consumed.ok_or_else(|| Fault::new(format!("asset `{id}` has no version here")))?;
                match rest {
                    [Step::Key(key), ..] if key == "payload" => Ok((Found::Whole(&consumed.payload), 2)),
                    _ => {
                        meter.keep(consumed.payload.len_bytes())?;
                        Ok((Found::Made(described(consumed)), 1))
                    }
                }
            }
            (Root::Assets, _) => {
                meter.charge(20 * scope.assets.len() as u64)?;
                meter.keep(scope.assets.iter().map(|consumed| 3 * consumed.payload.len_bytes()).sum())?;
                let all = scope.assets.iter().map(|c| (c.asset.as_str().to_owned(), described(c)));
                Ok((Found::Made(Json::of(&all.collect::<std::collections::BTreeMap<_, _>>())), 0))
            }
            (Root::Error, _) => match scope.error {
                Some(failure) => {
                    meter.keep(2 * failure.len_bytes())?;
                    Ok((Found::Made(Json::of(failure)), 0))
                }
                None => Err(Fault::new(
                    "there is no `error` here: it exists in conditions of `on: failure` transitions and of retry rules",
                )),
            },
        }
    }

    fn descend<'t>(&self, text: &'t str, from: usize, meter: &Meter<'_>) -> Result<&'t RawValue, Fault> {
        let mut text = text;
        let mut found = None;
        for (at, step) in self.steps.iter().enumerate().skip(from) {
            let sliced = slice(text, step);
            // What lies before the piece, and the piece itself, were scanned; without a piece it was everything.
            let scanned = match &sliced {
                Ok(raw) => raw.get().as_ptr() as usize - text.as_ptr() as usize + raw.get().len(),
                Err(_) => text.len(),
            };
            meter.charge(2)?;
            meter.scan(scanned)?;
            let raw = sliced.map_err(|miss| Fault::new(self.explain(at, step, miss)))?;
            text = raw.get();
            found = Some(raw);
        }
        found.ok_or_else(|| Fault::new(format!("`{self}` leads nowhere")))
    }

    fn explain(&self, at: usize, step: &Step, miss: Miss) -> String {
        let parent = Self { root: self.root, steps: self.steps[..at].to_vec() };
        match (step, miss) {
            (Step::Key(key), Miss::Absent) => format!("there is no key `{key}` in `{parent}`"),
            (Step::Index(index), Miss::Absent) => format!("`{parent}` has no item {index}"),
            (Step::Key(key), Miss::Kind(kind)) => format!("`{parent}` is {kind}: it has no key `{key}`"),
            (Step::Index(index), Miss::Kind(kind)) => format!("`{parent}` is {kind}: it has no item {index}"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.root.name())?;
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Key(name) if self.root == Root::Bound && at == 0 => f.write_str(name)?,
                Step::Key(key) if is_identifier(key) => write!(f, ".{key}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn is_identifier(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// `{payload, version, partitionKey}`: an asset as expressions see it.
fn described(consumed: &ConsumedAsset) -> Json {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Described<'a> {
        payload: &'a Json,
        version: crate::Version,
        partition_key: &'a Option<crate::PartitionKey>,
    }
    Json::of(&Described { payload: &consumed.payload, version: consumed.version, partition_key: &consumed.partition })
}

/// Why a step leads nowhere.
enum Miss {
    Absent,
    Kind(&'static str),
}

/// Cuts one member out of an object or array, without building either.
fn slice<'t>(text: &'t str, step: &Step) -> Result<&'t RawValue, Miss> {
    let mut found = None;
    let mut kind = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let cut = Cut { step, found: &mut found, kind: &mut kind };
    // The walk stops early at a hit, which serde reports as an error: the hit counts.
    let _ = reader.deserialize_any(cut);
    match (found, kind) {
        (Some(raw), _) => Ok(raw),
        (None, Some(kind)) => Err(Miss::Kind(kind)),
        (None, None) => Err(Miss::Absent),
    }
}

struct Cut<'s, 't> {
    step: &'s Step,
    found: &'s mut Option<&'t RawValue>,
    kind: &'s mut Option<&'static str>,
}

impl<'t> Cut<'_, 't> {
    fn is<E>(self, kind: &'static str) -> Result<(), E> {
        *self.kind = Some(kind);
        Ok(())
    }
}

impl<'t> Visitor<'t> for Cut<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.is("a truth value")
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.is("a number")
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.is("a number")
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.is("a number")
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.is("a text")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.is("null")
    }
    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<(), A::Error> {
        let Step::Index(index) = self.step else { return self.is("an array") };
        for _ in 0..*index {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        *self.found = items.next_element()?;
        Ok(())
    }
    fn visit_map<A: MapAccess<'t>>(self, mut entries: A) -> Result<(), A::Error> {
        let Step::Key(key) = self.step else { return self.is("an object") };
        while let Some(hit) = entries.next_key_seed(IsKey(key))? {
            if hit {
                *self.found = Some(entries.next_value()?);
                return Ok(());
            }
            entries.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Compares a key without keeping it.
struct IsKey<'k>(&'k str);

impl<'t> DeserializeSeed<'t> for IsKey<'_> {
    type Value = bool;
    fn deserialize<D: serde::Deserializer<'t>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}
