//! Connections that keep us waiting, over real sockets.

use std::net::SocketAddr;

use axum::middleware;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(30);
const PATIENT: Duration = Duration::from_secs(3_600);

/// Waits for ever, but for what a test is about.
const LIMITS: Limits = Limits { connections_max: 64, head_wait: PATIENT, body_wait: PATIENT, answer_wait: PATIENT };

const SHORT: Duration = Duration::from_millis(50);

async fn serving(limits: Limits) -> SocketAddr {
    let endless =
        || async { Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, Infallible>(vec![b'x'; 65_536]))) };
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route(
            "/late",
            get(|| async {
                tokio::time::sleep(SHORT * 10).await;
                "here"
            }),
        )
        .route(
            "/echo",
            post(|body: Result<String, _>| async move {
                body.map_err(|_: axum::extract::rejection::StringRejection| "broken")
            }),
        )
        .route("/endless", get(endless))
        .layer(middleware::from_fn_with_state(limits.body_wait, body_in_time));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, limits, CancellationToken::new()));
    address
}

async fn connected(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Everything that comes until the connection is closed.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset closes as well.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("it is closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a request and reads its answer; the connection stays.
async fn asked(stream: &mut TcpStream) -> String {
    asked_at("/", stream).await
}

async fn asked_at(path: &str, stream: &mut TcpStream) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"here") {
        let read = tokio::time::timeout(DEADLINE, stream.read_buf(&mut bytes)).await.expect("an answer").unwrap();
        assert_ne!(read, 0, "closed: {}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn who_says_nothing_or_drips_a_head_or_rests_after_an_answer_is_hung_up_on() {
    let address = serving(Limits { head_wait: SHORT, ..LIMITS }).await;
    rest(connected(address).await).await;

    let mut dripping = connected(address).await;
    let drip = async {
        for byte in b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
            if dripping.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, drip).await.expect("it is closed");

    let mut resting = connected(address).await;
    assert!(asked(&mut resting).await.starts_with("HTTP/1.1 200"));
    rest(resting).await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_refused() {
    let address = serving(LIMITS).await;
    let mut stream = connected(address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-long: ").await.unwrap();
    // Less than what it is in the library, and more than here.
    let long = vec![b'x'; 2 * READ_BYTES_MAX];
    // It may be hung up on before all of it has gone.
    let _ = stream.write_all(&long).await;
    let answer = rest(stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn who_waits_for_a_late_answer_gets_it() {
    let address = serving(Limits { head_wait: SHORT, body_wait: SHORT, answer_wait: SHORT, ..LIMITS }).await;
    assert!(asked_at("/late", &mut connected(address).await).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_drips_is_answered_that_it_is_too_slow() {
    let address = serving(Limits { body_wait: SHORT, ..LIMITS }).await;
    for head in ["content-length: 100\r\n\r\nx", "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n"] {
        let mut stream = connected(address).await;
        stream.write_all(format!("POST /echo HTTP/1.1\r\nhost: localhost\r\n{head}").as_bytes()).await.unwrap();
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request/too_slow"), "{answer}");
    }
}

#[tokio::test]
async fn who_does_not_take_an_answer_is_hung_up_on() {
    let address = serving(Limits { answer_wait: SHORT, ..LIMITS }).await;
    let mut deaf = connected(address).await;
    deaf.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    // Nothing is read; that it is closed shows in what cannot be written any more.
    let closed = async {
        while deaf.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT).await;
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.expect("it is closed");
}

#[tokio::test]
async fn where_no_more_fit_the_one_that_waited_longest_makes_room_and_busy_ones_stay() {
    let address = serving(Limits { connections_max: 3, ..LIMITS }).await;
    let mut busy = connected(address).await;
    busy.write_all(b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nh").await.unwrap();
    let (mut first, mut second) = (connected(address).await, connected(address).await);
    asked(&mut second).await;
    asked(&mut first).await;
    let mut third = connected(address).await;
    asked(&mut third).await;
    assert_eq!(rest(second).await, "", "it has waited longest");
    asked(&mut first).await;
    busy.write_all(b"i").await.unwrap();
    let mut answer = vec![0; 12];
    busy.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn many_silent_connections_keep_nobody_out() {
    let address = serving(Limits { connections_max: 16, ..LIMITS }).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(connected(address).await);
    }
    asked(&mut connected(address).await).await;
}
