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
        effects_key: None,
        deadline: None,
        heartbeat_timeout_ms: None,
    })
}

/// Answers one connection with these bytes.
async fn byte_server(answer: Vec<u8>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let read = connection.read(&mut request).await.unwrap();
        connection.write_all(&answer).await.unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    (url, asked)
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
    let failure = ask(true, serde_json::json!({"url": url})).await.unwrap_err();
    assert_eq!((failure.code(), failure.permanent), ("http_redirect", true));
    for (location, code) in [("file:///etc/passwd", "http_forbidden_target"), ("http://[", "http_redirect")] {
        let (url, _asked) = server(vec![answer("302 Found", &format!("location: {location}\r\n"), "")]).await;
        assert_eq!(ask(true, serde_json::json!({"url": url})).await.unwrap_err().code(), code, "{location}");
    }
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

#[tokio::test]
async fn another_origin_gets_nothing_that_was_meant_for_the_first() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let (target, told) = server(vec![answer("200 OK", "", "there")]).await;
        // Out by way of a page of the same origin, which does get them.
        let elsewhere = answer(status, &format!("location: {target}/x\r\n"), "");
        let (url, asked) = server(vec![answer(status, "location: /next\r\n", ""), elsewhere]).await;
        let request = serde_json::json!({
            "url": format!("{url}/first?token=SECRET"),
            "headers": {"X-Api-Key": "SECRET", "Authorization": "Bearer SECRET", "Cookie": "a=SECRET", "Accept": "text/x"},
        });
        assert_eq!(ask(true, request).await.unwrap()["body"], "there", "{status}");
        let asked = asked.await.unwrap();
        assert!(asked[1].starts_with("GET /next ") && asked[1].contains("x-api-key: SECRET"), "{}", asked[1]);
        let told = told.await.unwrap().remove(0).to_ascii_lowercase();
        for secret in ["secret", "referer", "authorization", "cookie", "text/x"] {
            assert!(!told.contains(secret), "{status}: {told}");
        }
    }
}

#[tokio::test]
async fn a_body_stays_with_its_origin() {
    for (status, method) in [("301 Moved", "GET"), ("302 Found", "GET"), ("303 See Other", "GET")] {
        let (target, told) = server(vec![answer("200 OK", "", "there")]).await;
        let (url, _asked) = server(vec![answer(status, &format!("location: {target}/x\r\n"), "")]).await;
        let request = serde_json::json!({"url": url, "method": "POST", "json": {"card": "SECRET"}});
        assert_eq!(ask(true, request).await.unwrap()["body"], "there");
        let told = told.await.unwrap().remove(0);
        assert!(told.starts_with(&format!("{method} /x ")) && !told.contains("SECRET"), "{told}");
        assert!(!told.contains("content-type"), "{told}");
    }
    for (status, method) in [("307 Temporary", "POST"), ("308 Permanent", "PUT"), ("307 Temporary", "DELETE")] {
        let (target, _told) = server(vec![answer("200 OK", "", "there")]).await;
        let (url, _asked) = server(vec![answer(status, &format!("location: {target}/x\r\n"), "")]).await;
        let failure = ask(true, serde_json::json!({"url": url, "method": method})).await.unwrap_err();
        assert_eq!((failure.code(), failure.permanent), ("http_redirect", true), "{status} {method}");
        // At its own origin it is repeated as it is.
        let (url, asked) = server(vec![answer(status, "location: /x\r\n", ""), answer("200 OK", "", "here")]).await;
        let request = serde_json::json!({"url": url, "method": method, "body": "kept"});
        assert_eq!(ask(true, request).await.unwrap()["body"], "here");
        let again = asked.await.unwrap().remove(1);
        assert!(again.starts_with(&format!("{method} /x ")) && again.ends_with("kept"), "{again}");
    }
}

#[tokio::test]
async fn a_redirect_that_is_not_followed_is_the_answer() {
    let moved = || answer("302 Found", "location: http://127.0.0.1:1/\r\n", "");
    let (url, _asked) = server(vec![moved()]).await;
    let request = serde_json::json!({"url": url, "followRedirects": false, "expectStatus": [302]});
    assert_eq!(ask(true, request).await.unwrap()["headers"]["location"], "http://127.0.0.1:1/");
    let (url, _asked) = server(vec![moved()]).await;
    let failure = ask(true, serde_json::json!({"url": url, "followRedirects": false})).await.unwrap_err();
    assert_eq!((failure.code(), failure.permanent), ("http_status", true));
}

#[tokio::test]
async fn text_is_decoded_as_its_charset_says_or_the_charset_is_named() {
    let typed = |kind: &str, body: &[u8]| {
        let head = answer("200 OK", &format!("content-type: {kind}\r\n"), "");
        let head = head.replace("content-length: 0", &format!("content-length: {}", body.len()));
        [head.as_bytes(), body].concat()
    };
    let kept: [(&str, &[u8], &str); 7] = [
        ("text/plain; charset=iso-8859-1", b"caf\xe9", "café"),
        ("text/plain;charset=\"Windows-1252\"", b"\x80", "€"),
        ("text/html; charset=utf-8; a=b", "é".as_bytes(), "é"),
        ("text/plain; charset=utf-16le", b"a\0", "a"),
        ("text/plain; charset=Shift_JIS", b"\x93\xfa", "日"),
        ("text/plain; charset=", b"a", "a"),
        ("application/octet-stream", b"a\xff", "a\u{fffd}"),
    ];
    for (kind, body, text) in kept {
        let (url, _asked) = byte_server(typed(kind, body)).await;
        assert_eq!(ask(true, serde_json::json!({"url": url})).await.unwrap()["body"], text, "{kind}");
    }
    let (url, _asked) = byte_server(typed("application/json; charset=latin1", b"{\"a\":\"\xe9\"}")).await;
    assert_eq!(ask(true, serde_json::json!({"url": url})).await.unwrap()["body"]["a"], "é");
    let refused: [(&str, &[u8], &str); 3] = [
        ("text/plain; charset=utf-7", b"a", "\"utf-7\""),
        ("text/plain; charset=utf-8", b"a\xff", "UTF-8"),
        ("text/plain; charset=iso-2022-kr", b"a", "\"iso-2022-kr\""),
    ];
    for (kind, body, name) in refused {
        let (url, _asked) = byte_server(typed(kind, body)).await;
        let failure = ask(true, serde_json::json!({"url": url})).await.unwrap_err();
        assert_eq!((failure.code(), failure.permanent), ("http_body_invalid", true), "{kind}");
        assert!(failure.message().contains(name), "{}", failure.message());
    }
}

fn packed(bytes: &[u8], write: impl Fn(&mut Vec<u8>, &[u8])) -> Vec<u8> {
    let mut packed = Vec::new();
    write(&mut packed, bytes);
    packed
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    packed(bytes, |out, bytes| {
        use std::io::Write as _;
        flate2::write::GzEncoder::new(out, flate2::Compression::best()).write_all(bytes).unwrap();
    })
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    packed(bytes, |out, bytes| {
        use std::io::Write as _;
        flate2::write::ZlibEncoder::new(out, flate2::Compression::best()).write_all(bytes).unwrap();
    })
}

#[tokio::test]
async fn a_compressed_body_is_decompressed_within_bounds_or_its_coding_is_named() {
    let coded = |coding: &str, body: &[u8]| {
        let head = answer("200 OK", &format!("content-type: application/json\r\ncontent-encoding: {coding}\r\n"), "");
        let head = head.replace("content-length: 0", &format!("content-length: {}", body.len()));
        [head.as_bytes(), body].concat()
    };
    let value = br#"{"a":"caf"}"#;
    let good = [
        ("gzip", gzip(value)),
        ("X-GZIP", gzip(value)),
        ("deflate", zlib(value)),
        ("identity", value.to_vec()),
        ("deflate, gzip", gzip(&zlib(value))),
    ];
    for (coding, body) in good {
        let (url, asked) = byte_server(coded(coding, &body)).await;
        assert_eq!(ask(true, serde_json::json!({"url": url})).await.unwrap()["body"]["a"], "caf", "{coding}");
        assert!(asked.await.unwrap().contains("accept-encoding: identity"));
    }
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < RESPONSE_BYTES_MAX);
    let bad = [
        ("gzip", bomb.clone(), "http_too_large"),
        ("gzip, gzip", gzip(&bomb), "http_too_large"),
        ("gzip, gzip, gzip", gzip(&bomb), "http_body_invalid"),
        ("gzip", gzip(value)[..12].to_vec(), "http_body_invalid"),
        ("gzip", value.to_vec(), "http_body_invalid"),
        ("br", value.to_vec(), "http_body_invalid"),
        ("zstd", value.to_vec(), "http_body_invalid"),
    ];
    for (coding, body, code) in bad {
        let (url, _asked) = byte_server(coded(coding, &body)).await;
        let failure = ask(true, serde_json::json!({"url": url})).await.unwrap_err();
        assert_eq!((failure.code(), failure.permanent), (code, true), "{coding}");
        assert!(
            code == "http_too_large"
                || failure.message().contains(coding.split(',').next().unwrap())
                || coding.len() > 10
        );
    }
}

#[tokio::test]
async fn what_a_server_says_of_when_to_come_back_is_asked_for_and_in_the_failure() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(120));
    for (status, said, is_asked) in [
        ("503 Down", "120", true),
        ("429 Too Many", date.as_str(), true),
        ("500 Broken", "120", false),
        ("503 Down", "-120", false),
    ] {
        let (url, _asked) = server(vec![answer(status, &format!("retry-after: {said}\r\n"), "busy")]).await;
        let failure = ask(true, serde_json::json!({"url": url})).await.unwrap_err();
        assert!(failure.message().contains(&format!("(Retry-After: {said}): busy")), "{}", failure.message());
        let asked = failure.retry_after.map(|span| span.as_secs());
        assert_eq!(asked.is_some_and(|seconds| (100..=120).contains(&seconds)), is_asked, "{said}: {asked:?}");
        assert_eq!(asked.is_some(), is_asked, "{said}");
        let details = failure.details.unwrap().to_value();
        assert_eq!(details["headers"], serde_json::json!({"retry-after": said}));
    }
}

#[tokio::test]
async fn a_failure_has_the_status_and_the_beginning_of_the_body_for_programs() {
    let typed = |body: &str| answer("422 No", "content-type: application/json\r\nset-cookie: a=SECRET\r\n", body);
    let long = "ü".repeat(2000);
    for (body, kept) in [(r#"{"code":"taken"}"#, r#"{"code":"taken"}"#), (&*long, &long[..1024]), ("\0", "\u{fffd}")] {
        let (url, _asked) = server(vec![typed(body)]).await;
        let details = ask(true, serde_json::json!({"url": url})).await.unwrap_err().details.unwrap();
        assert_eq!(details.to_value(), serde_json::json!({"status": 422, "headers": {}, "body": kept}));
    }
}

#[test]
fn a_bad_certificate_is_no_better_the_next_time() {
    let certificate = || rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForName);
    let wrapped = std::io::Error::other(std::io::Error::other(certificate()));
    assert!(is_certificate(&certificate()) && is_certificate(&wrapped));
    let cut = std::io::Error::other(rustls::Error::HandshakeNotComplete);
    assert!(!is_certificate(&cut) && !is_certificate(&std::io::Error::other("text")));
}
