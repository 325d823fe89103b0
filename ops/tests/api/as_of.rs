//! The catalogue as of a moment: by time, by token, page by page, and what is not read so.

use headwater::settings::{Role, ServeSettings};
use headwater_core::Timestamp;
use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::engine::{DEADLINE, Engine};

/// The maker makes `made.report`; of one thing or the other, as its versions say.
fn maker(uses: &str) -> Value {
    json!({"slug": "maker", "steps": [
        {"id": "make", "action": {"kind": "transform", "output": {"of": uses}}, "produces": [{"assetId": "made.report"}],
         "consumes": [{"assetId": uses, "onMiss": "ignore"}]},
    ]})
}

/// What was written when: tokens, in this order.
struct Told {
    engine: Engine,
    /// Version 1 of the maker.
    first: String,
    /// Its run, which records version 1 of the report.
    made: String,
    /// Version 2, which uses something else.
    second: String,
    /// Another run, and version 2 of the report.
    made_again: String,
    /// Version 1 is current again.
    back: String,
}

impl Told {
    async fn tell() -> Self {
        let engine = Engine::start().await;
        let make = async || {
            let ended = engine.post("/workflows/maker/runs?wait=30s&readable=10s", json!({})).await;
            assert_eq!(ended.data(200)["status"], "succeeded");
            ended.data(200)["token"].as_str().unwrap().to_owned()
        };
        let first = engine.apply(maker("thing.one")).await;
        let made = make().await;
        let second = engine.apply(maker("thing.two")).await;
        let made_again = make().await;
        let back = engine.apply(maker("thing.one")).await;
        Self { first, made, second, made_again, back, engine }
    }

    async fn seen(&self, path: &str, as_of: &str) -> Value {
        let mark = if path.contains('?') { '&' } else { '?' };
        self.engine.get(&format!("{path}{mark}asOf={as_of}")).await.data(200).clone()
    }

    /// The current version, every version, what the workflow uses, and the versions of the report, as of a moment.
    async fn looks(&self, as_of: &str) -> (u64, Vec<u64>, String, Vec<u64>) {
        let current = self.seen("/workflows/maker", as_of).await;
        let numbers =
            |list: &Value| list.as_array().unwrap().iter().map(|of| of["version"].as_u64().unwrap()).collect();
        let versions = self.seen("/workflows/maker/versions", as_of).await;
        let inventory = self.seen("/workflows/maker/assets", as_of).await;
        let used = inventory["assets"].as_array().unwrap().iter().find(|of| of["consumers"] != json!([])).unwrap();
        let history = self.seen("/workflows/maker/assets/made.report/history", as_of).await;
        let also = self.seen("/assets/made.report", as_of).await;
        assert_eq!(also["latest"]["version"], history["history"][0]["version"]);
        assert_eq!(also["producers"][0]["workflowVersion"], current["version"]);
        let listed = self.seen("/workflows?limit=1", as_of).await;
        assert_eq!(listed["workflows"][0]["version"], current["version"]);
        (
            current["version"].as_u64().unwrap(),
            numbers(&versions["versions"]),
            used["assetId"].as_str().unwrap().to_owned(),
            numbers(&history["history"]),
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_read_as_it_was() {
    let told = Told::tell().await;
    let engine = &told.engine;
    let (one, two) = ("thing.one".to_owned(), "thing.two".to_owned());
    let then = [
        (&told.first, (1, vec![1], one.clone(), vec![])),
        (&told.made, (1, vec![1], one.clone(), vec![1])),
        (&told.second, (2, vec![2, 1], two.clone(), vec![1])),
        (&told.made_again, (2, vec![2, 1], two, vec![2, 1])),
        (&told.back, (1, vec![2, 1], one, vec![2, 1])),
    ];
    for (token, expected) in &then {
        assert_eq!(told.looks(token).await, *expected, "{token}");
    }
    // The time of the last selection and one before it; UTC or not.
    let selected = told.seen("/workflows/maker", &told.second).await["appliedAt"].as_str().unwrap().to_owned();
    let selected: Timestamp = selected.parse().unwrap();
    let before = Timestamp::from_micros(selected.as_micros() - 1);
    assert_eq!(told.looks(&selected.to_string()).await.0, 2);
    assert_eq!(told.looks(&before.to_string()).await.1, [1]);
    assert_eq!(told.looks(&selected.to_string().replace('Z', "%2B00:00")).await.0, 2);
    // Nothing tells how a run goes on.
    let made = told.seen("/assets/made.report/history", &told.made).await["history"][0].clone();
    assert_eq!(
        (&made["runStatus"], &made["stepStatus"], &made["runCompletedAt"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let now = engine.get("/assets/made.report/history").await;
    assert_eq!(now.data(200)["history"][1]["runStatus"], "succeeded");
    let recorded = made["recordedAt"].as_str().unwrap();
    assert_eq!(told.seen("/assets", recorded).await["assets"][0]["latestVersion"], 1);
    // With a mark to wait for beside it.
    let both = format!("/workflows/maker?asOf={}&minSeq={}", told.first, told.back);
    assert_eq!(engine.get(&both).await.data(200)["version"], 1);

    for beginning in ["2001-01-01T00:00:00Z", "0:0,1:0"] {
        assert_eq!(told.seen("/workflows", beginning).await["workflows"], json!([]));
        assert_eq!(told.seen("/assets", beginning).await["assets"], json!([]));
        for (path, code) in [
            ("/workflows/maker", "workflow/not_found"),
            ("/workflows/maker/versions", "workflow/not_found"),
            ("/workflows/maker/versions/1", "workflow/not_found"),
            ("/workflows/maker/assets", "workflow/not_found"),
            ("/workflows/maker/assets/made.report/history", "workflow/not_found"),
            ("/assets/made.report", "asset/not_found"),
            ("/assets/made.report/history", "asset/not_found"),
        ] {
            engine.get(&format!("{path}?asOf={beginning}")).await.problem(code);
        }
    }
    let not_then = format!("/workflows/maker/versions/2?asOf={}", told.made);
    engine.get(&not_then).await.problem("workflow/version_not_found");
    let undeclared = format!("/workflows/maker/assets/thing.two/history?asOf={}", told.back);
    engine.get(&undeclared).await.problem("asset/not_declared");

    let terminal = Terminal { engine };
    let shown = terminal.json(&["asset", "history", "made.report", "--as-of", &told.made]).await;
    assert_eq!(shown["history"].as_array().unwrap().len(), 1);
    assert_eq!(terminal.json(&["asset", "get", "made.report", "--as-of", &told.first]).await["latest"], Value::Null);
    let east = selected.to_string().replace('Z', "+00:00");
    assert_eq!(terminal.json(&["asset", "list", "--as-of", &east]).await["assets"][0]["latestVersion"], 1);
    terminal.exits(2, &["asset", "list", "--as-of", "yesterday"]).await;
    told.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_stay_at_the_moment_they_began_with() {
    let engine = Engine::start().await;
    let plain = |slug: &str| json!({"slug": slug, "steps": [{"id": "a", "action": "noop"}]});
    let mut marks = Vec::new();
    for slug in ["b", "d", "f"] {
        marks.push(engine.apply(plain(slug)).await);
    }
    let then = marks.join(",");
    let first = engine.get(&format!("/workflows?limit=1&asOf={then}")).await.data(200).clone();
    let mut cursor = first["next"].as_str().unwrap().to_owned();
    engine.apply(json!([plain("c"), plain("e")])).await;
    let elsewhere = engine.get("/workflows?limit=1").await.data(200)["next"].as_str().unwrap().to_owned();
    let with = |cursor: &str, as_of: &str| format!("/workflows?limit=1&cursor={cursor}{as_of}");
    for other in [&format!("&asOf={}", marks[0]), "&asOf=2001-01-01T00:00:00Z"] {
        engine.get(&with(&cursor, other)).await.problem("request/invalid_cursor");
    }
    engine.get(&with(&elsewhere, &format!("&asOf={then}"))).await.problem("request/invalid_cursor");
    for garbled in ["b@", "b@yesterday", "b@1:2@1:2", "@0:1"] {
        engine.get(&with(garbled, "")).await.problem("request/invalid_cursor");
    }
    let mut slugs = vec![first["workflows"][0]["slug"].clone()];
    for as_of in ["", &format!("&asOf={then}")] {
        let page = engine.get(&with(&cursor, as_of)).await.data(200).clone();
        slugs.push(page["workflows"][0]["slug"].clone());
        cursor = page["next"].as_str().unwrap().to_owned();
    }
    assert_eq!(slugs, ["b", "d", "f"]);
    assert_eq!(engine.get(&with(&cursor, "")).await.data(200)["workflows"], json!([]));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_moment_or_not_of_the_catalogue_is_refused() {
    let engine = Engine::start().await;
    let token = engine.apply(maker("thing.one")).await;
    let started = engine.post("/workflows/maker/runs?wait=30s&readable=10s", json!({})).await;
    let run = started.data(200)["runId"].as_str().unwrap();
    let catalogue = [
        "/workflows",
        "/workflows/maker",
        "/workflows/maker/versions",
        "/workflows/maker/versions/1",
        "/workflows/maker/assets",
        "/workflows/maker/assets/made.report/history",
        "/assets",
        "/assets/made.report",
        "/assets/made.report/history",
    ];
    let malformed = ["", "yesterday", "2026-11-26", "2026-11-26T12:00:00+02:00", "1969-12-31T23:59:59Z", "17"];
    for path in catalogue {
        engine.get(&format!("{path}?asOf={token}")).await.data(200);
        for bad in malformed {
            let answer = engine.get(&format!("{path}?asOf={bad}")).await;
            assert_eq!(answer.problem("request/invalid_parameter")["parameter"], "asOf", "{path} {bad}");
        }
        for bad in ["0:", "2:1", "1023:0", "0:999999999", &format!("{token},1:999999999")] {
            engine.get(&format!("{path}?asOf={bad}")).await.problem("request/invalid_token");
        }
        for ahead in ["9999-01-01T00:00:00Z", "2999-01-01T00:00:00%2B01:00"] {
            assert_eq!(engine.get(&format!("{path}?asOf={ahead}")).await.problem("read/not_yet")["parameter"], "asOf");
        }
        engine.get(&format!("{path}?asOf={token}&asOf={token}")).await.problem("request/invalid_parameter");
        engine.get(&format!("{path}?asof={token}")).await.problem("request/invalid_parameter");
    }
    let others = [
        "/runs".to_owned(),
        format!("/runs/{run}"),
        format!("/runs/{run}/traces"),
        format!("/runs/{run}/events"),
        format!("/runs/{run}/events/stream"),
        "/projection".to_owned(),
        "/queues/make".to_owned(),
        "/quarantine".to_owned(),
        "/holds".to_owned(),
    ];
    for path in others {
        for as_of in [token.as_str(), "yesterday"] {
            let answer = engine.get(&format!("{path}?asOf={as_of}")).await;
            assert_eq!(answer.problem("read/not_as_of")["parameter"], "asOf", "{path}");
        }
    }
    let start = engine.post(&format!("/workflows/maker/runs?asOf={token}"), json!({})).await;
    start.problem("read/not_as_of");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_that_is_not_all_projected_is_waited_for() {
    let roles = vec![Role::Api, Role::Shards];
    let engine = Engine::with(|settings| ServeSettings { roles, ..settings }).await;
    let applied = async {
        loop {
            let answer = engine.post("/workflows", maker("thing.one")).await;
            if answer.status.is_success() {
                return answer.body["data"]["token"].as_str().unwrap().to_owned();
            }
        }
    };
    let token = tokio::time::timeout(DEADLINE, applied).await.expect("the shards get an owner");
    // Nobody projects here.
    let database = headwater_projector::Database::at(&engine.servers.postgres.url()).unwrap();
    database.migrate().await.unwrap();
    for as_of in [token.as_str(), "2026-01-01T00:00:00Z"] {
        engine.get(&format!("/workflows?asOf={as_of}")).await.problem("read/not_caught_up");
    }
    engine.stop().await;
}

/// An idle shard writes an entry without a commit for each command it refuses: whoever names a place behind many of them
/// means the commit before them all.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_behind_many_entries_without_a_commit_is_of_the_commit_before_them() {
    let engine = Engine::start().await;
    let applied = engine.apply(json!({"slug": "brief", "steps": [{"id": "a", "action": "noop"}]})).await;
    let ended = engine.post("/workflows/brief/runs?wait=30s&readable=10s", json!({})).await.data(200).clone();
    let (run, token) = (ended["runId"].as_str().unwrap(), ended["token"].as_str().unwrap());
    let (shard, ended_at) = token.split_once(':').unwrap();
    let shard: u64 = shard.parse().unwrap();
    assert!(!applied.is_empty() && !ended_at.contains(','), "one place: {token}");
    for _ in 0..400 {
        engine.post(&format!("/runs/{run}/cancel"), json!({})).await.problem("run/closed");
    }
    // Two stretches at least are looked at.
    let end = ended_at.parse::<u64>().unwrap() + 400;
    let projected = async {
        loop {
            let cursors = engine.get("/projection").await.data(200)["cursors"].clone();
            let cursor = cursors.as_array().unwrap().iter().find(|of| of["shard"] == shard).cloned();
            if cursor.is_some_and(|of| of["sequence"].as_u64().unwrap() >= end) {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, projected).await.expect("each refusal writes an entry");
    // What came after the place is not of it, in no shard.
    let of_another = async || {
        for slug in ["late-a", "late-b", "late-c", "late-d", "late-e", "late-f", "late-g", "late-h"] {
            let token = engine.apply(json!({"slug": slug, "steps": [{"id": "a", "action": "noop"}]})).await;
            if !token.starts_with(&format!("{shard}:")) {
                return;
            }
        }
        panic!("they are shared among the shards");
    };
    of_another().await;
    let goes_on = async {
        let begins = format!("{shard}:");
        let start = async || engine.post("/workflows/brief/runs", json!({})).await.data(202)["token"].clone();
        while !start().await.as_str().unwrap().starts_with(&begins) {}
    };
    tokio::time::timeout(DEADLINE, goes_on).await.expect("runs are shared among the shards");
    let seen = engine.get(&format!("/workflows?asOf={shard}:{end}")).await;
    assert_eq!(seen.data(200)["workflows"][0]["slug"], "brief");
    // Nothing but those entries came between: no more of the other shards is seen than as of the end of the run.
    let then = engine.get(&format!("/workflows?asOf={token}")).await;
    assert_eq!(seen.data(200)["workflows"], then.data(200)["workflows"]);
    engine.stop().await;
}
