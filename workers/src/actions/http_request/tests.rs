use headwater_core::protocol::{Task, Work};
use headwater_core::{Attempt, LeaseToken, RunId, ShardId, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

fn context() -> Context {
    Context::new(Task {
        workspace: "acme".parse().unwrap(),
        workflow: "w".parse().unwrap(),
        run: RunId::new(ShardId::new(0).unwrap(), Timestamp::from_micros(1), 1),
        node: "n".parse().unwrap(),
        attempt: Attempt::FIRST,
        lease: LeaseToken::from_bits(1),
        queue: "builtin".parse().unwrap(),
        work: Work::BuiltIn(headwater_core::definition::BuiltIn::HttpRequest),
        input: Json::null(),
        assets: Vec::new(),
        deadline: None,
        heartbeat_timeout_ms: None,
    })
}

/// Answers one connection after another with these texts; returns what it was asked.
async fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !is_whole(&request) {
                let read = connection.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            connection.write_all(answer.as_bytes()).await.unwrap();
            asked.push(String::from_utf8(request).unwrap());
        }
        asked
    });
    (url, asked)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn ask(allow_private: bool, request: serde_json::Value) -> Result<serde_json::Value, HandlerError> {
    let client = HttpClient::new(allow_private).unwrap();
    let request = serde_json::from_value(request).unwrap();
    execute(&client, &context(), request).await.map(|outcome| outcome.output().to_value())
}

#[tokio::test]
async fn a_request_goes_out_as_written_and_its_json_comes_back_as_a_value() {
    let json = answer(
        "201 Created",
        "content-type: application/json; charset=utf-8\r\nx-a: 1\r\nx-a: 2\r\n",
        r#"{"n":[1.50]}"#,
    );
    let (url, asked) = server(vec![json]).await;
    let request = serde_json::json!({
        "method": "post", "url": format!("{url}/p?a=1"), "query": {"q": "x y", "n": 2},
        "headers": {"X-Key": "secret"}, "json": {"hello": "ü"}, "expectStatus": [201],
    });
    let answer = ask(true, request).await.unwrap();
    assert_eq!((answer["status"].as_u64(), &answer["body"]), (Some(201), &serde_json::json!({"n": [1.5]})));
    assert_eq!(answer["headers"]["x-a"], "1, 2");
    let asked = asked.await.unwrap().remove(0);
    assert!(asked.starts_with("POST /p?a=1&n=2&q=x+y HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("x-key: secret\r\n") && asked.contains("content-type: application/json\r\n"), "{asked}");
    assert!(asked.ends_with(r#"{"hello":"ü"}"#), "{asked}");
}

#[tokio::test]
async fn an_unexpected_status_says_whether_another_try_is_worth_it() {
    for (status, permanent) in [("404 Not Found", true), ("429 Too Many", false), ("503 Down", false)] {
        let (url, _asked) = server(vec![answer(status, "", "because")]).await;
        let failure = ask(true, serde_json::json!({"url": url})).await.unwrap_err();
        assert_eq!((failure.code(), failure.permanent), ("http_status", permanent));
        assert!(failure.message().ends_with(": because"), "{}", failure.message());
    }
}

#[tokio::test]
async fn an_answer_larger_than_asked_for_is_refused_and_a_silent_one_times_out() {
    let (url, _asked) = server(vec![answer("200 OK", "", &"x".repeat(2000))]).await;
    let failure = ask(true, serde_json::json!({"url": url, "maxResponseBytes": 1000})).await.unwrap_err();
    assert_eq!((failure.code(), failure.permanent), ("http_too_large", true));
    let (url, _asked) = server(vec![String::new()]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let failure = ask(true, serde_json::json!({"url": silent_url, "timeoutMs": 100})).await.unwrap_err();
    assert_eq!((failure.code(), failure.permanent), ("http_timeout", false));
    let failure = ask(true, serde_json::json!({"url": url})).await.unwrap_err();
    assert_eq!(failure.code(), "http_failed");
    assert!(!failure.message().contains(&url), "{}", failure.message());
}

#[tokio::test]
async fn redirects_are_followed_where_requests_may_go_and_not_for_ever() {
    let (target, _asked) = server(vec![answer("200 OK", "", "here")]).await;
    let (url, _asked) = server(vec![answer("302 Found", &format!("location: {target}/x\r\n"), "")]).await;
    assert_eq!(ask(true, serde_json::json!({"url": url})).await.unwrap()["body"], "here");
    let around = answer("302 Found", "location: /again\r\n", "");
    let (url, _asked) = server(vec![around; 8]).await;
    assert_eq!(ask(true, serde_json::json!({"url": url})).await.unwrap_err().code(), "http_failed");
    let (url, _asked) = server(vec![answer("302 Found", "location: file:///etc/passwd\r\n", "")]).await;
    assert_eq!(ask(true, serde_json::json!({"url": url})).await.unwrap_err().code(), "http_status");
}

#[tokio::test]
async fn what_is_not_public_is_not_reached_by_address_or_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0"] {
        let failure = ask(false, serde_json::json!({"url": format!("http://{host}:{port}/")})).await.unwrap_err();
        assert_eq!((failure.code(), failure.permanent), ("http_forbidden_target", true), "{host}");
    }
    let reached = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(reached.is_err());
}

#[tokio::test]
async fn what_arrives_is_a_sign_of_life() {
    let (url, asked) = server(vec![answer("200 OK", "", "hello")]).await;
    let (client, context) = (HttpClient::new(true).unwrap(), context());
    let began = context.alive_at();
    let request = serde_json::from_value(serde_json::json!({ "url": url })).unwrap();
    execute(&client, &context, request).await.unwrap();
    assert!(context.alive_at() > began);
    asked.await.unwrap();
}

#[tokio::test]
async fn a_json_body_is_the_value_or_a_failure_that_says_why_not() {
    let json = |body: &str| answer("200 OK", "content-type: application/problem+json\r\n", body);
    let kept = [
        (r#"{"total":1e20}"#, serde_json::json!({"total": 1e20})),
        ("\u{feff}[1]", serde_json::json!([1])),
        (" null ", serde_json::json!(null)),
        ("", serde_json::json!("")),
    ];
    for (body, value) in kept {
        let (url, _asked) = server(vec![json(body)]).await;
        assert_eq!(ask(true, serde_json::json!({"url": url})).await.unwrap()["body"], value, "{body}");
    }
    let refused = [
        (
            r#"{"id":123456789012345678901}"#,
            "the whole number 123456789012345678901 is outside the 64-bit range (at /id)",
        ),
        (r#"{"a":["\u0000"]}"#, "U+0000 (at /a/0)"),
        (r#"{"a":"\ud83d"}"#, "surrogate"),
        (r#"{"a":1,"a":2}"#, "stands twice"),
        ("<html>", "not valid JSON"),
    ];
    for (body, reason) in refused {
        let (url, _asked) = server(vec![json(body)]).await;
        let failure = ask(true, serde_json::json!({"url": url})).await.unwrap_err();
        assert_eq!(failure.code(), "http_body_invalid", "{body}");
        assert!(failure.permanent && failure.message().contains(reason), "{}", failure.message());
    }
}
