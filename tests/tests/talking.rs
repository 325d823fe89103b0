//! Runs are talked to while owners and callers die: each signal is taken once, early ones are kept, and an update's answer is
//! what was committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use headwater_core::run::{Reply, RunCommand, RunRejection, RunStatus};
use headwater_core::shard::{Command, Rejection, Submission};
use headwater_core::{CommandId, Json, RunId};
use headwater_tests::PATIENCE;
use headwater_tests::audit::audit;
use headwater_tests::cluster::Cluster;
use headwater_tests::load::Load;
use headwater_workers::shard_client::ClientError;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How many runs are talked to, with ten signals to each; `HEADWATER_TEST_RUNS` says otherwise.
const RUNS: usize = 1_000;
/// How many signals each takes, one after the other, before it is asked and told goodbye.
const SAID: u64 = 8;
/// How many runs are talked to at once.
const AT_ONCE: usize = 64;

/// A run that rests first, so that what is said is early; then takes what was said, answers an update, and ends with a goodbye.
fn listener() -> Value {
    let wait = |id: String, name: &str| json!({"id": id, "action": {"kind": "wait_signal", "name": name}});
    let mut nodes = vec![json!({"id": "rest", "action": {"kind": "sleep", "duration": "1s"}})];
    nodes.extend((0..SAID).map(|at| wait(format!("say{at}"), "say")));
    let heard: Vec<String> = (0..SAID).map(|at| format!("nodes.say{at}.output.payload")).collect();
    let sum = format!("${{{{ {} + signal.payload }}}}", heard.join(" + "));
    nodes.push(json!({"id": "ask", "action": {"kind": "wait_signal", "name": "ask", "reply": {"sum": sum}}}));
    nodes.push(wait("bye".to_owned(), "bye"));
    let ids: Vec<_> = nodes.iter().map(|node| node["id"].clone()).collect();
    let transitions: Vec<_> = ids.windows(2).map(|pair| json!({"from": pair[0], "to": pair[1]})).collect();
    let output: Vec<String> = heard.iter().map(|path| format!("${{{{ {path} }}}}")).collect();
    json!({"slug": "listener", "nodes": nodes, "transitions": transitions, "output": {"heard": output}})
}

fn said_as(run: RunId, what: &str) -> CommandId {
    CommandId::derived(&[run.as_uuid().as_bytes(), what.as_bytes()])
}

/// Says something to a run until that is acknowledged. Every seventh caller dies before he hears, and another says the same.
async fn say(load: &Load, run: RunId, signal: CommandId, name: &'static str, payload: Value, update: bool) {
    for number in 0_u64.. {
        let (client, workspace) = (load.client.clone(), load.key.workspace.clone());
        let payload = Json::of(&payload);
        let name = name.parse().expect("a name");
        let (key, broadcast) = (None, false);
        let command = RunCommand::Signal { workspace, signal, name, key, payload, broadcast, update };
        let submission = Submission::new(CommandId::from_uuid(uuid::Uuid::new_v4()), Command::Run { run, command });
        let mut caller = tokio::spawn(async move { client.submit(run.shard(), submission, PATIENCE).await });
        let chance = signal.as_uuid().as_u64_pair().1.wrapping_add(number);
        if number < 2 && chance.is_multiple_of(7) {
            tokio::time::sleep(Duration::from_millis(chance % 5)).await;
            caller.abort();
            continue;
        }
        match (&mut caller).await.expect("nobody aborts it") {
            Ok(_) => return,
            // It was the goodbye, and the run has ended with it.
            Err(ClientError::Refused(Rejection::Run(RunRejection::RunClosed { .. })))
                if name_is_last(update, signal, run) =>
            {
                return;
            }
            Err(ClientError::Refused(rejection)) => panic!("{rejection}"),
            Err(_) => {}
        }
    }
}

fn name_is_last(update: bool, signal: CommandId, run: RunId) -> bool {
    !update && signal == said_as(run, "bye")
}

/// Says everything to a run; returns what the update was answered with.
async fn talk(load: Load, run: RunId, number: u64, heard: Arc<AtomicUsize>) -> Reply {
    let mut saying = JoinSet::new();
    for at in 0..SAID {
        let load = load.clone();
        let signal = said_as(run, &format!("say{at}"));
        saying.spawn(async move { say(&load, run, signal, "say", json!(number + at), false).await });
    }
    let ask = said_as(run, "ask");
    say(&load, run, ask, "ask", json!(1_000_000), true).await;
    while let Some(said) = saying.join_next().await {
        said.expect("no panic");
    }
    let reply = loop {
        match load.client.await_reply(load.key.workspace.clone(), run, ask, PATIENCE).await {
            Ok((reply, _)) => break reply,
            Err(ClientError::Refused(rejection)) => panic!("{rejection}"),
            Err(_) => {}
        }
    };
    say(&load, run, said_as(run, "bye"), "bye", Value::Null, false).await;
    heard.fetch_add(1, Ordering::Relaxed);
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_are_taken_once_and_updates_answered_as_committed_while_owners_and_callers_die() {
    let count = std::env::var("HEADWATER_TEST_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let cluster = Cluster::start().await;
    let first = cluster.engine("shards").await;
    let load = Load::apply(cluster.access().await, &listener()).await;
    let second = cluster.engine("shards").await;
    let runs = load.start_many(count, 100).await;
    assert_eq!(runs.len(), count);
    let heard = Arc::new(AtomicUsize::new(0));
    let talking = tokio::spawn({
        let (load, runs, heard) = (load.clone(), runs.clone(), heard.clone());
        async move {
            let (mut talks, mut replies, mut left) = (JoinSet::new(), BTreeMap::new(), runs.into_iter().zip(0_u64..));
            loop {
                while talks.len() < AT_ONCE
                    && let Some((run, number)) = left.next()
                {
                    let talk = talk(load.clone(), run, number, heard.clone());
                    talks.spawn(async move { (run, number, talk.await) });
                }
                let Some(talked) = talks.join_next().await else { return replies };
                let (run, number, reply) = talked.expect("no panic");
                replies.insert(run, (number, reply));
            }
        }
    });
    let until = async |part: usize| {
        while heard.load(Ordering::Relaxed) < part && !talking.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until(count / 4).await;
    first.kill().await;
    let third = cluster.engine("shards").await;
    until(count / 2).await;
    second.kill().await;
    let _fourth = cluster.engine("shards").await;
    until(3 * count / 4).await;
    third.kill().await;
    let _fifth = cluster.engine("shards").await;
    let replies = talking.await.expect("everybody is answered");
    assert_eq!(replies.len(), count);
    for (run, status) in load.ends(&runs).await {
        assert_eq!(status, RunStatus::Succeeded, "run {run}");
    }
    let audit = audit(&load.broker, &load.map).await;
    assert!(audit.epochs.len() > usize::from(load.map.shards), "shards changed hands");
    for run in &runs {
        let names = (0..SAID).map(|at| format!("say{at}")).chain(["ask".to_owned(), "bye".to_owned()]);
        for name in names {
            let signal = (*run, said_as(*run, &name));
            assert_eq!(audit.received.get(&signal), Some(&1), "{name} of {run} is received once");
            assert_eq!(audit.taken.get(&signal), Some(&1), "{name} of {run} is taken once");
        }
        let (number, reply) = &replies[run];
        let committed = audit.answered.get(&(*run, said_as(*run, "ask"))).map(Vec::as_slice);
        assert_eq!(committed, Some(std::slice::from_ref(reply)), "what {run} answered is what is committed");
        let sum = (0..SAID).map(|at| number + at).sum::<u64>() + 1_000_000;
        assert_eq!(reply.failure, None);
        assert_eq!(reply.value.to_value(), json!({"sum": sum}), "it has heard everything, each once");
    }
    assert_eq!(audit.received.len(), 10 * count, "nothing else was received");
}
