//! Why a command did not do as asked, in words and as an exit code.

use std::process::ExitCode;

use crate::codes::Exit;

/// Says why a command did not do as asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    message: String,
    /// What the process exits with.
    pub(crate) exit: Exit,
}

impl Failure {
    /// Says what did not work.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::Failed }
    }

    /// Exits otherwise than with [`Exit::Failed`].
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Says what the API says: what happened, every problem of a definition, and what to do.
    pub fn of_problem(status: u16, problem: &serde_json::Value) -> Self {
        let text = |name: &str| problem[name].as_str();
        let Some(code) = text("code") else {
            return Self::new(format!("the answer is not the engine's: HTTP {status}")).exit(Exit::of_status(status));
        };
        let mut message = format!("{} [{code}]", text("detail").or(text("title")).unwrap_or_default());
        for finding in problem["problems"].as_array().into_iter().flatten() {
            message.push_str(&format!("\n  {}", finding_line(finding)));
        }
        if let Some(remedy) = text("remedy") {
            message.push_str(&format!("\n  {remedy}"));
        }
        Self::new(message).exit(Exit::of_status(status))
    }

    /// Says an error with its causes, each once.
    pub fn of(error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        Self { message, exit: Exit::Failed }
    }

    /// Returns what the process exits with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

/// One finding about a definition on one line: severity, where, code, message.
fn finding_line(finding: &serde_json::Value) -> String {
    let text = |name: &str| finding[name].as_str().unwrap_or_default();
    let slug = finding["slug"].as_str().map_or_else(|| format!("document {}", finding["document"]), str::to_owned);
    format!("{}: {slug}{} [{}] {}", text("severity"), text("path"), text("code"), text("message"))
}
