//! A door before a Postgres: everything goes through, and every statement is counted by its text, as the server gets it.
#![allow(dead_code, reason = "each of the test programs uses its part")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[derive(Clone)]
pub struct Door {
    port: u16,
    said: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Door {
    /// Opens a door to the server at `behind`, on the loopback interface.
    pub fn open(behind: u16) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let door = Self { port: listener.local_addr().unwrap().port(), said: Arc::default() };
        let said = door.said.clone();
        tokio::spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let mut through = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                through.spawn(pass(client, behind, said.clone()));
                while through.try_join_next().is_some() {}
            }
        });
        door
    }

    /// Returns the server's address with this door's port in it.
    pub fn address(&self, url: &str) -> String {
        let (before, after) = url.split_once("@127.0.0.1:").unwrap();
        let (_, name) = after.split_once('/').unwrap();
        format!("{before}@127.0.0.1:{}/{name}", self.port)
    }

    /// Returns how many statements went through whose text holds `part`.
    pub fn statements(&self, part: &str) -> u64 {
        self.said.lock().unwrap().iter().filter(|(sql, _)| sql.contains(part)).map(|(_, count)| count).sum()
    }

    /// Returns every statement with how often it went through.
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.said.lock().unwrap().clone()
    }
}

async fn pass(client: TcpStream, behind: u16, said: Arc<Mutex<BTreeMap<String, u64>>>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", behind)).await else { return };
    let ((mut from, mut back), (mut answers, mut to)) = (client.into_split(), server.into_split());
    tokio::select! {
        _ = copy(&mut answers, &mut back) => {}
        () = async {
            let (mut chunk, mut unread) = (vec![0; 64 * 1024], Vec::new());
            // The first message has no kind: only a length.
            let (mut has_begun, mut prepared) = (false, BTreeMap::new());
            while let Ok(count @ 1..) = from.read(&mut chunk).await {
                unread.extend_from_slice(&chunk[..count]);
                loop {
                    let head = usize::from(has_begun);
                    let Some(length) = unread.get(head..head + 4) else { break };
                    let end = head + u32::from_be_bytes(length.try_into().unwrap()) as usize;
                    if unread.len() < end {
                        break;
                    }
                    if has_begun {
                        hear(unread[0], &unread[5..end], &mut prepared, &said);
                    }
                    has_begun = true;
                    unread.drain(..end);
                }
                if to.write_all(&chunk[..count]).await.is_err() {
                    break;
                }
            }
        } => {}
    }
}

/// `Parse` gives a statement a name, `Bind` uses one, `Query` says one:
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
fn hear(kind: u8, body: &[u8], prepared: &mut BTreeMap<String, String>, said: &Mutex<BTreeMap<String, u64>>) {
    let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    let [first, second] = [(); 2].map(|()| texts.next().unwrap_or_default());
    let sql = match kind {
        b'P' => {
            prepared.insert(first, second);
            return;
        }
        b'B' => prepared.get(&second).cloned().unwrap_or(second),
        b'Q' => first,
        _ => return,
    };
    *said.lock().unwrap().entry(sql).or_default() += 1;
}
