//! How an action is carried out, which is all that a run has to know of it.

use super::{Call, Callback, ContinueAs, HumanInput, WaitSignal};
use crate::JobSlug;
use crate::definition::{ForEach, Group};
use crate::expr::Template;

/// How an action is carried out.
#[derive(Debug)]
pub enum Execution {
    /// A handler on a worker fleet.
    Fleet { job: JobSlug },
    /// The engine's own task workers; the node's input is its configuration.
    Engine(BuiltIn),
    /// Pure: the decision itself knows the output, which is rendered, or the node's input where it has one of its own, else
    /// `null`.
    Inside { output: Option<Template> },
    /// Nobody: the node fails, with this code and a message that is rendered.
    Fails { code: String, message: Template },
    /// Nobody: its body happens once for each item, and what comes of that is its output.
    Each(Box<ForEach>),
    /// Nobody: its nodes happen, and succeed or fail together.
    Group(Box<Group>),
    /// Another run, whose end is waited for.
    Calls(Box<Call>),
    /// Nobody; somebody outside ends the attempt.
    Callback(Box<Callback>),
    /// Nobody: the run ends, and another goes on from it.
    Continues(Box<ContinueAs>),
    /// Nobody; time passes.
    Waits(Pause),
    /// Nobody; somebody outside says something to the run.
    Listens(Box<WaitSignal>),
    /// Nobody: its branches undo what has succeeded, one after the other.
    Undoes,
    /// Nobody but people, who are asked.
    Asks(Box<HumanInput>),
}

/// How long time passes: ten years at most.
#[derive(Debug)]
pub enum Pause {
    /// Renders to a number of milliseconds or a text like `90s`.
    For(Template),
    /// Renders to an RFC 3339 time; one that has passed is not waited for.
    Until(Template),
}

/// Actions that the engine's own task workers execute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuiltIn {
    /// A request; input `{method, url, headers, query, body, json, expectStatus[], followRedirects, maxResponseBytes,
    /// timeoutMs}`.
    HttpRequest,
    /// A command and all it starts; input `{command[], env, cwd, stdin, shell, maxOutputBytes, parse, timeoutMs}`.
    Process,
}
