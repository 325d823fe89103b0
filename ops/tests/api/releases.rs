//! The way out of a hold: the journal is accepted as it is found, and whatever is of before is told so.

use std::path::Path;

use headwater_core::shard::{AggregateId, AssetKey, ShardMap};
use headwater_core::{RunId, Sequence};
use headwater_streams::holds;
use headwater_streams::journal::Journal;
use headwater_streams::topology::Topology;
use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::engine::Engine;
use crate::holds::{copy, put_back, shard, store, workflow_on};

const REASON: &str = "no newer copy is left";

/// Returns an asset that a shard of two decides for.
fn asset_on(number: u16, name: &str) -> String {
    let map = ShardMap::even(2).unwrap();
    let is_there = |asset: &String| {
        let key = AssetKey { workspace: "default".parse().unwrap(), asset: asset.parse().unwrap() };
        map.shard_of(&AggregateId::Asset(key)) == Some(shard(number))
    };
    (0..).map(|n| format!("{name}.{n}")).find(is_there).unwrap()
}

/// A workflow that makes an asset on each shard, after a while.
fn maker(slug: &str, after: &str) -> Value {
    let make = |number: u16| {
        json!({"id": format!("make{number}"), "dependsOn": ["wait"], "action": {"kind": "transform", "output": {"n": number}},
               "produces": [{"assetId": asset_on(number, slug)}]})
    };
    let wait = json!({"id": "wait", "action": {"kind": "sleep", "duration": after}});
    json!({"slug": slug, "steps": [wait, make(0), make(1)]})
}

impl Engine {
    async fn released(&self, number: u16, expect: u64) -> String {
        let wish = |expect: u64| json!({"reason": REASON, "expect": expect});
        let path = format!("/holds/{number}/release");
        let wished =
            |wish: Value| self.request(reqwest::Method::POST, &path).header("headwater-actor", "somebody").json(&wish);
        let refused = self.send(wished(wish(expect + 9))).await;
        assert_eq!(refused.problem("hold/not_released")["end"], expect);
        let released = self.send(wished(wish(expect))).await;
        assert!(released.data(200)["incarnation"].as_u64().unwrap() > 0, "{}", released.body);
        released.data(200)["token"].as_str().unwrap().to_owned()
    }

    /// Returns where the journal of a shard ends; zero: there is none.
    async fn end(&self, number: u16) -> u64 {
        let found = Journal::look(&self.broker().await, shard(number)).await.unwrap();
        found.map_or(0, |(_, info)| info.last.get())
    }

    /// Starts a run on a shard, and returns it.
    async fn start_on(&self, number: u16, slug: &str) -> String {
        loop {
            let started = self.post(&format!("/workflows/{slug}/runs"), json!({})).await;
            let run = started.data(202)["runId"].as_str().unwrap().to_owned();
            if run.parse::<RunId>().unwrap().shard() == shard(number) {
                return run;
            }
        }
    }

    async fn until_succeeded(&self, run: &str) {
        self.until("the run ends well", async || {
            self.get(&format!("/runs/{run}")).await.body["data"]["status"] == "succeeded"
        })
        .await;
    }

    /// Returns which runs made the versions of an asset, newest first.
    async fn makers(&self, asset: &str) -> Vec<String> {
        let history = self.get(&format!("/assets/{asset}/history?limit=100")).await;
        let versions = history.data(200)["history"].as_array().unwrap();
        versions.iter().map(|version| version["runId"].as_str().unwrap().to_owned()).collect()
    }

    /// Holds an engine whose shards were released to everything that goes for any other, and to what goes for what is of
    /// before.
    async fn goes_on(&self, numbers: &[u16], old: &[&str], new: &[&str]) {
        self.until_ready().await;
        assert!(holds::list(&self.broker().await).await.unwrap().is_empty());
        for token in old {
            self.get(&format!("/runs?minSeq={token}")).await.problem("read/incarnation_replaced");
            let headed = self.request(reqwest::Method::GET, "/assets").header("headwater-token", *token);
            assert_eq!(self.send(headed).await.status.as_u16(), 410);
            for as_of in [format!("asOf={token}"), format!("cursor=a@{token}")] {
                self.get(&format!("/workflows?{as_of}")).await.problem("read/incarnation_replaced");
            }
        }
        for token in new {
            self.get(&format!("/runs?minSeq={token}")).await.data(200);
            self.get(&format!("/workflows?asOf={token}")).await.data(200);
        }
        for &number in numbers {
            let journal = Journal::open(&self.broker().await, shard(number)).await.unwrap();
            let mut said = Vec::new();
            for at in 1..=self.end(number).await {
                let bytes = journal.entry(Sequence::new(at)).await.unwrap().unwrap().bytes;
                let bundle: Value = serde_json::from_slice(&bytes).unwrap();
                said.extend(bundle.get("replaces").cloned());
            }
            let said = said.last().unwrap();
            assert_eq!((&said["actor"], &said["reason"]), (&json!({"claimed": "somebody"}), &json!(REASON)), "{said}");
            assert!(said["contradicted"].is_object() && said["at"].is_u64(), "{said}");
        }
        // New work runs to its end, over both shards, once.
        let slug = format!("after{}", uuid::Uuid::new_v4().simple());
        self.apply(json!([maker(&slug, "1ms")])).await;
        let mut runs = Vec::new();
        for number in [0, 1] {
            let run = self.start_on(number, &slug).await;
            self.until_succeeded(&run).await;
            runs.push(run);
        }
        for number in [0, 1] {
            let asset = asset_on(number, &slug);
            self.until("every run's version is recorded", async || {
                let makers = self.makers(&asset).await;
                runs.iter().all(|run| makers.iter().filter(|maker| *maker == run).count() == 1)
            })
            .await;
        }
        self.is_as_it_should_be().await;
    }

    /// `doctor` is content, and the read models equal those that are made anew.
    async fn is_as_it_should_be(&self) {
        let monitor = headwater::dev::broker_settings(&self.servers.nats.engine()).nats_monitor_url.unwrap();
        let servers = self.named();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let doctor = [&["doctor", "--nats-monitor-url", &monitor], &servers[..]].concat();
        Terminal { engine: self }.exits(0, &doctor).await;
        self.is_rebuilt_alike().await;
    }

    /// The servers, as arguments.
    pub fn named(&self) -> [String; 8] {
        let broker = headwater::dev::broker_settings(&self.servers.nats.engine());
        let (user, password) = (broker.nats_user.unwrap(), broker.nats_password.unwrap());
        let of = |(name, value): (&str, String)| [name.to_owned(), value];
        let nats = [of(("--nats-url", broker.nats_url)), of(("--nats-user", user)), of(("--nats-password", password))];
        let [[a, b], [c, d], [e, f]] = nats;
        [a, b, c, d, e, f, "--postgres-url".to_owned(), self.servers.postgres.url()]
    }

    /// The read models equal those that are made anew.
    pub async fn is_rebuilt_alike(&self) {
        let servers = self.named();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let rebuild = [&["rebuild", "--compare-only"], &servers[..]].concat();
        let compared = Terminal { engine: self }.json(&rebuild).await;
        assert_eq!(compared["equal"], true, "{compared:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_gone_is_accepted_empty_and_its_definitions_come_back() {
    let engine = Engine::start().await;
    let (lost, kept) = (workflow_on(0, "w"), workflow_on(1, "w"));
    let slug = lost["slug"].as_str().unwrap();
    let old = engine.apply(json!([lost, kept])).await;
    let changed = json!({"slug": slug, "steps": [{"id": "b", "action": "noop"}]});
    engine.apply(json!([changed])).await;
    let run = engine.start_on(0, slug).await;
    engine.until_succeeded(&run).await;
    let page = engine.get(&format!("/runs/{run}/events?limit=1")).await;
    let cursor = page.data(200)["next"].as_str().unwrap().to_owned();
    engine.say("$JS.API.STREAM.DELETE.HW_JOURNAL_0", "").await;
    engine.post("/workflows", workflow_on(0, "next")).await.problem("engine/shard_held");
    engine.until_held("its journal is gone").await;
    let listed = engine.get("/holds").await;
    let hold = &listed.data(200)["holds"][0];
    assert_eq!(
        (&hold["shard"], &hold["journal"], &hold["releasable"]),
        (&json!(0), &json!(null), &json!(true)),
        "{hold}"
    );
    engine.post("/holds/1/release", json!({"reason": REASON})).await.problem("hold/not_found");
    for wish in [json!({}), json!({"reason": " "}), json!({"reason": "a\nb"}), json!({"reason": "x", "expect": -1})] {
        engine.post("/holds/0/release", wish).await.problem("request/invalid_field");
    }
    let new = engine.released(0, 0).await;
    engine.get(&format!("/runs/{run}/events?after={cursor}")).await.problem("read/incarnation_replaced");
    engine.goes_on(&[0], &[&old], &[&new]).await;
    // The runs of it are gone, and so is what was shown of them; what other places hold is there.
    engine.get(&format!("/runs/{run}")).await.problem("run/not_found");
    let versions = engine.get(&format!("/workflows/{slug}/versions")).await;
    assert_eq!(versions.data(200)["versions"].as_array().unwrap().len(), 2, "{}", versions.body);
    let again = engine.start_on(0, slug).await;
    engine.until_succeeded(&again).await;
    let traces = engine.get(&format!("/runs/{again}/traces")).await;
    assert!(traces.body.to_string().contains("\"b\""), "the version that was current: {}", traces.body);
    let page = engine.get(&format!("/runs/{again}/events?limit=1")).await;
    let cursor = page.data(200)["next"].as_str().unwrap().to_owned();
    assert!(cursor.starts_with("1."), "{cursor}");
    engine.get(&format!("/runs/{again}/events?after={cursor}")).await.data(200);
    let engine = engine.restarted(async |_| {}).await;
    engine.goes_on(&[0], &[&old], &[&new]).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_an_older_copy_is_accepted_and_what_others_had_sent_comes_again_once() {
    let engine = Engine::start().await;
    engine.apply(json!([maker("slow", "4s"), maker("swift", "1ms")])).await;
    let under_way = engine.start_on(0, "slow").await;
    let older = tempfile::tempdir().unwrap();
    let engine = engine.restarted(async |folder| copy(&store(folder, "HW_JOURNAL_0"), older.path())).await;
    engine.until_ready().await;
    // All this is lost on shard 0, and known on shard 1.
    engine.until_succeeded(&under_way).await;
    let (lost, sent) = (engine.start_on(0, "swift").await, engine.start_on(1, "swift").await);
    for run in [&lost, &sent] {
        engine.until_succeeded(run).await;
    }
    let old = engine.apply(json!([workflow_on(0, "next")])).await;
    let engine = engine.restarted(async |folder| put_back(older.path(), &store(folder, "HW_JOURNAL_0"))).await;
    engine.until_held("has seen entry").await;
    let end = engine.end(0).await;
    let terminal = Terminal { engine: &engine };
    let (listed, _) = terminal.exits(0, &["hold", "list"]).await;
    assert!(listed.contains("has seen entry") && listed.contains(&format!("--expect {end}")), "{listed}");
    terminal.exits(5, &["hold", "release", "0", "--reason", REASON, "--expect", &(end + 1).to_string()]).await;
    let by = ["--reason", REASON, "--actor", "somebody", "--expect"];
    let released = terminal.json(&[&["hold", "release", "0"], &by[..], &[&end.to_string()]].concat()).await;
    assert_eq!(released["incarnation"], 1);
    engine.goes_on(&[0], &[&old], &[released["token"].as_str().unwrap()]).await;
    // What ran in the copy runs on to its end, although what it makes was made before.
    engine.until_succeeded(&under_way).await;
    engine.get(&format!("/runs/{lost}")).await.problem("run/not_found");
    for (asset, made, by_whom) in [
        (asset_on(0, "slow"), 1, &under_way),
        (asset_on(1, "slow"), 1, &under_way),
        (asset_on(0, "swift"), 1, &sent),
        (asset_on(1, "swift"), 1, &sent),
        (asset_on(1, "swift"), 1, &lost),
    ] {
        engine
            .until("it is recorded once", async || {
                let makers = engine.makers(&asset).await;
                makers.iter().filter(|maker| *maker == by_whom).count() == made
            })
            .await;
    }
    engine.is_as_it_should_be().await;
    engine.stop().await;
}

/// Whatever the broker kept fell back, the map of shards with it: what was projected knows how far it had come.
#[tokio::test(flavor = "multi_thread")]
async fn shards_that_fell_back_together_are_accepted_one_after_the_other() {
    let engine = Engine::start().await;
    engine.apply(json!([maker("swift", "1ms")])).await;
    let older = tempfile::tempdir().unwrap();
    let everything = |folder: &Path| folder.join("nats/streams");
    let engine = engine.restarted(async |folder| copy(&everything(folder), older.path())).await;
    engine.until_ready().await;
    let mut old = Vec::new();
    for number in [0, 1] {
        let run = engine.start_on(number, "swift").await;
        engine.until_succeeded(&run).await;
        old.push(engine.apply(json!([workflow_on(number, "next")])).await);
    }
    for token in &old {
        engine.get(&format!("/runs?minSeq={token}")).await.data(200);
    }
    let mut new = Vec::new();
    // Twice: what was released is remembered where the copy does not know it.
    let mut engine = engine;
    for round in 0..2 {
        engine = engine.restarted(async |folder| put_back(older.path(), &everything(folder))).await;
        engine
            .until("both are on hold", async || {
                engine.get("/holds").await.data(200)["holds"].as_array().unwrap().len() == 2
            })
            .await;
        old.append(&mut new);
        for number in [0, 1] {
            let end = engine.end(number).await;
            new.push(engine.released(number, end).await);
        }
        let given_up: Vec<&str> = old.iter().map(String::as_str).collect();
        let current: Vec<&str> = new.iter().map(String::as_str).collect();
        engine.goes_on(&[0, 1], &given_up, &current).await;
        assert!(
            new.iter().all(|token| token.split(':').next_back().unwrap().parse::<u64>().unwrap() >> 40 == round + 1)
        );
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_somebody_made_is_accepted_and_so_is_the_journal_of_another_engine() {
    let engine = Engine::start().await;
    let other = Engine::start().await;
    other.apply(json!([workflow_on(0, "foreign"), maker("swift", "1ms")])).await;
    let foreign = other.start_on(0, "swift").await;
    other.until_succeeded(&foreign).await;
    let theirs = tempfile::tempdir().unwrap();
    let other = other.restarted(async |folder| copy(&store(folder, "HW_JOURNAL_0"), theirs.path())).await;
    other.stop().await;

    let old = engine.apply(json!([workflow_on(0, "w"), maker("swift", "1ms")])).await;
    engine.say("$JS.API.STREAM.DELETE.HW_JOURNAL_0", "").await;
    engine.until_held("its journal is gone").await;
    Topology::new(2, 1).unwrap().apply(&engine.broker().await).await.unwrap();
    engine.until_held("made anew").await;
    let new = engine.released(0, 0).await;
    engine.goes_on(&[0], &[&old], &[&new]).await;
    let engine = engine.restarted(async |folder| put_back(theirs.path(), &store(folder, "HW_JOURNAL_0"))).await;
    engine.until_held("made anew").await;
    let newer = engine.released(0, engine.end(0).await).await;
    engine.goes_on(&[0], &[&old, &new], &[&newer]).await;
    assert_eq!(engine.get(&format!("/runs/{foreign}")).await.data(200)["status"], "succeeded");
    engine.stop().await;
}

/// Nothing can be folded behind what is not a bundle, so it is not accepted: what to do instead is said, and done here.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_with_a_foreign_entry_is_not_accepted_and_a_copy_of_before_it_is() {
    let engine = Engine::start().await;
    let before = tempfile::tempdir().unwrap();
    let engine = engine.restarted(async |folder| copy(&store(folder, "HW_JOURNAL_0"), before.path())).await;
    engine.until_ready().await;
    let old = engine.apply(json!([workflow_on(0, "w"), workflow_on(1, "w")])).await;
    engine.say("hw.journal.0", "[{\"alive\":{}}]").await;
    engine.until_held("is not a bundle").await;
    let listed = engine.get("/holds").await;
    let hold = &listed.data(200)["holds"][0];
    assert_eq!(hold["releasable"], false);
    assert!(hold["instead"].as_str().unwrap().contains("copy of before it"), "{hold}");
    let refused = engine.post("/holds/0/release", json!({"reason": REASON})).await;
    assert!(refused.problem("hold/not_released")["detail"].as_str().unwrap().contains("copy of before it"));
    engine.until_held("is not a bundle").await;
    let engine = engine.restarted(async |folder| put_back(before.path(), &store(folder, "HW_JOURNAL_0"))).await;
    engine.until_held("has seen entry").await;
    let end = engine.end(0).await;
    engine
        .until("its owner says what it finds now", async || {
            engine.get("/holds").await.data(200)["holds"][0]["releasable"] == true
        })
        .await;
    let new = engine.released(0, end).await;
    engine.goes_on(&[0], &[&old], &[&new]).await;
    engine.stop().await;
}
