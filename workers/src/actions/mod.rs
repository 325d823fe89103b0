//! What nodes can do without a worker program: requests and commands, behind the same loop as every handler.
//!
//! They wait in the queue `builtin` of their workspace.

pub mod http_request;
pub mod process;

use std::path::PathBuf;
use std::sync::Arc;

use headwater_core::definition::BuiltIn;

use crate::sdk::{Context, Handle, WorkerBuilder};
use http_request::{HttpClient, HttpRequest};
use process::ProcessRequest;

pub use headwater_core::definition::queue_of_engine as queue;
pub use process::supervise_if_asked;

/// What built-in actions may do on this machine.
#[derive(Debug, Clone, Default)]
pub struct ActionPolicy {
    /// Whether `http_request` may reach private, loopback and link-local addresses: whatever the network trusts.
    pub allow_private_addresses: bool,
    /// Whether `process` may run commands, with the rights of this process.
    pub allow_processes: bool,
    /// The program that supervises a command, such as `headwater-supervise`. `None`: this program, which then has to
    /// begin with [`supervise_if_asked`].
    pub supervisor: Option<PathBuf>,
}

/// Says why the built-in actions are not available.
#[derive(Debug, thiserror::Error)]
#[error("the http client could not be made")]
pub struct ActionsError(#[from] reqwest::Error);

/// Adds the built-in actions to a worker.
///
/// # Errors
/// [`ActionsError`] where the system has no certificates to trust.
pub fn serve(builder: WorkerBuilder, policy: &ActionPolicy) -> Result<WorkerBuilder, ActionsError> {
    let client = Arc::new(HttpClient::new(policy.allow_private_addresses)?);
    let http = move |context: Context, request: HttpRequest| {
        let client = client.clone();
        async move { http_request::execute(&client, &context, request).await }
    };
    let policy = Arc::new(policy.clone());
    let process = move |context: Context, request: ProcessRequest| {
        let policy = policy.clone();
        async move { process::execute(&policy, &context, request).await }
    };
    let builder = builder.built_in(queue(), BuiltIn::HttpRequest, Handle::new(http));
    Ok(builder.built_in(queue(), BuiltIn::Process, Handle::new(process)))
}
