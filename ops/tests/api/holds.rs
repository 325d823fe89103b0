//! Journals that vanish, fall back or are made by somebody else: their shards are held, and the others go on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_core::ShardId;
use headwater_core::shard::{AggregateId, ShardMap, WorkflowKey};
use headwater_streams::journal::Journal;
use headwater_streams::ownership::{leases, members};
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, Credentials, holds, shard_map};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::engine::{DEADLINE, Engine};

pub fn shard(number: u16) -> ShardId {
    ShardId::new(number).unwrap()
}

/// Returns a workflow that a shard of two decides for.
pub fn workflow_on(number: u16, name: &str) -> Value {
    let map = ShardMap::even(2).unwrap();
    let is_there = |slug: &String| {
        let key = WorkflowKey { workspace: "default".parse().unwrap(), workflow: slug.parse().unwrap() };
        map.shard_of(&AggregateId::Workflow(key)) == Some(shard(number))
    };
    let slug = (0..).map(|n| format!("{name}{n}")).find(is_there).unwrap();
    json!({"slug": slug, "steps": [{"id": "a", "action": "noop"}]})
}

/// Where the broker keeps a stream.
pub fn store(folder: &Path, stream: &str) -> PathBuf {
    folder.join("nats/streams/jetstream/ENGINE/streams").join(stream)
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let into = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &into);
        } else {
            std::fs::copy(entry.path(), into).unwrap();
        }
    }
}

pub fn put_back(copied: &Path, place: &Path) {
    if place.exists() {
        std::fs::remove_dir_all(place).unwrap();
    }
    copy(copied, place);
}

impl Engine {
    pub async fn broker(&self) -> Broker {
        Broker::connect(&self.servers.nats.engine()).await.unwrap()
    }

    /// Says something to the broker with the engine's rights.
    pub async fn say(&self, subject: &str, payload: &str) {
        let Credentials::Password { user, password } = self.servers.nats.engine().credentials else { panic!() };
        let address = self.servers.nats.url().trim_start_matches("nats://").to_owned();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let connect = json!({"user": user, "pass": password, "verbose": false, "pedantic": false});
        let said = format!("CONNECT {connect}\r\nPUB {subject} {}\r\n{payload}\r\nPING\r\n", payload.len());
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut heard = String::new();
        while !heard.contains("PONG") {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0 && !heard.contains("-ERR"), "{heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// Waits until a condition of the engine holds.
    pub async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let waited = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(DEADLINE, waited).await.unwrap_or_else(|_| panic!("{what}"));
    }

    /// Waits until shard 0 is on hold; holds it to everything that goes for one that is.
    pub async fn until_held(&self, why: &str) {
        self.until(why, async || {
            let answer = self.get("/readyz").await;
            let detail = answer.body["detail"].as_str().unwrap_or_default();
            // On a machine that has much to do shard 1 may not show in time that it can append.
            let is_said = detail.contains("shard 0 is on hold") && detail.contains(why) && !detail.contains("shard 1");
            if is_said {
                answer.problem("engine/not_ready");
                assert!(detail.contains("headwater doctor"), "{detail}");
            }
            is_said
        })
        .await;
        let refused = self.post("/workflows", workflow_on(0, "more")).await;
        assert!(refused.problem("engine/shard_held")["detail"].as_str().unwrap().contains(why), "{}", refused.body);
        self.apply(json!([workflow_on(1, "other")])).await;
        let held = holds::list(&self.broker().await).await.unwrap();
        assert_eq!(held.keys().copied().collect::<Vec<_>>(), [shard(0)]);
        let metrics = self.http.get(format!("{}/metrics", self.base)).send().await.unwrap().text().await.unwrap();
        assert!(metrics.contains("headwater_shards_held 1"), "{metrics}");
    }

    /// Waits until every shard can be written.
    pub async fn until_ready(&self) {
        self.until("it is ready", async || self.get("/readyz").await.status == 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_deleted_under_its_owner_holds_its_shard_and_is_never_made_anew() {
    let engine = Engine::start().await;
    engine.apply(json!([workflow_on(0, "w"), workflow_on(1, "w")])).await;
    engine.say("$JS.API.STREAM.DELETE.HW_JOURNAL_0", "").await;
    let refused = engine.post("/workflows", workflow_on(0, "next")).await;
    assert!(refused.problem("engine/shard_held")["detail"].as_str().unwrap().contains("its journal is gone"));
    engine.until_held("its journal is gone").await;
    let engine = engine.restarted(async |_| {}).await;
    engine.until_held("its journal is gone").await;
    assert!(Journal::look(&engine.broker().await, shard(0)).await.unwrap().is_none());
    // Whoever makes one does not help.
    Topology::new(2, 1).unwrap().apply(&engine.broker().await).await.unwrap();
    engine.until_held("made anew").await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_deleted_while_nobody_ran_holds_its_shard_until_it_is_back() {
    let engine = Engine::start().await;
    engine.apply(json!([workflow_on(0, "w"), workflow_on(1, "w")])).await;
    let kept = tempfile::tempdir().unwrap();
    let engine = engine
        .restarted(async |folder| {
            let journal = store(folder, "HW_JOURNAL_0");
            copy(&journal, kept.path());
            std::fs::remove_dir_all(journal).unwrap();
        })
        .await;
    engine.until_held("its journal is gone").await;
    let engine = engine.restarted(async |folder| copy(kept.path(), &store(folder, "HW_JOURNAL_0"))).await;
    engine.until_ready().await;
    assert!(holds::list(&engine.broker().await).await.unwrap().is_empty(), "it shows again what was seen of it");
    engine.apply(json!([workflow_on(0, "more")])).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_an_older_copy_holds_its_shard_until_the_newer_is_back() {
    let engine = Engine::start().await;
    engine.apply(json!([workflow_on(0, "w")])).await;
    let (older, newer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = engine.restarted(async |folder| copy(&store(folder, "HW_JOURNAL_0"), older.path())).await;
    engine.until_ready().await;
    engine.apply(json!([workflow_on(0, "next")])).await;
    let engine = engine
        .restarted(async |folder| {
            let journal = store(folder, "HW_JOURNAL_0");
            copy(&journal, newer.path());
            put_back(older.path(), &journal);
        })
        .await;
    engine.until_held("has seen entry").await;
    let engine = engine.restarted(async |folder| put_back(newer.path(), &store(folder, "HW_JOURNAL_0"))).await;
    engine.until_ready().await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_entry_holds_its_shard_and_no_other() {
    let engine = Engine::start().await;
    engine.apply(json!([workflow_on(0, "w"), workflow_on(1, "w")])).await;
    engine.say("hw.journal.0", "[{\"alive\":{}}]").await;
    engine.until_held("is not a bundle").await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_map_without_states_is_read_as_begun_and_learns_them() {
    let engine = Engine::start().await;
    engine.apply(json!([workflow_on(0, "w")])).await;
    // As a release before wrote it.
    let map = serde_json::to_string(&ShardMap::even(2).unwrap()).unwrap();
    engine.say("$KV.HW_SHARD_MAP.map", &map).await;
    let engine = engine.restarted(async |_| {}).await;
    engine.until_ready().await;
    let states = shard_map::journal_states(&engine.broker().await, 2).await.unwrap();
    assert!(states.iter().all(|(_, state)| serde_json::to_string(state).unwrap().contains("madeAt")), "{states:?}");
    engine.say("$KV.HW_SHARD_MAP.map", &map).await;
    let engine = engine.restarted(async |folder| std::fs::remove_dir_all(store(folder, "HW_JOURNAL_0")).unwrap()).await;
    engine.until_held("its journal is gone").await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_members_and_leases_are_made_anew_while_processes_run() {
    let engine = Engine::start().await;
    let waits = json!({"slug": "waits", "steps": [{"id": "a", "action": {"kind": "sleep", "duration": "2s"}}]});
    engine.apply(json!([waits])).await;
    for lost in [&["KV_HW_LEASES"][..], &["KV_HW_MEMBERS"], &["KV_HW_LEASES", "KV_HW_MEMBERS"]] {
        let started = engine.post("/workflows/waits/runs", json!({})).await;
        let run = started.data(202)["runId"].as_str().unwrap().to_owned();
        for stream in lost {
            engine.say(&format!("$JS.API.STREAM.DELETE.{stream}"), "").await;
        }
        let broker = engine.broker().await;
        engine
            .until("both are made anew and filled", async || {
                let (leases, members) = (leases(&broker).await, members(&broker).await);
                leases.is_ok_and(|leases| leases.len() == 2) && members.is_ok_and(|members| !members.is_empty())
            })
            .await;
        engine.until_ready().await;
        engine
            .until("what was under way goes on", async || {
                engine.get(&format!("/runs/{run}")).await.body["data"]["status"] == "succeeded"
            })
            .await;
    }
    engine.stop().await;
}

/// The map, the checkpoints and the journals fell back together: only what was projected knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fell_back_as_a_whole_is_noticed_by_what_was_projected_of_it() {
    let engine = Engine::start().await;
    engine.apply(json!([workflow_on(0, "w"), workflow_on(1, "w")])).await;
    let [older, newer] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let everything = |folder: &Path| folder.join("nats/streams");
    let engine = engine.restarted(async |folder| copy(&everything(folder), older.path())).await;
    engine.until_ready().await;
    let token = engine.apply(json!([workflow_on(0, "next"), workflow_on(1, "next")])).await;
    engine.get(&format!("/runs?minSeq={token}")).await.data(200);
    let engine = engine
        .restarted(async |folder| {
            copy(&everything(folder), newer.path());
            put_back(older.path(), &everything(folder));
        })
        .await;
    let both_are_held = async |engine: &Engine| {
        let held = holds::list(&engine.broker().await).await.unwrap();
        let answer = engine.get("/readyz").await;
        let detail = answer.body["detail"].as_str().unwrap_or_default().to_owned();
        held.len() == 2 && [0, 1].iter().all(|n| detail.contains(&format!("shard {n} is on hold")))
    };
    engine.until("both shards are held", async || both_are_held(&engine).await).await;
    engine.post("/workflows", workflow_on(0, "more")).await.problem("engine/shard_held");
    let engine = engine.restarted(async |folder| std::fs::remove_dir_all(everything(folder)).unwrap()).await;
    engine.until("nothing at all is noticed too", async || both_are_held(&engine).await).await;
    let engine = engine.restarted(async |folder| put_back(newer.path(), &everything(folder))).await;
    engine.until_ready().await;
    engine.get(&format!("/runs?minSeq={token}")).await.data(200);
    engine.apply(json!([workflow_on(0, "more")])).await;
    engine.stop().await;
}
