//! What a reader returns when its connection is cut while it reads: every entry, once, in order (`STR-3`).

mod harness;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::{House, PATIENCE, eventually, quick, shard};
use headwater_core::Sequence;
use headwater_streams::broker::ConnectionState;
use headwater_streams::journal::{Journal, StreamReader};
use headwater_streams::{Broker, BrokerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Stands between a client and the broker, and can lose what the broker says, or the connection.
struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    seen: Arc<Mutex<Seen>>,
    _running: JoinSet<()>,
}

/// Connections are numbered from 1; an order holds for all up to its number.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    lose_through: u64,
    cut_through: u64,
}

#[derive(Debug, Default)]
struct Seen {
    connections: u64,
    lost: Vec<u8>,
}

impl Proxy {
    async fn before(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (orders, ordered) = watch::channel(Orders::default());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut running = JoinSet::new();
        let counted = seen.clone();
        running.spawn(async move {
            let mut passing = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(broker).await.unwrap();
                let number = {
                    let mut seen = counted.lock().unwrap();
                    seen.connections += 1;
                    seen.connections
                };
                passing.spawn(pass(client, server, number, ordered.clone(), counted.clone()));
            }
        });
        Self { address, orders, seen, _running: running }
    }

    fn connections(&self) -> u64 {
        self.seen.lock().unwrap().connections
    }

    /// From now on nothing more reaches the client on the connection it has.
    fn lose(&self) {
        let through = self.connections();
        self.orders.send_modify(|orders| orders.lose_through = through);
    }

    fn has_lost(&self, text: &str) -> bool {
        self.seen.lock().unwrap().lost.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Cuts the client off. The broker hears nothing of it, as when a line goes dead: what it has open for the client
    /// stays open.
    fn cut(&self) {
        let through = self.connections();
        self.orders.send_modify(|orders| orders.cut_through = through);
    }
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    number: u64,
    mut orders: watch::Receiver<Orders>,
    seen: Arc<Mutex<Seen>>,
) {
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    while orders.borrow_and_update().cut_through < number {
        tokio::select! {
            _ = orders.changed() => {}
            read = client.read(&mut up) => match read {
                Ok(count @ 1..) if server.write_all(&up[..count]).await.is_ok() => {}
                Ok(_) | Err(_) => return,
            },
            read = server.read(&mut down) => match read {
                Ok(count @ 1..) if orders.borrow().lose_through >= number => {
                    seen.lock().unwrap().lost.extend_from_slice(&down[..count]);
                }
                Ok(count @ 1..) if client.write_all(&down[..count]).await.is_ok() => {}
                Ok(_) | Err(_) => return,
            },
        }
    }
    drop(client);
    while let Ok(1..) = server.read(&mut down).await {}
}

struct Line {
    proxy: Proxy,
    broker: Broker,
    /// Goes around the proxy.
    journal: Journal,
    house: House,
}

impl Line {
    async fn new() -> Self {
        let house = House::with_shards(1).await;
        let address = house.server.url().trim_start_matches("nats://").parse().unwrap();
        let proxy = Proxy::before(address).await;
        let config = BrokerConfig { url: format!("nats://{}", proxy.address), ..quick(house.server.engine()) };
        let broker = Broker::connect(&config).await.unwrap();
        let journal = Journal::open(&house.broker, shard(0)).await.unwrap();
        Self { proxy, broker, journal, house }
    }

    /// A reader whose connection goes through the proxy.
    async fn reader(&self) -> StreamReader {
        Journal::open(&self.broker, shard(0)).await.unwrap().read(Sequence::FIRST)
    }

    async fn append(&self, from: u64, to: u64) {
        for n in from..=to {
            self.journal.append(format!("entry-{n};").into(), Sequence::new(n - 1)).await.unwrap();
        }
    }

    async fn reconnected(&self, connections: u64) {
        eventually("the client comes again", || async {
            let stands = self.broker.connection_state() == ConnectionState::Connected;
            (stands && self.proxy.connections() >= connections).then_some(())
        })
        .await;
    }
}

async fn read_through(reader: &mut StreamReader, last: u64, read: &mut Vec<u64>) {
    let all = async {
        while read.last() != Some(&last) {
            read.extend(reader.next(7, PATIENCE).await.unwrap().iter().map(|entry| entry.sequence.get()));
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("nothing comes after {:?}", read.last()));
}

#[tokio::test]
async fn what_was_on_its_way_when_the_connection_was_cut_comes_though_nothing_follows_it() {
    let line = Line::new().await;
    line.append(1, 10).await;
    let (mut reader, mut read) = (line.reader().await, Vec::new());
    read_through(&mut reader, 10, &mut read).await;
    // The broker counts these as delivered, and goes on to say that nothing more is there.
    line.proxy.lose();
    line.append(11, 15).await;
    eventually("the entries are lost", || async { line.proxy.has_lost("entry-15;").then_some(()) }).await;
    line.proxy.cut();
    line.reconnected(2).await;
    read_through(&mut reader, 15, &mut read).await;
    assert_eq!(read, (1..=15).collect::<Vec<_>>());
    drop(line.house);
}

#[tokio::test]
async fn a_connection_cut_again_and_again_leaves_nothing_out_and_brings_nothing_twice() {
    const ROUNDS: u64 = 5;
    let line = Line::new().await;
    let (mut reader, mut read) = (line.reader().await, Vec::new());
    for round in 1..=ROUNDS {
        let last = round * 200;
        line.append(last - 199, last).await;
        let cut = async {
            // Somewhere in the middle, and while nobody says when.
            tokio::time::sleep(Duration::from_millis(round)).await;
            line.proxy.lose();
            tokio::task::yield_now().await;
            line.proxy.cut();
        };
        tokio::join!(read_through(&mut reader, last, &mut read), cut);
        line.reconnected(round + 1).await;
    }
    assert_eq!(read, (1..=ROUNDS * 200).collect::<Vec<_>>());
}
