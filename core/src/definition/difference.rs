//! What lies between two versions of a definition: node by node, never line by line.

mod breaking;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::document::escaped;
use super::listed::{self, Listed};
use crate::Json;

pub use breaking::Breaking;

/// The most changes that are told; breaking ones are told whatever there are.
const CHANGES_MAX: usize = 500;
/// The longest value that is told, in bytes of JSON.
const VALUE_BYTES_MAX: usize = 2048;

/// What lies between two versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Of the header, of schemas, of nodes in the order of their ids, of transitions; at most 500.
    pub changes: Vec<Change>,
    /// How many changes there are beyond these.
    pub left_out: usize,
    /// What callers and consumers cannot do any more as they did, as far as can be told simply; at most 100.
    pub breaking: Vec<Breaking>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    #[serde(flatten)]
    pub of: Subject,
    pub change: ChangeKind,
    /// Of something that is there in both: which part of it, as a JSON Pointer into it; else empty.
    pub path: String,
    /// What stood there; `None` also where that was nothing, or is too long to be told.
    pub old: Option<Json>,
    pub new: Option<Json>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub enum Subject {
    /// What stands around the nodes; the path begins at the document.
    Header,
    /// `inputSchema`, `stateSchema` or `outputSchema`; the path begins at the document.
    Schema,
    /// `within`: the node in whose body it is.
    Node {
        node: String,
        within: Option<String>,
    },
    Transition {
        from: String,
        to: String,
        on: String,
    },
}

/// How it has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    Added,
    Removed,
    Changed,
}

const SCHEMAS: [&str; 3] = ["inputSchema", "stateSchema", "outputSchema"];

/// Compares two canonical documents ([`super::Definition::source`]).
pub fn difference(old: &Json, new: &Json) -> Difference {
    let (old, new) = (old.to_value(), new.to_value());
    let (before, after) = (Parts::of(&old), Parts::of(&new));
    let mut told = Told::default();
    let header = |part: &Map<String, Value>, is_schema| -> Map<String, Value> {
        let of_schemas = |name: &String| SCHEMAS.contains(&name.as_str()) == is_schema;
        part.iter().filter(|(name, _)| of_schemas(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    for (of, is_schema) in [(Subject::Header, false), (Subject::Schema, true)] {
        told.fields(&of, "", &header(&before.header, is_schema), &header(&after.header, is_schema));
    }
    for id in before.nodes.keys().chain(after.nodes.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (before.nodes.get(id), after.nodes.get(id));
        let within = is.or(was).and_then(|node| node.within.clone());
        let of = Subject::Node { node: (*id).to_owned(), within };
        match (was, is) {
            (Some(was), Some(is)) => {
                if was.within != is.within {
                    let owner = |of: &Placed| of.within.clone().map(Value::from);
                    told.add(&of, ChangeKind::Changed, "/within".to_owned(), owner(was).as_ref(), owner(is).as_ref());
                }
                told.fields(&of, "", &was.own, &is.own);
            }
            (Some(was), None) => told.whole(&of, ChangeKind::Removed, &was.own),
            (None, Some(is)) => told.whole(&of, ChangeKind::Added, &is.own),
            (None, None) => {}
        }
    }
    for key in before.transitions.keys().chain(after.transitions.keys()).collect::<BTreeSet<_>>() {
        let ((from, to, on, _), was, is) = (key, before.transitions.get(key), after.transitions.get(key));
        let of = Subject::Transition { from: (*from).to_owned(), to: (*to).to_owned(), on: (*on).to_owned() };
        match (was, is) {
            (Some(was), Some(is)) => told.fields(&of, "", was, is),
            (Some(was), None) => told.whole(&of, ChangeKind::Removed, was),
            (None, Some(is)) => told.whole(&of, ChangeKind::Added, is),
            (None, None) => {}
        }
    }
    Difference { changes: told.changes, left_out: told.left_out, breaking: breaking::find(&old, &new) }
}

/// A node without what happens in it.
struct Placed {
    within: Option<String>,
    own: Map<String, Value>,
}

/// From, to, outcome; and a number for those that have all of these in common.
type Way<'v> = (&'v str, &'v str, &'v str, usize);

/// A document taken apart.
struct Parts<'v> {
    header: Map<String, Value>,
    nodes: BTreeMap<&'v str, Placed>,
    transitions: BTreeMap<Way<'v>, Map<String, Value>>,
}

impl<'v> Parts<'v> {
    fn of(document: &'v Value) -> Self {
        let (nodes, transitions) = (listed::nodes(document), listed::transitions(document));
        let apart: BTreeMap<&str, &str> =
            nodes.iter().chain(&transitions).map(|one| (one.at.as_str(), text(one.value, "id"))).collect();
        let mut header = own(document, "", &apart);
        header.remove("slug");
        let mut parts = Self { header, nodes: BTreeMap::new(), transitions: BTreeMap::new() };
        for Listed { at, value, .. } in &nodes {
            let mut own = own(value, at, &apart);
            own.remove("id");
            own.remove("dependsOn");
            parts.nodes.insert(text(value, "id"), Placed { within: owner(at, &apart), own });
            let before = value.get("dependsOn").and_then(Value::as_array).into_iter().flatten();
            for from in before.filter_map(Value::as_str) {
                parts.add_way(from, text(value, "id"), "success", Map::new());
            }
        }
        for Listed { at, value, .. } in &transitions {
            let mut own = own(value, at, &apart);
            ["from", "to", "on"].iter().for_each(|name| drop(own.remove(*name)));
            let on = value.get("on").and_then(Value::as_str).unwrap_or("success");
            parts.add_way(text(value, "from"), text(value, "to"), on, own);
        }
        parts
    }

    fn add_way(&mut self, from: &'v str, to: &'v str, on: &'v str, own: Map<String, Value>) {
        let first = (from, to, on, 0);
        let last = self.transitions.range(first..=(from, to, on, usize::MAX)).next_back();
        let like = last.map_or(0, |((.., number), _)| number + 1);
        self.transitions.insert((from, to, on, like), own);
    }
}

fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the node around one, by its path.
fn owner(at: &str, nodes: &BTreeMap<&str, &str>) -> Option<String> {
    let around = at.char_indices().rev().filter(|(_, c)| *c == '/').map(|(end, _)| &at[..end]);
    around.skip_while(|at| at.is_empty()).find_map(|at| nodes.get(at)).map(|id| (*id).to_owned())
}

/// Returns what is said of something itself: without nodes and transitions, and the lists of them.
fn own(value: &Value, at: &str, apart: &BTreeMap<&str, &str>) -> Map<String, Value> {
    // What has nothing apart from it below is taken whole.
    let holds_some = |at: &str| {
        let below = format!("{at}/");
        apart.range(below.as_str()..).next().is_some_and(|(next, _)| next.starts_with(&below))
    };
    let mut fields = Map::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        if apart.contains_key(at.as_str()) || value.is_array() && holds_some(&at) {
            continue;
        }
        let kept =
            if value.is_object() && holds_some(&at) { Value::Object(own(value, &at, apart)) } else { value.clone() };
        fields.insert(name.clone(), kept);
    }
    fields
}

/// The changes that are told.
#[derive(Default)]
struct Told {
    changes: Vec<Change>,
    left_out: usize,
}

impl Told {
    fn add(&mut self, of: &Subject, change: ChangeKind, path: String, old: Option<&Value>, new: Option<&Value>) {
        if self.changes.len() == CHANGES_MAX {
            self.left_out += 1;
            return;
        }
        let short = |value: &Value| Some(Json::of(value)).filter(|json| json.len_bytes() <= VALUE_BYTES_MAX);
        let (old, new) = (old.and_then(short), new.and_then(short));
        self.changes.push(Change { of: of.clone(), change, path, old, new });
    }

    fn whole(&mut self, of: &Subject, change: ChangeKind, own: &Map<String, Value>) {
        let own = Value::Object(own.clone());
        let (old, new) = match change {
            ChangeKind::Removed => (Some(&own), None),
            ChangeKind::Added | ChangeKind::Changed => (None, Some(&own)),
        };
        self.add(of, change, String::new(), old, new);
    }

    fn fields(&mut self, of: &Subject, at: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            self.values(of, format!("{at}/{}", escaped(name)), old.get(name), new.get(name));
        }
    }

    fn values(&mut self, of: &Subject, at: String, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (Some(old), Some(new)) if old == new => {}
            (Some(Value::Object(old)), Some(Value::Object(new))) => self.fields(of, &at, old, new),
            (Some(Value::Array(was)), Some(Value::Array(is))) => match (by_asset(was), by_asset(is)) {
                (Some(was), Some(is)) => {
                    for asset in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
                        let (was, is) = (was.get(asset), is.get(asset));
                        let place = is.or(was).map_or(0, |(place, _)| *place);
                        self.values(of, format!("{at}/{place}"), was.map(|(_, it)| *it), is.map(|(_, it)| *it));
                    }
                }
                _ => self.add(of, ChangeKind::Changed, at, old, new),
            },
            (Some(_), None) => self.add(of, ChangeKind::Removed, at, old, None),
            (None, Some(_)) => self.add(of, ChangeKind::Added, at, None, new),
            (old, new) => self.add(of, ChangeKind::Changed, at, old, new),
        }
    }
}

/// Returns the items of a list by the asset that each is about, with their places; nothing where they are about others.
fn by_asset(items: &[Value]) -> Option<BTreeMap<&str, (usize, &Value)>> {
    let each = items.iter().enumerate();
    let by: BTreeMap<_, _> =
        each.map(|(n, item)| Some((item.get("assetId")?.as_str()?, (n, item)))).collect::<Option<_>>()?;
    (by.len() == items.len()).then_some(by)
}
