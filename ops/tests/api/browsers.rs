//! What a web page that is open on the same machine can do: nothing.

use headwater::settings::ServeSettings;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::engine::{DEADLINE, Engine};

/// Sends these bytes and reads until the connection is closed.
async fn raw(engine: &Engine, bytes: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(engine.base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_starts_nothing_and_reads_nothing() {
    let change = |settings| ServeSettings { allowed_hosts: vec!["ui.example".parse().unwrap()], ..settings };
    let engine = Engine::with(change).await;
    let ready = async { while engine.get("/readyz").await.status != StatusCode::OK {} };
    tokio::time::timeout(DEADLINE, ready).await.expect("the engine becomes ready");
    engine.apply(json!({"slug": "pure", "steps": [{"id": "a", "action": "noop"}]})).await;
    let start = "/workflows/pure/runs";
    let own = engine.base.clone();
    let post = |headers: &[(&str, &str)]| {
        let request = engine.request(Method::POST, start);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    for headers in [
        [("origin", "http://evil.example"), ("content-type", "application/json")],
        [("origin", "null"), ("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
        [("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:1")],
    ] {
        engine.send(post(&headers)).await.problem("request/cross_origin");
    }
    for path in [start, "/workflows", "/workflows/validate", "/runs/01a1fd57-1f7e-7daa-8743-cc3c4dfbf400/cancel"] {
        let request = engine.request(Method::POST, path).header("origin", "http://evil.example").json(&json!({}));
        engine.send(request).await.problem("request/cross_origin");
    }
    // A body without a type, as a page sends an untyped Blob; and one that is compressed.
    engine.send(post(&[]).body("{}")).await.problem("request/media_type");
    engine.send(engine.request(Method::POST, "/workflows").body("slug: x")).await.problem("request/media_type");
    let zipped = post(&[("content-type", "application/json"), ("content-encoding", "gzip")]).body(&b"\x1f\x8b\x08"[..]);
    engine.send(zipped).await.problem("request/content_encoding");

    let mut tokens = Vec::new();
    for request in [
        post(&[("origin", &own), ("sec-fetch-site", "same-origin")]).json(&json!({})),
        post(&[("origin", "https://ui.example"), ("sec-fetch-site", "cross-site")]),
        post(&[]),
    ] {
        tokens.push(engine.send(request).await.data(202)["token"].as_str().unwrap().to_owned());
    }

    // A name that a page made point here.
    for path in ["/runs", "/readyz", "/metrics", "/nothing"] {
        let rebound = engine.request(Method::GET, path).header("host", "rebound.example");
        engine.send(rebound).await.problem("request/unknown_host");
        engine.send(engine.request(Method::GET, path).header("host", "ui.example")).await;
    }
    let answer = engine.send(engine.request(Method::POST, start).header("host", "rebound.example")).await;
    answer.problem("request/unknown_host");
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    let read = engine.get(&format!("/runs?minSeq={}", tokens.join(","))).await;
    assert_eq!(read.data(200)["runs"].as_array().map(Vec::len), Some(3), "none but ours");
    assert_eq!(read.headers["x-content-type-options"], "nosniff");
    assert_eq!(read.headers["cross-origin-resource-policy"], "same-origin");

    for (request, code) in [
        ("GET /runs HTTP/1.1\r\nconnection: close\r\n\r\n", "request/unknown_host"),
        ("GET /runs HTTP/1.0\r\n\r\n", "request/unknown_host"),
        (
            "GET http://rebound.example/runs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            "request/unknown_host",
        ),
        (
            "GET /runs HTTP/1.1\r\nhost: localhost\r\nhost: rebound.example\r\nconnection: close\r\n\r\n",
            "request/invalid_header",
        ),
    ] {
        let answer = raw(&engine, request).await;
        let problem: Value =
            serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default()).unwrap_or_default();
        assert_eq!(problem["code"], code, "{request}\n{answer}");
    }
    engine.stop().await;
}
