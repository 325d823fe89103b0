//! `config`: what `serve` and `dev` would go by, from flags, environment and defaults together. Secrets are hidden.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum as _};
use serde_json::{Map, Value, json};

use super::client::Output;
use super::{Failure, show};
use crate::codes::Exit;
use crate::dev::DevSettings;
use crate::settings::ServeSettings;
use crate::telemetry::LogFormat;

/// What `config` takes.
#[derive(Debug, Args)]
pub struct ConfigSettings {
    /// How the settings look, on standard output.
    #[arg(long, value_enum, default_value = "table", global = true)]
    output: Output,
    #[command(subcommand)]
    of: Option<Server>,
}

/// Whose settings; both, as the environment has them, where none is named.
#[derive(Debug, Subcommand)]
enum Server {
    /// What `dev` would go by with these flags.
    Dev(DevSettings),
    /// What `serve` would go by with these flags.
    Serve(ServeSettings),
}

pub fn run(settings: ConfigSettings, log_format: LogFormat) -> Result<ExitCode, Failure> {
    let ConfigSettings { output, of } = settings;
    let mut shown = match of {
        Some(Server::Dev(dev)) => vec![("dev", dev.shown())],
        Some(Server::Serve(serve)) => vec![("serve", serve.shown())],
        None => vec![
            ("dev", of_environment::<DevSettings>()?.shown()),
            ("serve", of_environment::<ServeSettings>()?.shown()),
        ],
    };
    let format = log_format.to_possible_value().map(|value| value.get_name().to_owned());
    for (_, settings) in &mut shown {
        settings.insert("log-format".to_owned(), json!(format));
    }
    let data: Map<String, Value> =
        shown.iter().map(|(name, settings)| ((*name).to_owned(), Value::Object(settings.clone()))).collect();
    show::answer(output, &Value::Object(data), || {
        let rows = shown.iter().flat_map(|(server, settings)| {
            settings.iter().map(|(name, value)| vec![(*server).to_owned(), name.clone(), text(value)])
        });
        show::table(&["command", "setting", "value"], rows)
    });
    Ok(ExitCode::SUCCESS)
}

/// Reads the settings of a server that is given no flags.
fn of_environment<T: Args>() -> Result<T, Failure> {
    let invalid = |error: clap::Error| Failure::new(error.to_string()).exit(Exit::InvalidInput);
    let matches =
        T::augment_args(clap::Command::new("headwater")).try_get_matches_from(["headwater"]).map_err(invalid)?;
    T::from_arg_matches(&matches).map_err(invalid)
}

fn text(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => show::cell(value),
    }
}

#[cfg(test)]
pub(super) fn shown(settings: &ConfigSettings) -> Map<String, Value> {
    match &settings.of {
        Some(Server::Dev(dev)) => dev.clone().shown(),
        Some(Server::Serve(serve)) => serve.shown(),
        None => Map::new(),
    }
}
