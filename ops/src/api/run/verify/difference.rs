//! Where two values differ.

use serde::Serialize;
use serde_json::Value;

/// How many differences are told.
const TOLD_MAX: usize = 20;
/// How many bytes of a value are told.
const VALUE_BYTES_MAX: usize = 500;

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// A commit in the tables, from what the journal has.
    Events,
    /// The run's row, from what its commits give.
    Row,
    /// The latest snapshot, from what its commits give.
    Snapshot,
    /// What is folded behind the snapshot, from what is folded at once.
    Tail,
    /// What the run's shard has of it, from what its commits give.
    Live,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub what: What,
    /// Of the event, or of the first of the commit.
    pub revision: Option<u64>,
    /// Where in that: a JSON Pointer that begins with the column.
    pub path: String,
    /// What is kept there, as text; absent: nothing is.
    pub found: Option<String>,
    pub expected: Option<String>,
}

/// Those that were found.
#[derive(Debug, Default)]
pub struct Differences {
    all: Vec<Difference>,
    left_out: u64,
}

impl Differences {
    /// Takes one down.
    pub fn add(&mut self, what: What, revision: Option<u64>, path: &str, found: Option<&str>, expected: Option<&str>) {
        if self.all.len() == TOLD_MAX {
            self.left_out += 1;
            return;
        }
        let (found, expected) = (found.map(cut), expected.map(cut));
        self.all.push(Difference { what, revision, path: path.to_owned(), found, expected });
    }

    /// Takes down where two texts differ, if they do: where both are JSON, where in that.
    pub fn compare(
        &mut self,
        what: What,
        revision: Option<u64>,
        path: &str,
        (found, expected): (Option<&str>, Option<&str>),
    ) {
        if found == expected {
            return;
        }
        let read = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
        match (read(found), read(expected)) {
            (Some(was), Some(is)) if was != is => {
                let mut at = path.to_owned();
                let (was, is) = first_difference(&mut at, &was, &is);
                let [was, is] = [was, is].map(|value| value.map(Value::to_string));
                self.add(what, revision, &at, was.as_deref(), is.as_deref());
            }
            // They mean the same, or are no JSON.
            (Some(_) | None, Some(_) | None) => self.add(what, revision, path, found, expected),
        }
    }

    /// Returns those that are told, and how many there are beyond them.
    pub fn told(self) -> (Vec<Difference>, u64) {
        (self.all, self.left_out)
    }
}

/// Goes down to the first place where two values differ.
fn first_difference<'v>(path: &mut String, was: &'v Value, is: &'v Value) -> (Option<&'v Value>, Option<&'v Value>) {
    let inner = match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            let mut keys = was.keys().chain(is.keys());
            keys.find(|key| was.get(*key) != is.get(*key)).map(|key| {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                (escaped, was.get(key), is.get(key))
            })
        }
        (Value::Array(was), Value::Array(is)) => {
            let mut places = 0..was.len().max(is.len());
            places.find(|at| was.get(*at) != is.get(*at)).map(|at| (at.to_string(), was.get(at), is.get(at)))
        }
        _ => None,
    };
    let Some((key, was_there, is_there)) = inner else { return (Some(was), Some(is)) };
    path.push('/');
    path.push_str(&key);
    match (was_there, is_there) {
        (Some(was), Some(is)) => first_difference(path, was, is),
        other => other,
    }
}

fn cut(text: &str) -> String {
    let end = (0..=VALUE_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(found: &str, expected: &str) -> Vec<(String, Option<String>, Option<String>)> {
        let mut differences = Differences::default();
        differences.compare(What::Row, None, "/output", (Some(found), Some(expected)));
        differences.told().0.into_iter().map(|found| (found.path, found.found, found.expected)).collect()
    }

    #[test]
    fn the_first_place_where_two_values_differ_is_named() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of(r#"{"a":[1]}"#, r#"{"a":[1]}"#), []);
        let inner = of(r#"{"a":[1,{"b/c":"x"}]}"#, r#"{"a":[1,{"b/c":"y"}]}"#);
        assert_eq!(inner, [("/output/a/1/b~1c".to_owned(), text("\"x\""), text("\"y\""))]);
        assert_eq!(of("[1]", "[1,2]"), [("/output/1".to_owned(), None, text("2"))]);
        assert_eq!(of(r#"{"a":1}"#, "{}"), [("/output/a".to_owned(), text("1"), None)]);
        assert_eq!(of("[1 ]", "[1]"), [("/output".to_owned(), text("[1 ]"), text("[1]"))], "a byte is a byte");
        assert_eq!(of("[1", "[1]").len(), 1);
        let long = of(&"é".repeat(600), "1");
        assert!(long[0].1.as_ref().unwrap().len() < VALUE_BYTES_MAX + 4);
    }

    #[test]
    fn so_many_are_told_and_the_others_counted() {
        let mut differences = Differences::default();
        (0..TOLD_MAX + 3).for_each(|_| differences.add(What::Events, Some(1), "", None, None));
        let (told, left_out) = differences.told();
        assert_eq!((told.len(), left_out), (TOLD_MAX, 3));
    }
}
