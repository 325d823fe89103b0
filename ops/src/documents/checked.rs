//! Definitions, checked one by one: of each is kept what applying it takes, not all that compiling makes of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use headwater_core::asset::{Declaration, awaited};
use headwater_core::definition::{
    ActionDef, ActionRef, Beyond, Definition, Filled, Problem as Finding, ProblemCode, Severity, compile,
    compile_action, expand, is_action, names_actions, place_of, references, refused_at_the_door,
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

/// A reusable action that can be applied.
#[derive(Debug, Clone)]
pub struct CheckedAction {
    /// Which document it is, counted from 0.
    pub document: usize,
    pub definition: ActionDef,
    /// Which version it is or will be, as far as that is known: the workflows beside it say so.
    pub version: Option<DefinitionVersion>,
    /// What is not forbidden and yet worth a look.
    pub findings: Vec<Placed>,
}

/// What can be applied together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub actions: Vec<CheckedAction>,
    pub workflows: Vec<Checked>,
}

/// A definition that can be applied.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Which document it is, counted from 0.
    pub document: usize,
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
    fn of(document: usize, definition: &Definition, findings: Vec<Finding>) -> Self {
        Self {
            document,
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

/// Checks documents one after the other. Those that name reusable actions wait until it is known what those are.
#[derive(Debug, Default)]
pub struct Checks {
    /// All of them, as long as there is no error.
    checked: Batch,
    /// With their numbers.
    waiting: Vec<(usize, Value)>,
    slugs: HashSet<(bool, Slug)>,
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
        if is_action(document) {
            self.check_action(at, document);
        } else if !names_actions(document) {
            self.check_workflow(at, document, Vec::new(), &|_| {});
        } else {
            self.waiting.push((at, document.clone()));
        }
        self.forget_refused();
    }

    fn check_action(&mut self, at: usize, document: &Value) {
        let slug = slug_of(document);
        match compile_action(document) {
            Ok((definition, warnings)) => {
                self.found(at, &slug, warnings.clone());
                self.count_in(at, &slug, (true, definition.slug.clone()));
                let findings = warnings.into_iter().map(Placed::from).collect();
                self.checked.actions.push(CheckedAction { document: at, definition, version: None, findings });
            }
            Err(problems) => self.found(at, &slug, problems.0),
        }
    }

    /// `before` was found already; `place` puts what is found here where the author finds it.
    fn check_workflow(&mut self, at: usize, document: &Value, before: Vec<Finding>, place: &dyn Fn(&mut [Finding])) {
        let slug = slug_of(document);
        match compile(document) {
            Ok((definition, mut warnings)) => {
                warnings.extend(refused_at_the_door(&definition));
                place(&mut warnings);
                let warnings: Vec<Finding> = before.into_iter().chain(warnings).collect();
                self.found(at, &slug, warnings.clone());
                self.count_in(at, &slug, (false, definition.slug.clone()));
                // Of what is refused as a whole nothing more is needed.
                if self.refusals.errors == 0 {
                    self.checked.workflows.push(Checked::of(at, &definition, warnings));
                }
            }
            Err(mut problems) => {
                place(&mut problems.0);
                self.found(at, &slug, before.into_iter().chain(problems.0).collect());
            }
        }
    }

    fn found(&mut self, document: usize, slug: &Option<String>, findings: Vec<Finding>) {
        for finding in findings {
            self.refusals.add(Located { document, slug: slug.clone(), placed: finding.into() });
        }
    }

    fn count_in(&mut self, at: usize, slug: &Option<String>, name: (bool, Slug)) {
        let message = format!("another document is `{}` too", name.1);
        if !self.slugs.insert(name) {
            let (path, code, severity) = ("/slug".to_owned(), ProblemCode::Duplicate, Severity::Error);
            self.found(at, slug, vec![Finding { path, code, severity, message }]);
        }
    }

    fn forget_refused(&mut self) {
        if self.refusals.errors > 0 {
            self.checked = Batch::default();
        }
    }

    /// Returns the actions among them, as far as they are right.
    pub fn actions(&self) -> &[CheckedAction] {
        &self.checked.actions
    }

    /// Takes down which versions the actions among them are or will be.
    pub fn number_actions(&mut self, version_of: impl Fn(&Slug) -> Option<DefinitionVersion>) {
        self.checked.actions.iter_mut().for_each(|one| one.version = version_of(&one.definition.slug));
    }

    /// Returns which actions the others name, each once.
    pub fn references(&self) -> BTreeSet<ActionRef> {
        self.waiting.iter().flat_map(|(_, document)| references(document)).collect()
    }

    /// Checks those that name actions, which are these.
    pub fn fill(&mut self, known: &BTreeMap<ActionRef, Filled>, beyond: Beyond) {
        for (at, document) in std::mem::take(&mut self.waiting) {
            let expanded = expand(&document, known, beyond);
            if expanded.problems.iter().any(|problem| problem.severity == Severity::Error) {
                self.found(at, &slug_of(&document), expanded.problems);
            } else {
                let problems = expanded.problems.clone();
                self.check_workflow(at, &expanded.document, problems, &|found| expanded.place(found));
            }
            self.forget_refused();
        }
    }

    /// Fills in the actions among them, without an engine that knows more.
    fn fill_here(&mut self) {
        let version = DefinitionVersion::FIRST;
        let known = self.checked.actions.iter().map(|CheckedAction { definition, .. }| {
            let filled = Filled { version, source: definition.source.clone() };
            (ActionRef { slug: definition.slug.clone(), version: None }, filled)
        });
        let known = known.collect();
        self.fill(&known, Beyond::Unchecked);
    }

    /// Returns all that was found about the last one, so that it can be placed.
    pub fn last(&mut self) -> impl Iterator<Item = &mut Placed> {
        let at = self.documents.wrapping_sub(1);
        let Self { refusals, checked, .. } = self;
        let refused = refusals.findings.iter_mut().filter(move |located| located.document == at);
        let workflows =
            checked.workflows.iter_mut().filter(move |one| one.document == at).flat_map(|one| &mut one.findings);
        let actions =
            checked.actions.iter_mut().filter(move |one| one.document == at).flat_map(|one| &mut one.findings);
        refused.map(|located| &mut located.placed).chain(workflows).chain(actions)
    }

    /// Returns how many were checked.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// Returns them all, in their order.
    ///
    /// # Errors
    /// [`Refused`] where there is an error in one of them.
    pub fn finish(self) -> Result<Batch, Refused> {
        let Self { mut checked, refusals, .. } = self;
        checked.workflows.sort_by_key(|one| one.document);
        if refusals.errors == 0 { Ok(checked) } else { Err(refusals) }
    }
}

fn slug_of(document: &Value) -> Option<String> {
    document.get("slug").and_then(Value::as_str).map(str::to_owned)
}

/// Checks all documents, without an engine: of actions that are not among them nothing is known.
///
/// # Errors
/// [`Refused`] where there is an error in one of them.
pub fn check_all<'d>(documents: impl IntoIterator<Item = &'d Value>) -> Result<Batch, Refused> {
    let mut checks = Checks::default();
    documents.into_iter().for_each(|document| checks.check(document));
    checks.fill_here();
    checks.finish()
}
