//! Reusable actions from outside: how they come in, what workflows hold of them, and who uses which version.

use headwater::settings::ServeSettings;
use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::engine::Engine;

fn action(word: &str) -> Value {
    json!({"kind": "action", "slug": "greet", "description": "says it", "inputSchema":
            {"type": "object", "required": ["name"], "additionalProperties": false, "properties": {"name": {"type": "string"}}},
        "outputSchema": {"type": "string"},
        "action": {"kind": "transform", "output": format!("{word} ${{{{ params.name }}}}")}})
}

fn workflow(slug: &str, reference: &str) -> Value {
    json!({"slug": slug, "output": "${{ nodes.say.output }}", "steps":
        [{"id": "say", "action": {"ref": reference}, "with": {"name": "${{ input.name }}"}}]})
}

async fn said(engine: &Engine, workflow: &str) -> Value {
    let path = format!("/workflows/{workflow}/runs?wait=60s");
    let run =
        engine.post(&path, json!({"input": {"name": "you"}})).await.data(200)["runId"].as_str().unwrap().to_owned();
    engine.get(&format!("/runs/{run}")).await.data(200)["output"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_hold_copies_of_the_actions_they_name() {
    let engine = Engine::with(|settings| ServeSettings { shards: 3, ..settings }).await;
    engine.becomes_ready().await;
    let unknown = engine.post("/workflows", json!([workflow("a", "greet")])).await;
    let problem = &unknown.problem("definition/invalid")["problems"][0];
    assert_eq!((&problem["path"], &problem["code"]), (&json!("/steps/0/action/ref"), &json!("dangling_reference")));

    let both = json!([workflow("a", "greet"), action("hello")]);
    let valid = engine.post("/workflows/validate", both.clone()).await;
    assert_eq!(valid.data(200)["actions"][0]["slug"], "greet");
    let applied = engine.post("/workflows", both.clone()).await;
    assert_eq!(
        (&applied.data(201)["actions"][0]["version"], &applied.data(201)["workflows"][0]["version"]),
        (&json!(1), &json!(1))
    );
    let again = engine.post("/workflows", both).await;
    assert_eq!(
        (&again.data(200)["actions"][0]["created"], &again.data(200)["workflows"][0]["created"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(said(&engine, "a").await, "hello you");

    // A new version changes no workflow until that is applied again.
    engine.apply(json!([action("bye")])).await;
    assert_eq!(said(&engine, "a").await, "hello you");
    let token = engine.apply(json!([workflow("a", "greet"), workflow("b", "greet@1")])).await;
    assert_eq!((said(&engine, "a").await, said(&engine, "b").await), (json!("bye you"), json!("hello you")));
    let diff = engine.get(&format!("/workflows/a/versions/1/diff/2?minSeq={token}")).await;
    let paths: Vec<_> =
        diff.data(200)["changes"].as_array().unwrap().iter().map(|change| change["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/action/output", "/ref"]);

    let used = engine.get("/actions/greet").await.data(200).clone();
    assert_eq!((&used["version"], &used["document"]["kind"]), (&json!(2), &json!("action")));
    let user = |workflow: &str, workflow_version: u32, version: u32| json!({"workflow": workflow, "workflowVersion": workflow_version, "nodeId": "say", "version": version});
    assert_eq!(used["users"], json!([user("a", 2, 2), user("b", 1, 1)]));
    let list = engine.get("/actions?limit=1").await.data(200).clone();
    assert_eq!((&list["actions"][0]["workflows"], &list["next"]), (&json!(2), &json!("greet")));
    assert_eq!(engine.get("/actions/greet/versions").await.data(200)["versions"].as_array().unwrap().len(), 2);
    assert_eq!(engine.get("/actions/greet/versions/1").await.data(200)["current"], false);
    engine.get("/actions/greet/versions/3").await.problem("action/not_found");
    engine.get("/actions/nothing").await.problem("action/not_found");

    // What undoes a node names none, also not one that is there.
    let undo = json!({"action": {"ref": "greet"}, "with": {"name": "you"}});
    let undone = json!({"slug": "c", "steps": [{"id": "a", "jobSlug": "x", "compensate": undo}]});
    let problem = engine.post("/workflows", undone).await.problem("definition/invalid")["problems"][0].clone();
    assert!(problem["path"].as_str().unwrap().starts_with("/steps/0/compensate"), "{problem}");

    // What is shown can be applied; what says that it is what it is not cannot.
    let shown = engine.get("/workflows/a").await.data(200)["document"].clone();
    assert_eq!(engine.post("/workflows", shown.clone()).await.data(200)["workflows"][0]["version"], 2);
    let mut forged = shown;
    forged["steps"][0]["ref"] = json!("greet@1");
    let problem = engine.post("/workflows", forged).await.problem("definition/invalid")["problems"][0].clone();
    assert_eq!(problem["path"], "/steps/0/ref");
    wrong_parameters_are_told_where_they_stand(&engine).await;
    whole_batches_have_them_too(&engine).await;
    commands(&engine).await;
    engine.stop().await;
}

async fn wrong_parameters_are_told_where_they_stand(engine: &Engine) {
    let text = "slug: c\nsteps:\n- id: say\n  action: {ref: greet}\n  with:\n    nam: 3\n";
    let refused = engine.post_text("/workflows", "application/yaml", text).await;
    let problems = refused.problem("definition/invalid")["problems"].as_array().unwrap().iter();
    let told: Vec<_> = problems.map(|one| (one["path"].as_str().unwrap(), one["line"].as_u64())).collect();
    assert_eq!(told, [("/steps/0/with/name", Some(6)), ("/steps/0/with/nam", Some(6))]);
}

async fn whole_batches_have_them_too(engine: &Engine) {
    let documents = [
        workflow("d", "other"),
        json!({"kind": "action", "slug": "other", "action": {"kind": "transform", "output": "x"}}),
    ];
    let lines: String = documents.iter().map(|document| format!("{document}\n")).collect();
    let applied = engine.post_text("/batches", "application/x-ndjson", lines).await;
    assert_eq!(
        (&applied.data(201)["actions"][0]["slug"], &applied.data(201)["workflows"][0]["slug"]),
        (&json!("other"), &json!("d"))
    );
    // Of another workspace nothing is seen.
    let elsewhere = engine.request(reqwest::Method::GET, "/actions/greet").header("headwater-workspace", "elsewhere");
    engine.send(elsewhere).await.problem("action/not_found");
}

async fn commands(engine: &Engine) {
    let terminal = Terminal { engine };
    let folder = tempfile::tempdir().unwrap();
    let (file, path) = (folder.path().join("all.yaml"), folder.path().to_str().unwrap().to_owned());
    let text = "kind: action\nslug: nap\naction: {kind: sleep, duration: \"${{ params.time }}\"}\n---\n\
                slug: naps\nsteps:\n- {id: nap, action: {ref: nap}, with: {time: 1ms}}\n\
                - {id: greet, action: {ref: greet@2}, with: {name: x}}\n";
    std::fs::write(file, text).unwrap();
    let (table, warned) = terminal.exits(0, &["validate", &path]).await;
    assert!(table.contains("nap") && warned.contains("all.yaml:8") && warned.contains("greet@2"), "{table}\n{warned}");
    let (table, _) = terminal.exits(0, &["apply", &path]).await;
    assert_eq!(table.matches("new version").count(), 2, "{table}");
    let mut shown = String::new();
    // Who uses it stands in the read models, which follow.
    for _ in 0..100 {
        (shown, _) = terminal.exits(0, &["action", "show", "nap@1"]).await;
        if shown.contains("naps") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(shown.starts_with("nap@1 ") && shown.contains("naps"), "{shown}");
    let listed = terminal.json(&["action", "list"]).await;
    assert_eq!(listed["actions"].as_array().unwrap().iter().filter(|one| one["workflows"] == 1).count(), 2, "{listed}");
    terminal.exits(4, &["action", "show", "nothing"]).await;
}
