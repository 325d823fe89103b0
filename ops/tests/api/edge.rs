//! What is refused at the edge, each with its code.

use reqwest::Method;
use serde_json::json;

use crate::engine::Engine;

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_with_their_codes() {
    let engine = Engine::start().await;
    engine.apply(json!({"slug": "pure", "steps": [{"id": "a", "action": "noop"}]})).await;
    bodies(&engine).await;
    names_and_parameters(&engine).await;
    what_reads_must_see(&engine).await;
    headers(&engine).await;
    engine.stop().await;
}

async fn bodies(engine: &Engine) {
    let start = "/workflows/pure/runs";
    let deep = format!("{{\"input\":{{\"a\":{}1{}}}}}", "[".repeat(70), "]".repeat(70));
    let large = format!("{{\"input\":{{\"a\":\"{}\"}}}}", "x".repeat(1024 * 1024));
    let cases: [(&str, Vec<u8>, &str); 13] = [
        ("application/json", b"{\"input\": ".to_vec(), "request/not_json"),
        ("application/json", b"{\"input\": {}} x".to_vec(), "request/not_json"),
        ("application/json", b"{\"input\": {\"a\": \"\xff\"}}".to_vec(), "request/not_utf8"),
        ("application/json", deep.into_bytes(), "request/too_deep"),
        ("application/json", large.into_bytes(), "request/too_large"),
        ("application/json", b"{\"input\": {\"a\": 1, \"a\": 2}}".to_vec(), "request/duplicate_key"),
        ("application/json", b"{\"input\": {\"a\": \"\\u0000\"}}".to_vec(), "request/nul_character"),
        ("application/json", b"{\"input\": {\"a\": 18446744073709551616}}".to_vec(), "request/number_out_of_range"),
        ("application/json", b"{\"inputs\": {}}".to_vec(), "request/unknown_field"),
        ("application/json", b"{\"input\": {}, \"parameters\": {}}".to_vec(), "request/invalid_field"),
        ("application/json", b"{\"version\": \"one\"}".to_vec(), "request/invalid_field"),
        ("application/json", b"[]".to_vec(), "request/invalid_field"),
        ("application/json", b"{\"input\": 7}".to_vec(), "run/input_invalid"),
    ];
    for (media, body, code) in cases {
        engine.post_text(start, media, body).await.problem(code);
    }
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/yaml"] {
        engine.post_text(start, media, "{}").await.problem("request/media_type");
    }
    // A body of unknown length is counted as it comes.
    let chunks = (0..1_200).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024]));
    let endless = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    engine.post_text(start, "application/json", endless).await.problem("request/too_large");
    engine.post_text(start, "application/json", "").await.data(202);
    engine.post_text("/workflows", "application/yaml", "a: [").await.problem("request/not_yaml");
    engine.post_text("/workflows", "application/yaml", "slug: a\nslug: b\n").await.problem("request/duplicate_key");
    engine.post_text("/workflows", "application/json", "[]").await.problem("request/invalid_field");
}

async fn names_and_parameters(engine: &Engine) {
    let cases = [
        ("/workflows/UPPER", "request/invalid_name"),
        ("/workflows/a.b", "request/invalid_name"),
        ("/workflows/*/versions", "request/invalid_name"),
        ("/workflows/%3E", "request/invalid_name"),
        ("/workflows/%ff", "request/invalid_name"),
        ("/workflows/pure/versions/0", "request/invalid_name"),
        ("/workflows/pure/versions/one", "request/invalid_name"),
        ("/workflows/pure/versions/99999999999", "request/invalid_name"),
        ("/workflows/pure/assets/a..b/history", "request/invalid_name"),
        ("/runs/not-a-run", "request/invalid_name"),
        ("/queues/a.b", "request/invalid_name"),
        ("/runs?limit=0", "request/invalid_parameter"),
        ("/runs?limit=101", "request/invalid_parameter"),
        ("/runs?limit=many", "request/invalid_parameter"),
        ("/runs?status=done", "request/invalid_parameter"),
        ("/runs?workflow=A", "request/invalid_parameter"),
        ("/runs?worklow=pure", "request/invalid_parameter"),
        ("/runs?workflow=a&workflow=b", "request/invalid_parameter"),
        ("/assets?prefix=%00", "request/invalid_parameter"),
        ("/assets/a/history?partitionKey=*", "request/invalid_parameter"),
        ("/runs?cursor=garbled", "request/invalid_cursor"),
        ("/runs?cursor=1.2.3", "request/invalid_cursor"),
        ("/workflows?cursor=../x", "request/invalid_cursor"),
        ("/runs/01a1fd57-1f7e-7daa-8743-cc3c4dfbf400/events?after=-1", "request/invalid_cursor"),
        ("/runs?minSeq=x", "request/invalid_token"),
        ("/runs?minSeq=77:1", "request/invalid_token"),
        ("/nothing/here", "route/not_found"),
        ("/problems/no/such", "route/not_found"),
        ("/", "route/not_found"),
    ];
    for (path, code) in cases {
        engine.get(path).await.problem(code);
    }
    engine.get("/runs?cursor=18446744073709551615.01a1fd57-1f7e-7daa-8743-cc3c4dfbf400").await.data(200);
    let delete = engine.send(engine.request(Method::DELETE, "/runs")).await;
    delete.problem("route/method_not_allowed");
    assert_eq!(delete.headers["allow"], "GET,HEAD");
    engine.post("/workflows/pure/runs?wait=forever", json!({})).await.problem("request/invalid_parameter");
    engine.post("/workflows/pure/runs?wait=1d", json!({})).await.problem("request/invalid_parameter");
}

/// Every route that documents `minSeq` or `asOf` heeds it, no other takes it, and none takes what nothing reads.
async fn what_reads_must_see(engine: &Engine) {
    let (mut reading, mut as_of, mut others) = (0, 0, 0);
    for (path, item) in headwater::api::openapi_document()["paths"].as_object().unwrap() {
        let Some(get) = item.get("get") else { continue };
        let minds = |name: &str| {
            let mut parameters = get["parameters"].as_array().into_iter().flatten();
            parameters.any(|one| one["$ref"] == format!("#/components/parameters/{name}"))
        };
        let named =
            [("slug", "pure"), ("version", "1"), ("assetId", "a"), ("queue", "q"), ("area", "run"), ("name", "closed")];
        let run = "01a1fd57-1f7e-7daa-8743-cc3c4dfbf400";
        let more = [
            ("other", "1"),
            ("taskId", "01a1fd57-1f7e-7daa-8743-cc3c4dfbf400.a.1"),
            ("updateId", run),
            ("runId", run),
            ("aggregate", "run%2F01a1fd57-1f7e-7daa-8743-cc3c4dfbf400"),
            ("shard", "0"),
            ("digest", &"0".repeat(64)),
        ];
        let fill = |path: String, (name, value): &(&str, &str)| path.replace(&format!("{{{name}}}"), value);
        let path = named.iter().chain(&more).fold(path.clone(), fill);
        assert!(!path.contains('{'), "{path}");
        let code = if minds("minSeq") { "request/invalid_token" } else { "request/invalid_parameter" };
        engine.get(&format!("{path}?minSeq=x")).await.problem(code);
        let code = if minds("asOf") { "request/invalid_parameter" } else { "read/not_as_of" };
        let moment = engine.get(&format!("{path}?asOf=2026-01-01")).await;
        assert_eq!(moment.problem(code)["parameter"], "asOf", "{path}");
        let unread = engine.get(&format!("{path}?asSeen=2026-01-01T00:00:00Z")).await;
        assert_eq!(unread.problem("request/invalid_parameter")["parameter"], "asSeen", "{path}");
        as_of += usize::from(minds("asOf"));
        *if minds("minSeq") { &mut reading } else { &mut others } += 1;
    }
    assert!(reading >= 13 && as_of >= 9 && others >= 6, "{reading} {as_of} {others}");
}

async fn headers(engine: &Engine) {
    let long = "k".repeat(201);
    let cases = [
        ("headwater-workspace", "UPPER", "request/invalid_header"),
        ("headwater-workspace", "a.*", "request/invalid_header"),
        ("headwater-token", "x", "request/invalid_token"),
        ("headwater-actor", "", "request/invalid_header"),
        ("headwater-actor", "an\tna", "request/invalid_header"),
    ];
    for (name, value, code) in cases {
        engine.send(engine.request(Method::GET, "/runs").header(name, value)).await.problem(code);
    }
    for key in ["", &long] {
        let request = engine.request(Method::POST, "/workflows/pure/runs").header("idempotency-key", key);
        engine.send(request).await.problem("request/invalid_header");
    }
    let bytes = reqwest::header::HeaderValue::from_bytes(b"\xff").unwrap();
    let request = engine.request(Method::POST, "/workflows/pure/runs").header("idempotency-key", bytes);
    engine.send(request).await.problem("request/invalid_header");
}
