//! `apply`: makes definitions the current versions of their workflows.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use futures_util::StreamExt as _;
use headwater_core::definition::is_action;
use indicatif::ProgressBar;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::files::{self, Found, Sourced};
use crate::api::batch;
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};
use crate::codes::Exit;

/// What goes in one body, with room for what stands around it.
const BODY_BYTES: usize = crate::api::BODY_BYTES_MAX - 1024;

/// What `apply` takes.
#[derive(Debug, Args)]
pub struct ApplySettings {
    /// Files, or folders of .json, .yaml and .yml files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ApplySettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let Found { sourced, skipped } = files::read(&settings.paths)?;
    files::print_skipped(&skipped);
    files::check(&sourced)?;
    let lines: Vec<String> = sourced.iter().map(|sourced| format!("{}\n", sourced.document)).collect();
    let applied = client.send(request(&client, &sourced, lines)?.timeout(batch::PATIENCE)).await?;
    print_warnings(&sourced, &applied);
    show::answer(client.output, &applied, || {
        let all = [("actions", "action"), ("workflows", "workflow")].into_iter();
        let all = all.flat_map(|(list, kind)| show::items(&applied, list).map(move |one| (kind, one)));
        let rows = all.map(|(kind, one)| {
            let state = if one["created"] == true { "new version" } else { "unchanged" };
            vec![kind.to_owned(), show::cell(&one["slug"]), show::cell(&one["version"]), state.to_owned()]
        });
        show::table(&["", "slug", "version", ""], rows)
    });
    Ok(ExitCode::SUCCESS)
}

/// The engine's warnings, which knows the other workflows too; in the order of the documents. Its places are those of the
/// body that it was sent.
fn print_warnings(sourced: &[Sourced], applied: &Value) {
    let of_one = |(document, one)| {
        show::items(one, "warnings").map(move |warning| (document, show::cell(&one["slug"]), warning))
    };
    let of_kind = |list: &'static str, wanted: bool| {
        let documents = sourced.iter().enumerate().filter(move |(_, one)| is_action(&one.document) == wanted);
        documents.map(|(document, _)| document).zip(show::items(applied, list))
    };
    let mut warnings: Vec<_> = of_kind("actions", true).chain(of_kind("workflows", false)).flat_map(of_one).collect();
    warnings.sort_by_key(|(document, ..)| *document);
    let text = |warning: &'_ Value, field: &str| warning[field].as_str().unwrap_or_default().to_owned();
    let said = |warning| (text(warning, "path"), text(warning, "code"), text(warning, "message"));
    let said: Vec<_> = warnings.iter().map(|(_, _, warning)| said(warning)).collect();
    let sought =
        warnings.iter().zip(&said).map(|((document, ..), (at, code, _))| (*document, at.as_str(), code.as_str()));
    let places = files::places(sourced, sought);
    for (((document, slug, _), (at, code, message)), place) in warnings.iter().zip(&said).zip(places) {
        let file = sourced.get(*document).map(|sourced| files::shown(&sourced.path, place)).unwrap_or_default();
        eprintln!("{file}: warning in {slug} at {at:?} [{code}] {message}");
    }
}

/// One body where all of them fit into it, else a batch, one on a line, that shows how far it is.
fn request(client: &Client, sourced: &[Sourced], lines: Vec<String>) -> Result<RequestBuilder, Failure> {
    let (count, bytes) = (lines.len(), lines.iter().map(String::len).sum::<usize>());
    if bytes < BODY_BYTES {
        let documents: Vec<&Value> = sourced.iter().map(|sourced| &sourced.document).collect();
        return Ok(client.request(Method::POST, "/workflows").json(&json!({"workflows": documents})));
    }
    if count > batch::DOCUMENTS_MAX || bytes > batch::BYTES_MAX {
        let (documents_max, mib) = (batch::DOCUMENTS_MAX, batch::BYTES_MAX >> 20);
        let message = format!(
            "these are {count} definitions of {bytes} bytes together, and {documents_max} of {mib} MiB can be applied at \
             once: apply them folder by folder"
        );
        return Err(Failure::new(message).exit(Exit::InvalidInput));
    }
    let progress = Progress::new(count);
    let body = futures_util::stream::iter(lines.into_iter().enumerate()).map(move |(n, line)| {
        progress.sent(n + 1);
        Ok::<_, std::convert::Infallible>(line)
    });
    let request = client.request(Method::POST, "/batches").header("content-type", "application/x-ndjson");
    Ok(request.body(reqwest::Body::wrap_stream(body)))
}

/// How far a batch is: a bar on a terminal, else a line for each tenth.
struct Progress {
    count: usize,
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(count: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(count as u64));
        Self { count, bar }
    }

    /// The engine takes no more than it has checked.
    fn sent(&self, n: usize) {
        let last = n == self.count;
        let message = format!("{n} of {} definitions checked{}", self.count, if last { ": applying them" } else { "" });
        match &self.bar {
            Some(bar) if last => bar.finish_with_message(message),
            Some(bar) => bar.set_position(n as u64),
            None if last || n * 10 / self.count > (n - 1) * 10 / self.count => eprintln!("{message}"),
            None => {}
        }
    }
}
