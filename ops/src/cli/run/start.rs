//! `run start`

use std::process::ExitCode;

use clap::Args;
use headwater_core::{Json, RunId};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::given::{self, invalid};
use super::watch::{self, Progress};
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};
use crate::codes::Exit;

/// What `run start` takes.
#[derive(Debug, Args)]
pub struct StartSettings {
    workflow: String,
    /// The input: a JSON object, `@file`, or `@-` for standard input.
    #[arg(long)]
    input: Option<String>,
    /// One field of the input; JSON where it is JSON, else text. Goes before --input.
    #[arg(short = 'p', long = "parameter", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    /// A version other than the current one.
    #[arg(long)]
    version: Option<u32>,
    /// What the run is called.
    #[arg(long)]
    name: Option<String>,
    /// A label of the run.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Only this node happens, and what it depends on. Can be given several times.
    #[arg(long = "target", value_name = "NODE")]
    targets: Vec<String>,
    /// Makes the start safe to repeat: the same key starts the same run.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Wait for the run's end: exits with 0 when it succeeds, with 1 when it does not.
    #[arg(long)]
    wait: bool,
    /// The same, and show its nodes meanwhile.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: StartSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let mut body = json!({"input": input(settings.input.as_deref(), &settings.parameters)?});
    if let Some(version) = settings.version {
        body["version"] = json!(version);
    }
    if let Some(name) = &settings.name {
        body["name"] = json!(name);
    }
    if !settings.labels.is_empty() {
        body["labels"] = labels(&settings.labels)?;
    }
    if !settings.targets.is_empty() {
        body["targets"] = json!(settings.targets);
    }
    let mut request = client.request(Method::POST, &format!("/workflows/{}/runs", settings.workflow)).json(&body);
    if let Some(key) = &settings.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let started = client.send(request).await?;
    if started["replayed"] == true {
        let run = show::cell(&started["runId"]);
        let when = run.parse::<RunId>().map_or_else(|_| "-".to_owned(), |run| run.made_at().to_string());
        eprintln!("this key started run {run} on {when}: what follows is of that run, nothing was started now");
    }
    if settings.wait || settings.watch {
        let progress = if settings.watch { Progress::Shown } else { Progress::Hidden };
        let (run, token) = (show::cell(&started["runId"]), show::cell(&started["token"]));
        return watch::until_end(&client, &run, Some(token), progress).await;
    }
    show::answer(client.output, &started, || {
        show::card([("run", show::cell(&started["runId"])), ("token", show::cell(&started["token"]))])
    });
    Ok(ExitCode::SUCCESS)
}

fn labels(given: &[String]) -> Result<Value, Failure> {
    let invalid = |label: &str| Failure::new(format!("{label:?} is not key=value")).exit(Exit::InvalidInput);
    let mut labels = Map::new();
    for label in given {
        let (key, value) = label.split_once('=').ok_or_else(|| invalid(label))?;
        labels.insert(key.to_owned(), Value::from(value));
    }
    Ok(Value::Object(labels))
}

fn input(whole: Option<&str>, parameters: &[String]) -> Result<Value, Failure> {
    let text = given::text(whole.unwrap_or("{}"))?;
    let json = Json::parse_strict(&text).map_err(|error| invalid(format!("--input: {error}")))?;
    let Value::Object(mut fields) = json.to_value() else {
        return Err(invalid("--input is not a JSON object".to_owned()));
    };
    for parameter in parameters {
        let (key, value) =
            parameter.split_once('=').ok_or_else(|| invalid(format!("{parameter:?} is not key=value")))?;
        fields.insert(key.to_owned(), given::json_or_text(&format!("-p {key}"), value)?);
    }
    Ok(Value::Object(fields as Map<_, _>))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_json_where_they_are_and_text_elsewhere() {
        let parameters = ["n=7", "name=seven", "list=[1]", "eq=a=b", "empty="].map(str::to_owned);
        let read = input(Some(r#"{"n": 1, "kept": true}"#), &parameters).unwrap();
        assert_eq!(read, json!({"n": 7, "name": "seven", "list": [1], "eq": "a=b", "empty": "", "kept": true}));
        for bad in ["n=123456789012345678901", "n=1e400", "t=\"\\ud83d\"", "o={\"a\":1,\"a\":2}"] {
            assert!(input(None, &[bad.to_owned()]).is_err(), "{bad}");
        }
        for bad in ["[]", "{", "@/no/such/file"] {
            assert!(input(Some(bad), &[]).is_err(), "{bad}");
        }
        assert!(input(None, &["novalue".to_owned()]).is_err());
    }
}
