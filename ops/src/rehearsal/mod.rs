//! Runs that only happen on paper: a shard as the engine has it, a clock that is told how late it is, mocks for handlers. No
//! server, no network, no file, no waiting.
//!
//! | file | question |
//! |---|---|
//! | here | how the cases of a test file are played |
//! | `script` | what a test file says |
//! | `stage` | what happens next |
//! | `crew` | what mocks answer, and what goes wrong with that |
//! | `chance` | what a seed chooses |
//! | `story` | what happened |
//! | `verdict` | whether it is as it should be |
//! | `telling` | how that is shown |

mod chance;
mod crew;
mod script;
mod stage;
mod story;
mod telling;
mod verdict;

use std::collections::BTreeSet;

use headwater_core::definition::{Definition, Execution, compile, nearest};
use headwater_core::{NodeAddress, Slug};

use self::script::Path;

pub use self::crew::{Fault, LEASE};
pub use self::script::{CASES_MAX, Case, DECISIONS, DECISIONS_MAX, Faults, Problem, Script, VIRTUAL_TIME};
pub use self::stage::Part;
pub use self::story::{LINES_MAX, Line};
pub use self::telling::{json, lines};
pub use self::verdict::{Difference, Verdict, span};

/// A test file with the definitions that it names.
#[derive(Debug)]
pub struct Rehearsal {
    script: Script,
    parts: Vec<Part>,
    /// Which part each case starts.
    starts: Vec<usize>,
}

impl Rehearsal {
    /// Puts a test file and its definitions together.
    ///
    /// # Errors
    /// Cases of workflows that are not there, and mocks of nodes and jobs that no definition has.
    pub fn of(script: Script, parts: Vec<Part>) -> Result<Self, Vec<Problem>> {
        let names = Names::of(&parts);
        let (mut problems, mut starts) = (Vec::new(), Vec::new());
        for case in &script.cases {
            names.check(case, &mut problems);
            names.check_expected(case, &mut problems);
            match start_of(case, &parts) {
                Ok(start) => starts.push(start),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self { script, parts, starts }) } else { Err(problems) }
    }

    /// Returns its cases.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.script.cases.iter()
    }

    /// Plays a case; with these faults in place of its own where some are given.
    ///
    /// # Panics
    /// When it has no such case.
    pub fn play(&self, case: usize, seed: Option<u64>) -> Verdict {
        let mut said = self.script.cases[case].clone();
        if let Some(seed) = seed {
            said.faults = Some(said.faults.map_or_else(|| Faults::of_seed(seed), |own| Faults { seed, ..own }));
        }
        let (stage, stop) = stage::play(&said, &self.parts[self.starts[case]], &self.parts);
        Verdict::of(&said, &stage, &stop)
    }
}

fn start_of(case: &Case, parts: &[Part]) -> Result<usize, Problem> {
    let problem = |path: String, message: String| Problem { path, by_name: false, message };
    match (&case.workflow, parts) {
        (None, [_]) => Ok(0),
        (None, _) => {
            let slugs: Vec<_> = parts.iter().map(|part| part.slug.to_string()).collect();
            Err(problem(case.path.clone(), format!("`workflow` is missing: which of {}?", slugs.join(", "))))
        }
        (Some(slug), parts) => parts.iter().position(|part| part.slug == *slug).ok_or_else(|| {
            let hint = nearest(slug.as_str(), parts.iter().map(|part| part.slug.as_str()));
            problem(format!("{}/workflow", case.path), format!("no definition is named `{slug}`{hint}"))
        }),
    }
}

/// What mocks can be of.
struct Names {
    workflows: BTreeSet<Slug>,
    nodes: BTreeSet<String>,
    jobs: BTreeSet<String>,
}

impl Names {
    fn of(parts: &[Part]) -> Self {
        let (mut nodes, mut jobs) = (BTreeSet::new(), BTreeSet::new());
        let compiled = parts.iter().filter_map(|part| compile(&part.source.to_value()).ok());
        for (definition, _) in compiled {
            nodes.extend(definition.nodes.iter().map(|node| node.id.to_string()));
            jobs.extend(jobs_of(&definition));
        }
        Self { workflows: parts.iter().map(|part| part.slug.clone()).collect(), nodes, jobs }
    }

    /// Finds the nodes that are expected to do something and are in no definition.
    fn check_expected(&self, case: &Case, problems: &mut Vec<Problem>) {
        let expect = &case.expect;
        if let Some(Path::Whole(path) | Path::Contains(path)) = &expect.path {
            path.iter().for_each(|node| self.check_name(case, "path", node, problems));
        }
        expect.skipped.iter().flatten().for_each(|node| self.check_name(case, "skipped", node, problems));
        expect.failed.iter().flatten().for_each(|(node, _)| self.check_name(case, "failed", node, problems));
        expect.attempts.keys().for_each(|node| self.check_name(case, "attempts", node, problems));
    }

    fn check_name(&self, case: &Case, field: &str, node: &str, problems: &mut Vec<Problem>) {
        let address: Result<NodeAddress, _> = node.parse();
        if !address.is_ok_and(|address| self.nodes.contains(address.node().as_str())) {
            let hint = nearest(node, self.nodes.iter().map(String::as_str));
            let path = format!("{}/expect/{field}", case.path);
            problems.push(Problem {
                path,
                by_name: false,
                message: format!("no definition has a node `{node}`{hint}"),
            });
        }
    }

    /// Finds the mocks of what no definition has.
    fn check(&self, case: &Case, problems: &mut Vec<Problem>) {
        let mut unknown = |kind: &str, name: &str, message: String| {
            let path = format!("{}/mocks/{kind}/{}", case.path, name.replace('~', "~0").replace('/', "~1"));
            problems.push(Problem { path, by_name: true, message });
        };
        for name in case.mocks.nodes.keys() {
            let (workflow, node) = name.split_once('/').map_or((None, name.as_str()), |(of, node)| (Some(of), node));
            if let Some(workflow) = workflow.filter(|of| self.workflows.iter().all(|slug| slug.as_str() != *of)) {
                unknown("nodes", name, format!("no definition is named `{workflow}`"));
            }
            let address: Result<NodeAddress, _> = node.parse();
            if !address.is_ok_and(|address| self.nodes.contains(address.node().as_str())) {
                let hint = nearest(node, self.nodes.iter().map(String::as_str));
                unknown("nodes", name, format!("no definition has a node `{node}`{hint}"));
            }
        }
        for job in case.mocks.jobs.keys().filter(|job| !self.jobs.contains(*job)) {
            let hint = nearest(job, self.jobs.iter().map(String::as_str));
            unknown("jobs", job, format!("no node runs the job `{job}`{hint}"));
        }
    }
}

fn jobs_of(definition: &Definition) -> impl Iterator<Item = String> + '_ {
    definition.nodes.iter().filter_map(|node| match &node.action.execution {
        Execution::Fleet { job } => Some(job.to_string()),
        Execution::Engine(_)
        | Execution::Inside { .. }
        | Execution::Fails { .. }
        | Execution::Each(_)
        | Execution::Group(_)
        | Execution::Calls(_)
        | Execution::Callback(_)
        | Execution::Continues(_)
        | Execution::Waits(_)
        | Execution::Listens(_)
        | Execution::Asks(_)
        | Execution::Undoes => None,
    })
}
