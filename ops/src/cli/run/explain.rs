//! `run explain`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run explain` takes.
#[derive(Debug, Args)]
pub struct ExplainSettings {
    run: String,
    /// Which branch to explain, an item or a turn; 0 is the run itself.
    #[arg(long, default_value_t = 0)]
    branch: u32,
    /// How many entries of each list to show; all are counted.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ExplainSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let query = [("branch", settings.branch.to_string()), ("limit", settings.limit.to_string())];
    let explanation = client.get(&format!("/runs/{}/explain", settings.run), &query).await?;
    show::answer(client.output, &explanation, || told(&explanation));
    Ok(ExitCode::SUCCESS)
}

/// The explanation as people read it.
fn told(explanation: &Value) -> String {
    let mut parts = vec![head(explanation)];
    parts.extend(section("waits for", &explanation["waitsFor"], wait));
    parts.extend(section("decided", &explanation["decided"], decided));
    parts.extend(section("skipped", &explanation["skipped"], skipped));
    parts.extend(section("could still fire", &explanation["couldFire"], could_fire));
    parts.join("\n\n")
}

fn head(explanation: &Value) -> String {
    let text = |value: &Value| show::cell(value);
    let branch = &explanation["branch"];
    let mut properties = vec![
        ("run", text(&explanation["runId"])),
        ("status", text(&explanation["status"])),
        ("after", format!("event {} of {}", explanation["revision"], text(&explanation["time"]))),
    ];
    if !explanation["pausedSince"].is_null() {
        properties.push(("paused since", text(&explanation["pausedSince"])));
    }
    let end = &explanation["end"];
    if !end.is_null() && end["status"] != explanation["status"] {
        properties.push(("is going to be", text(&end["status"])));
    }
    if !end["error"].is_null() {
        properties.push(("because", why(&end["error"])));
    }
    if !explanation["timesOutAt"].is_null() {
        properties.push(("times out", text(&explanation["timesOutAt"])));
    }
    if !branch["node"].is_null() {
        let (kind, position) = (text(&branch["kind"]), branch["position"].as_u64().unwrap_or_default() + 1);
        let of = format!("{}: {kind} {position} of {}", branch["branch"], text(&branch["node"]));
        let ended = branch["ended"].as_str().map(|ended| format!(", which has ended: {ended}")).unwrap_or_default();
        properties.push(("branch", of + &ended));
    }
    if !branch["error"].is_null() {
        properties.push(("it failed", why(&branch["error"])));
    }
    if branch["node"].is_null() && branch["othersOpen"] != 0 {
        properties.push(("open branches", text(&branch["othersOpen"])));
    }
    show::card(properties)
}

/// A list under its name; nothing where it is empty.
fn section(name: &str, listed: &Value, line: fn(&Value) -> String) -> Option<String> {
    let (total, first) = (listed["total"].as_u64().unwrap_or_default(), show::items(listed, "first"));
    let lines: Vec<String> = first.map(line).collect();
    let left = total.saturating_sub(lines.len() as u64);
    let more = (left > 0).then(|| format!("\n  and {left} more"));
    (total > 0).then(|| format!("{}\n{}{}", name.to_uppercase(), lines.join("\n"), more.unwrap_or_default()))
}

fn wait(wait: &Value) -> String {
    let text = |name: &str| show::cell(&wait[name]);
    let what = match wait["for"].as_str().unwrap_or_default() {
        "worker" => format!("a worker of the queue {} with room, attempt {}", text("queue"), wait["attempt"]),
        "report" => {
            let state = if wait["started"] == true { "runs" } else { "has" };
            format!("the worker {}, which {state} attempt {}", text("worker"), wait["attempt"])
        }
        "time" => format!("the time {}", text("until")),
        "person" => person(wait),
        "callback" => {
            let key =
                wait["key"].as_str().map(|key| format!(", or what is called back under {key}")).unwrap_or_default();
            format!("somebody outside who has the token of attempt {}{key}", wait["attempt"])
        }
        "signal" => format!("the signal {}", signals(&wait["signals"])),
        "run" => format!("the run {}, which it calls", text("run")),
        "successor" => format!("the run {} to begin, which goes on from it", text("run")),
        "assets" => format!("assets: {}", assets(&wait["assets"])),
        "result" => "a result that is being made, or was made before".to_owned(),
        "retry" => {
            let error = &wait["error"];
            let after = if error.is_null() { String::new() } else { format!(", after {}", why(error)) };
            format!("attempt {} at {}{after}", wait["attempt"], text("until"))
        }
        "items" => {
            let count = |name: &str| wait[name].as_u64().unwrap_or_default();
            let (items, opened) = (count("items"), count("opened"));
            let ended = format!("{} succeeded, {} failed", count("succeeded"), count("failed"));
            format!("{items} items: {ended}, {} open, {} to come", count("open"), items.saturating_sub(opened))
        }
        "turn" => format!("turn {} of its loop", wait["turn"]),
        "try" => format!("try {} of its group", wait["attempt"]),
        "compensation" => {
            let count = |name: &str| wait[name].as_u64().unwrap_or_default();
            let [undone, failed, left] = ["undone", "failed", "left"].map(count);
            format!("what undoes what has succeeded: {undone} undone, {failed} could not be, {left} left")
        }
        "place" => format!("a place among the {} nodes that may be under way at once", wait["parallelism"]),
        "recording" => {
            let key = wait["partitionKey"].as_str().map(|key| format!(" [{key}]")).unwrap_or_default();
            format!("the recording of {}{key}", text("assetId"))
        }
        "nothing" => "nothing: it goes on by itself".to_owned(),
        other => other.to_owned(),
    };
    let what = if wait["paused"] == true { format!("to be resumed; then for {what}") } else { what };
    let until = wait["timesOutAt"].as_str().map(|at| format!(", times out {at}")).unwrap_or_default();
    format!("  {}  {what}\n      since {}{until}", text("node"), text("since"))
}

fn person(wait: &Value) -> String {
    let names = |name: &str| {
        let listed = wait[name].as_array().into_iter().flatten().map(show::actor);
        listed.collect::<Vec<_>>().join(", ")
    };
    let (assignees, answered) = (names("assignees"), names("answered"));
    let who = if assignees.is_empty() { "anybody" } else { &assignees };
    let of = wait["quorum"].as_u64().filter(|quorum| *quorum > 1).map(|quorum| format!(", {quorum} answers"));
    let after = if answered.is_empty() { String::new() } else { format!(", after {answered}") };
    let title = show::cell(&wait["title"]);
    let reminded = if wait["reminded"] == true { ", reminded" } else { "" };
    format!("an answer to {title:?} of {who}{}{after}{reminded}", of.unwrap_or_default())
}

fn signals(listed: &Value) -> String {
    let told = listed.as_array().into_iter().flatten().map(|signal| {
        let key = signal["key"].as_str().map(|key| format!(" [{key}]")).unwrap_or_default();
        format!("{}{key}", show::cell(&signal["name"]))
    });
    told.collect::<Vec<_>>().join(" or ")
}

fn assets(listed: &Value) -> String {
    let told: Vec<String> = show::items(listed, "first")
        .map(|asset| {
            let key = asset["partitionKey"].as_str().map(|key| format!(" [{key}]")).unwrap_or_default();
            let require = match &asset["require"] {
                Value::String(word) => word.clone(),
                Value::Object(one) => one.iter().map(|(word, of)| format!("{word} {of}")).collect(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => String::new(),
            };
            format!("{}{key} ({require})", show::cell(&asset["assetId"]))
        })
        .collect();
    let left = listed["total"].as_u64().unwrap_or_default().saturating_sub(told.len() as u64);
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    told.join(", ") + &more
}

fn decided(node: &Value) -> String {
    let text = |name: &str| show::cell(&node[name]);
    let tolerated = if node["tolerated"] == true { " (tolerated)" } else { "" };
    let reused = if node["reused"] == true { ", with a result made before" } else { "" };
    let error = if node["error"].is_null() { String::new() } else { format!(": {}", why(&node["error"])) };
    let first = format!("  {}  {}{tolerated}{reused}{error}", text("node"), text("status"));
    let ends = (node["mayEndHere"] == true).then(|| "      no transition was true: the path ends here".to_owned());
    let ways = show::items(&node["ways"], "first").map(|way| {
        let mark = if way["taken"] == true { "->" } else { " x" };
        format!("      {mark} {}{}  [{}]", show::cell(&way["to"]), said(way), because(&way["because"]))
    });
    let lines: Vec<String> = [first].into_iter().chain(ends).chain(ways).chain(more_ways(&node["ways"])).collect();
    lines.join("\n")
}

fn skipped(node: &Value) -> String {
    let reason = match node["reason"].as_str().unwrap_or_default() {
        "notAmongTargets" => "not among the run's targets".to_owned(),
        "noWayIn" => "no transition that leads to it was taken".to_owned(),
        "joinNotMet" => "its join could not be met".to_owned(),
        "loopNotEntered" => format!("in the loop at {}, which was not entered", show::cell(&node["loopAt"])),
        "ended" => "the end came before its turn".to_owned(),
        other => other.to_owned(),
    };
    let first = format!("  {}  {reason}", show::cell(&node["node"]));
    let ways = show::items(&node["waysIn"], "first").map(|way| {
        let from = format!("{} ({})", show::cell(&way["from"]), show::cell(&way["fromStatus"]));
        format!("      behind {from}{}  [{}]", said(way), because(&way["because"]))
    });
    let lines: Vec<String> = [first].into_iter().chain(ways).chain(more_ways(&node["waysIn"])).collect();
    lines.join("\n")
}

fn could_fire(way: &Value) -> String {
    let [from, status, to] = ["from", "fromStatus", "to"].map(|name| show::cell(&way[name]));
    format!("  {from} ({status}) -> {to}{}", said(way))
}

fn more_ways(listed: &Value) -> Option<String> {
    let told = show::items(listed, "first").count() as u64;
    let left = listed["total"].as_u64().unwrap_or_default().saturating_sub(told);
    (left > 0).then(|| format!("      and {left} more"))
}

/// What the definition says of a transition, in a few words.
fn said(way: &Value) -> String {
    let mut said = String::new();
    if way["on"] == "failure" {
        said += " on failure";
    }
    if let Some(when) = way["when"].as_str() {
        said += &format!(" when {when}");
    }
    if !way["maxIterations"].is_null() {
        said += &format!(" again, at most {} times", way["maxIterations"]);
    }
    if let Some(until) = way["until"].as_str() {
        said += &format!(" until {until}");
    }
    said
}

fn because(verdict: &Value) -> &str {
    match verdict.as_str().unwrap_or_default() {
        "always" => "taken: always",
        "conditionTrue" => "taken: true",
        "dropped" => "dropped: another turn followed",
        "conditionNotTrue" => "not true",
        "earlierTier" => "an earlier tier won",
        "otherOutcome" => "for the other outcome",
        "maxIterations" => "as often as it may",
        "notAmongTargets" => "not among the run's targets",
        "sourceSkipped" => "it was skipped",
        "sourceCancelled" => "it was withdrawn",
        "open" => "it has not ended",
        other => other,
    }
}

fn why(error: &Value) -> String {
    let node = error["nodeId"].as_str().map(|node| format!("{node}: ")).unwrap_or_default();
    format!("{node}{} [{}]", show::cell(&error["message"]), show::cell(&error["code"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_explanation_is_read_from_top_to_bottom() {
        let way = json!({"to": "small", "on": "success", "priority": 2, "when": "output.n < 3", "taken": false, "because": "earlierTier"});
        let taken = json!({"to": "big", "on": "success", "priority": 1, "when": "output.n > 3", "taken": true, "because": "conditionTrue"});
        let way_in = json!({"from": "route", "fromStatus": "succeeded", "on": "success", "priority": 2, "when": "output.n < 3", "taken": false, "because": "earlierTier"});
        let text = told(&json!({
            "runId": "R", "status": "running", "revision": 7, "time": "then",
            "branch": {"branch": 0, "othersOpen": 0},
            "waitsFor": {"total": 3, "first": [{"node": "big", "since": "then", "for": "worker", "queue": "work", "attempt": 1, "timesOutAt": "later"}]},
            "decided": {"total": 1, "first": [{"node": "route", "status": "succeeded", "at": "then", "attempts": 1, "tier": 1, "ways": {"total": 3, "first": [taken, way]}}]},
            "skipped": {"total": 1, "first": [{"node": "small", "reason": "noWayIn", "waysIn": {"total": 1, "first": [way_in]}}]},
            "couldFire": {"total": 1, "first": [{"from": "big", "fromStatus": "queued", "to": "sorry", "on": "failure", "priority": 0}]},
        }));
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let expected = [
            "WAITS FOR",
            "  big  a worker of the queue work with room, attempt 1",
            "      since then, times out later",
            "  and 2 more",
            "",
            "DECIDED",
            "  route  succeeded",
            "      -> big when output.n > 3  [taken: true]",
            "       x small when output.n < 3  [an earlier tier won]",
            "      and 1 more",
            "",
            "SKIPPED",
            "  small  no transition that leads to it was taken",
            "      behind route (succeeded) when output.n < 3  [an earlier tier won]",
            "",
            "COULD STILL FIRE",
            "  big (queued) -> sorry on failure",
        ];
        assert_eq!(lines[lines.len() - expected.len()..], expected, "{text}");
        let quiet = json!({"runId": "R", "status": "succeeded", "revision": 7, "time": "then", "end": {"status": "succeeded"},
            "branch": {"branch": 0, "othersOpen": 0}, "waitsFor": {"total": 0, "first": []}});
        assert!(!told(&quiet).contains("WAITS FOR"), "what there is nothing of is not named");
    }
}
