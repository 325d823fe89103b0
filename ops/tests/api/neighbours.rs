//! Definitions among others: what several workflows say of one asset.

use serde_json::{Value, json};

use crate::engine::Engine;

fn produces(slug: &str, schema: Value) -> Value {
    json!({"slug": slug, "steps": [
        {"id": "first", "action": "noop"},
        {"id": "make", "jobSlug": "make", "produces": [{"assetId": "the.report", "schema": schema}]},
    ]})
}

fn consumes(slug: &str, schema: Value) -> Value {
    json!({"slug": slug, "nodes": [
        {"id": "use", "jobSlug": "use", "consumes": [{"assetId": "The.Report", "schema": schema}]},
    ]})
}

/// The findings as `slug path code severity`.
fn told(findings: &Value, slug: &str) -> Vec<String> {
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let line = |finding: &Value| {
        format!("{slug} {} {} {}", text(finding, "path"), text(finding, "code"), text(finding, "severity"))
    };
    findings.as_array().unwrap().iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_compared_with_what_other_workflows_declare() {
    let engine = Engine::start().await;
    engine.becomes_ready().await;
    let (little, much) = (json!({"required": ["a"]}), json!({"required": ["a", "b"]}));
    engine.apply(produces("maker", much.clone())).await;
    engine.apply(consumes("user", much.clone())).await;

    // Less than the consumer that is there needs: refused, and nothing of the request is applied.
    let request =
        json!([{"slug": "other", "steps": [{"id": "a", "action": "noop"}]}, produces("maker", little.clone())]);
    for path in ["/workflows", "/workflows/validate"] {
        let refused = engine.post(path, request.clone()).await;
        let problem = refused.problem("definition/invalid");
        assert_eq!(told(&problem["problems"], "maker"), ["maker /steps/1/produces/0 contract_break error"]);
        assert_eq!(problem["problems"][0]["document"], 1);
        let message = problem["problems"][0]["message"].as_str().unwrap();
        assert!(message.contains("user (node `use`)") && message.contains("requires /b"), "{message}");
    }
    engine.get("/workflows/other").await.problem("workflow/not_found");

    // Together with the consumer that asks for less, it goes.
    engine.apply(json!([produces("maker", little.clone()), consumes("user", little)])).await;
    let needy = engine.post("/workflows", consumes("user", much.clone())).await;
    let warnings = &needy.data(201)["workflows"][0]["warnings"];
    assert_eq!(told(warnings, "user"), ["user /nodes/0/consumes/0 contract_break warning"]);

    let second = engine.post("/workflows", produces("rival", much)).await;
    let warnings = &second.data(201)["workflows"][0]["warnings"];
    assert_eq!(told(warnings, "rival"), ["rival /steps/1/produces/0 several_producers warning"]);

    let path = tempfile::tempdir().unwrap();
    let file = path.path().join("rival.json");
    std::fs::write(&file, produces("rival", json!({"required": ["a", "b"]})).to_string()).unwrap();
    let command = tokio::process::Command::new(env!("CARGO_BIN_EXE_headwater"))
        .arg("apply")
        .arg(&file)
        .env("HEADWATER_API", &engine.base)
        .output();
    let output = command.await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("rival.json:1:") && told.contains(": warning in rival"), "{told}");
    assert!(told.contains("[several_producers]") && told.contains("`the.report` is produced by maker too"), "{told}");
    circles(&engine).await;
    engine.stop().await;
}

/// `chicken` is made from `egg`, `egg` from `nest`, and `nest` from `chicken`.
async fn circles(engine: &Engine) {
    let makes = |slug: &str, makes: &str, from: &str, on_miss: &str| {
        json!({"slug": slug, "steps": [{"id": "make", "jobSlug": "make", "produces": [{"assetId": makes}],
                                        "consumes": [{"assetId": from, "onMiss": on_miss}]}]})
    };
    engine.apply(makes("chickens", "chicken", "egg", "materialize")).await;
    engine.apply(makes("eggs", "egg", "nest", "materialize")).await;
    let closing = engine.post("/workflows", makes("nests", "nest", "chicken", "materialize")).await;
    let warnings = &closing.data(201)["workflows"][0]["warnings"];
    assert_eq!(told(warnings, "nests"), ["nests /steps/0/consumes/0 asset_circle warning"]);
    let message = warnings[0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("chickens makes `chicken` from `egg`, eggs makes `egg` from `nest`, which"),
        "{message}"
    );
    let open = engine.post("/workflows", makes("nests", "nest", "chicken", "ignore")).await;
    assert_eq!(open.data(201)["workflows"][0]["warnings"], json!([]));
}
