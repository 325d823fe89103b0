//! Definitions, checked one by one: of each is kept what applying it takes, not all that compiling makes of it.

use std::collections::{BTreeMap, HashSet};

use headwater_core::asset::{Declaration, awaited};
use headwater_core::definition::{
    Definition, Problem as Finding, ProblemCode, Severity, compile, place_of, refused_at_the_door,
};
use headwater_core::workflow::declarations;
use headwater_core::{AssetId, DefinitionVersion, Json, NodeId, Slug};
use serde::Serialize;
use serde_json::Value;

use super::Placed;

/// The most findings about several documents that are kept; more are counted.
const FINDINGS_MAX: usize = 1_000;

/// A finding, and which of the documents it is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Located {
    /// Counted from 0.
    pub document: usize,
    pub slug: Option<String>,
    #[serde(flatten)]
    pub placed: Placed,
}

/// A definition that can be applied.
#[derive(Debug, Clone)]
pub struct Checked {
    pub slug: Slug,
    /// The document in its canonical form.
    pub source: Json,
    pub content_hash: String,
    /// How many nodes it has.
    pub nodes: usize,
    /// What it declares of each asset; which version it will be is not known yet, and says nothing here.
    pub declares: BTreeMap<AssetId, Declaration>,
    /// Which assets its nodes wait for until somebody makes them.
    pub awaited: Vec<(NodeId, AssetId)>,
    /// What is not forbidden and yet worth a look.
    pub findings: Vec<Placed>,
}

impl Checked {
    fn of(definition: &Definition, findings: Vec<Finding>) -> Self {
        Self {
            slug: definition.slug.clone(),
            source: definition.source.clone(),
            content_hash: definition.content_hash.clone(),
            nodes: definition.nodes.len(),
            declares: declarations(definition, DefinitionVersion::FIRST),
            awaited: awaited(definition),
            findings: findings.into_iter().map(Placed::from).collect(),
        }
    }

    /// Returns where in the document a node speaks of an asset.
    pub fn place_of(&self, node: &NodeId, side: &'static str, asset: &AssetId) -> String {
        place_of(&self.source, node, side, asset)
    }
}

/// Checks documents one after the other.
#[derive(Debug, Default)]
pub struct Checks {
    /// All of them, as long as there is no error.
    checked: Vec<Checked>,
    slugs: HashSet<Slug>,
    documents: usize,
    refusals: Refused,
}

/// Why documents are refused: every finding about them, warnings too, up to a thousand, and how many errors there are.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Refused {
    pub findings: Vec<Located>,
    pub errors: usize,
}

impl Refused {
    /// Adds a finding. An error takes the place of a warning where there are too many.
    pub fn add(&mut self, located: Located) {
        let is_error = located.placed.finding.severity == Severity::Error;
        self.errors += usize::from(is_error);
        if self.findings.len() < FINDINGS_MAX {
            return self.findings.push(located);
        }
        let warning = self.findings.iter().rposition(|known| known.placed.finding.severity == Severity::Warning);
        if let Some(at) = warning.filter(|_| is_error) {
            self.findings[at] = located;
        }
    }
}

impl Checks {
    /// Checks one more.
    pub fn check(&mut self, document: &Value) {
        let at = self.documents;
        self.documents += 1;
        let slug = document.get("slug").and_then(Value::as_str).map(str::to_owned);
        let located = |finding: Finding| Located { document: at, slug: slug.clone(), placed: finding.into() };
        match compile(document) {
            Ok((definition, mut warnings)) => {
                warnings.extend(refused_at_the_door(&definition));
                warnings.iter().cloned().for_each(|finding| self.refusals.add(located(finding)));
                if !self.slugs.insert(definition.slug.clone()) {
                    self.refusals.add(located(Finding {
                        path: "/slug".to_owned(),
                        code: ProblemCode::Duplicate,
                        severity: Severity::Error,
                        message: format!("another document is `{}` too", definition.slug),
                    }));
                }
                // Of what is refused as a whole nothing more is needed.
                if self.refusals.errors == 0 {
                    self.checked.push(Checked::of(&definition, warnings));
                }
            }
            Err(problems) => problems.0.into_iter().for_each(|finding| self.refusals.add(located(finding))),
        }
        if self.refusals.errors > 0 {
            self.checked.clear();
        }
    }

    /// Returns all that was found about the last one, so that it can be placed.
    pub fn last(&mut self) -> impl Iterator<Item = &mut Placed> {
        let at = self.documents.wrapping_sub(1);
        let refused = self.refusals.findings.iter_mut().filter(move |located| located.document == at);
        let checked = self.checked.get_mut(at).into_iter().flat_map(|checked| &mut checked.findings);
        refused.map(|located| &mut located.placed).chain(checked)
    }

    /// Returns how many were checked.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// Returns them all, in their order.
    ///
    /// # Errors
    /// [`Refused`] where there is an error in one of them.
    pub fn finish(self) -> Result<Vec<Checked>, Refused> {
        if self.refusals.errors == 0 { Ok(self.checked) } else { Err(self.refusals) }
    }
}

/// Checks all documents.
///
/// # Errors
/// [`Refused`] where there is an error in one of them.
pub fn check_all<'d>(documents: impl IntoIterator<Item = &'d Value>) -> Result<Vec<Checked>, Refused> {
    let mut checks = Checks::default();
    documents.into_iter().for_each(|document| checks.check(document));
    checks.finish()
}
