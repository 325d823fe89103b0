//! Where in a text a finding is: its line and column.
//!
//! A text is read once more for that, and only where something was found; nothing is kept of it but the places sought.

mod json;
mod yaml;

use std::borrow::Cow;
use std::collections::HashMap;

use headwater_core::definition::{Problem as Finding, ProblemCode};
use serde::Serialize;

use super::Spelling;

/// A place in a text, counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// A finding with its place in the text it came in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Placed {
    #[serde(flatten)]
    pub finding: Finding,
    /// `None` where there is no telling.
    pub line: Option<usize>,
    pub column: Option<usize>,
}

impl From<Finding> for Placed {
    fn from(finding: Finding) -> Self {
        Self { finding, line: None, column: None }
    }
}

/// What is to be found: a path in the document at a root, and what is said of it.
#[derive(Debug, Clone)]
pub struct Aim<'p> {
    pub root: &'p str,
    pub path: Cow<'p, str>,
    /// Whether it is about a field rather than about what that holds.
    pub by_name: bool,
}

impl<'p> Aim<'p> {
    /// Aims at what a finding with this code is about.
    pub fn at(root: &'p str, path: impl Into<Cow<'p, str>>, code: &str) -> Self {
        let about_names = [ProblemCode::UnknownField, ProblemCode::NotInEffect];
        Self { root, path: path.into(), by_name: about_names.iter().any(|known| known.to_string() == code) }
    }
}

/// Finds places in a text that [`super::definitions`] has read; nothing where there is no telling.
///
/// A field nobody knows is where its name stands, anything else where its value begins, and what is not there where that
/// begins which it is missing in. What came through an alias is at the alias. One pass over the text for all of them.
pub fn locate(text: &str, spelling: Spelling, aims: &[Aim<'_>]) -> Vec<Option<Place>> {
    if aims.is_empty() {
        return Vec::new();
    }
    let mut sought = Sought::default();
    let ends: Vec<_> = aims.iter().map(|aim| sought.add(aim.root, &aim.path)).collect();
    match spelling {
        Spelling::Json => json::walk(text, &mut sought),
        Spelling::Yaml => yaml::walk(text, &mut sought),
    }
    ends.into_iter().zip(aims).map(|(end, aim)| sought.place(end, aim.by_name)).collect()
}

/// Places findings about documents of a text, each given with the root of its document.
pub fn place<'f>(text: &str, spelling: Spelling, findings: impl IntoIterator<Item = (&'f str, &'f mut Placed)>) {
    let (mut all, mut aims) = (Vec::new(), Vec::new());
    for (root, placed) in findings {
        aims.push(Aim::at(root, placed.finding.path.clone(), &placed.finding.code.to_string()));
        all.push(placed);
    }
    for (placed, place) in all.into_iter().zip(locate(text, spelling, &aims)) {
        (placed.line, placed.column) = place.map(|place| (place.line, place.column)).unzip();
    }
}

/// The position of a [`Spot`]; those that nobody seeks have none.
type At = Option<usize>;

/// The places that are sought, as a tree of what leads to them.
struct Sought<'p> {
    spots: Vec<Spot<'p>>,
}

#[derive(Default)]
struct Spot<'p> {
    above: At,
    below: HashMap<Cow<'p, str>, usize>,
    name: Option<Place>,
    value: Option<Place>,
}

impl Default for Sought<'_> {
    fn default() -> Self {
        Self { spots: vec![Spot::default()] }
    }
}

impl<'p> Sought<'p> {
    /// The text itself, of which documents are the items.
    const WHOLE: usize = 0;

    fn add(&mut self, root: &'p str, path: &'p str) -> usize {
        let steps = root.split('/').skip(1).chain(path.split('/').skip(1));
        steps.fold(Self::WHOLE, |at, step| {
            let step = match step.contains('~') {
                true => Cow::Owned(step.replace("~1", "/").replace("~0", "~")),
                false => Cow::Borrowed(step),
            };
            if let Some(known) = self.spots[at].below.get(&step) {
                return *known;
            }
            let fresh = self.spots.len();
            self.spots.push(Spot { above: Some(at), ..Spot::default() });
            self.spots[at].below.insert(step, fresh);
            fresh
        })
    }

    /// Goes to a field.
    fn field(&self, at: At, name: &str) -> At {
        self.spots[at?].below.get(name).copied()
    }

    /// Goes to an item.
    fn item(&self, at: At, position: usize) -> At {
        let below = &self.spots[at?].below;
        if below.is_empty() { None } else { below.get(position.to_string().as_str()).copied() }
    }

    fn see_name(&mut self, at: usize, place: Place) {
        self.spots[at].name = Some(place);
    }

    fn see_value(&mut self, at: usize, place: Place) {
        self.spots[at].value = Some(place);
    }

    /// Returns what was seen of a spot, else of the nearest one above it.
    fn place(&self, end: usize, by_name: bool) -> Option<Place> {
        let spot = &self.spots[end];
        let own = if by_name { spot.name.or(spot.value) } else { spot.value.or(spot.name) };
        let above = std::iter::successors(spot.above, |at| self.spots[*at].above);
        own.or_else(|| above.map(|at| &self.spots[at]).find_map(|spot| spot.value.or(spot.name)))
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::definition::Severity;

    use super::*;
    use crate::documents::definitions;

    /// Says where each of these paths is, of the first document.
    fn places(text: &str, spelling: Spelling, paths: &[&str]) -> Vec<String> {
        let documents = definitions(text, spelling).unwrap();
        let found = |path: &&str| {
            let (path, code) = match path.strip_suffix('?') {
                Some(path) => (path, ProblemCode::UnknownField),
                None => (*path, ProblemCode::InvalidValue),
            };
            Placed::from(Finding { path: path.to_owned(), code, severity: Severity::Error, message: String::new() })
        };
        let mut placed: Vec<_> = paths.iter().map(found).collect();
        place(text, spelling, placed.iter_mut().map(|placed| (documents[0].root.as_str(), placed)));
        let shown = |placed: &Placed| format!("{}:{}", placed.line.unwrap_or(0), placed.column.unwrap_or(0));
        placed.iter().map(shown).collect()
    }

    #[test]
    fn a_finding_in_json_is_where_its_value_stands_or_its_name() {
        let text = "\u{feff}{\"slug\": \"ü\", \"a/b\": 1,\n  \"st\\u0065ps\": [\n\t{\"id\": \"x\"}, {\"über\": 2,\n\"no\":[ [] ,3]}]}";
        let text = text.trim_start_matches('\u{feff}');
        let paths = ["", "/slug", "/a~1b", "/steps", "/steps/1", "/steps/1/über", "/steps/1/über?", "/steps/1/no/1"];
        assert_eq!(
            places(text, Spelling::Json, &paths),
            ["1:1", "1:10", "1:22", "2:17", "3:15", "3:24", "3:16", "4:12"]
        );
        let missing = ["/steps/1/jobSlug", "/steps/7", "/steps/x/y", "/name", "/slug/x", "/steps/0/with/url"];
        assert_eq!(places(text, Spelling::Json, &missing), ["3:15", "2:17", "2:17", "1:1", "1:10", "3:2"]);
        let second = "{\"workflows\": [{\"a\": 1}, {\"a\":\n2}]}";
        let documents = definitions(second, Spelling::Json).unwrap();
        assert_eq!([&documents[0].root, &documents[1].root], ["/0/workflows/0", "/0/workflows/1"]);
        assert_eq!(places(second, Spelling::Json, &["/a"]), ["1:22"]);
    }

    #[test]
    fn a_finding_in_yaml_is_where_its_value_stands_or_its_name() {
        let text = "# a note\nslug: w\nsteps:\n  - id: a\n    jobSlug: ü\n    retries:\n      count: 3\n  - {id: b, when: }\n\
                    \x20 -\n    id: \"c\"\n    input: |\n      x\n";
        let paths = [
            "",
            "/slug",
            "/steps",
            "/steps/0",
            "/steps/0/jobSlug",
            "/steps/0/retries?",
            "/steps/0/retries/count",
            "/steps/1",
            "/steps/1/when",
            "/steps/2",
            "/steps/2/id",
            "/steps/2/input",
        ];
        let expected = ["2:1", "2:7", "4:3", "4:5", "5:14", "6:5", "7:14", "8:5", "8:13", "10:5", "10:9", "12:7"];
        assert_eq!(places(text, Spelling::Yaml, &paths), expected);
        assert_eq!(places(text, Spelling::Yaml, &["/steps/1/jobSlug", "/name", "/steps/9/x"]), ["8:5", "2:1", "4:3"]);
    }

    #[test]
    fn what_came_through_an_alias_is_at_the_alias() {
        let text = "slug: w\nx: &x\n  a: {b: 1}\nkey: &k name\nsteps:\n- *x\n- one: *x\n  *k : 2\n";
        let paths = ["/x/a/b", "/steps/0", "/steps/0/a/b", "/steps/1/one/a/zzz", "/steps/1/name", "/steps/1/name?"];
        assert_eq!(places(text, Spelling::Yaml, &paths), ["3:10", "6:3", "6:3", "7:8", "8:8", "8:3"]);
    }

    #[test]
    fn each_document_of_a_text_has_places_of_its_own() {
        let text = "a: 1\n---\n---\nworkflows:\n- a: 1\n- a: 2\n";
        let documents = definitions(text, Spelling::Yaml).unwrap();
        let roots: Vec<_> = documents.iter().map(|document| document.root.as_str()).collect();
        assert_eq!(roots, ["/0", "/1", "/2/workflows/0", "/2/workflows/1"]);
        let finding = Finding {
            path: "/a".to_owned(),
            code: ProblemCode::InvalidValue,
            severity: Severity::Error,
            message: String::new(),
        };
        let mut placed: Vec<_> = roots.iter().map(|_| Placed::from(finding.clone())).collect();
        place(text, Spelling::Yaml, roots.iter().copied().zip(&mut placed));
        let lines: Vec<_> = placed.iter().map(|placed| placed.line.zip(placed.column)).collect();
        assert_eq!(lines, [Some((1, 4)), None, Some((5, 6)), Some((6, 6))]);
    }
}
