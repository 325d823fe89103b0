//! A broker in operator mode: accounts and users are JWTs, made here as `nsc` makes them of the commands in `docs/security.md`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use headwater_streams::server::ServerBinary;
use headwater_streams::server::accounts::{
    CROSSINGS, Crossing, ENGINE_ACCOUNT, WORKER_ACCOUNT, WORKER_INBOX, worker_hears, worker_publishes,
};
use headwater_streams::{BrokerConfig, Credentials};
use nkeys::KeyPair;
use serde_json::{Value, json};

pub struct OperatorServer {
    child: Child,
    port: u16,
    folder: PathBuf,
}

/// What one of the two accounts exports and the other imports.
pub struct Crossed {
    kind: &'static str,
    subject: &'static str,
    exporter: &'static str,
}

impl Crossed {
    /// As it is documented.
    pub fn now() -> Vec<Self> {
        let crossed = |it: Crossing| Self { kind: "stream", subject: it.subject(), exporter: it.exporter() };
        CROSSINGS.map(crossed).into()
    }

    /// As it was documented at first: a service, whose answers need no crossing of their own.
    pub fn at_first() -> Vec<Self> {
        let heard = ["hw.hand.*.*", "hw.call.*", "hw.cancel.*"].map(|subject| ("stream", subject));
        let crossed = [("service", "hw.work.*.*")].into_iter().chain(heard);
        crossed.map(|(kind, subject)| Self { kind, subject, exporter: ENGINE_ACCOUNT }).collect()
    }
}

/// Claims, signed.
fn jwt(issuer: &KeyPair, subject: &str, name: &str, nats: Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let id = BASE64_NOPAD.encode(name.as_bytes());
    let claims = json!({"jti": id, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": name, "sub": subject, "nats": nats});
    let signed = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(&claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

fn account(operator: &KeyPair, key: &KeyPair, name: &str, storage: i64, imports: Value, exports: Value) -> String {
    let limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
        "leaf": -1, "mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage});
    let claims = json!({"type": "account", "version": 2, "limits": limits, "imports": imports, "exports": exports,
        "default_permissions": {"pub": {}, "sub": {}}});
    jwt(operator, &key.public_key(), name, claims)
}

/// Writes the credentials of a new user of an account.
fn user(account: &KeyPair, name: &str, publish: Value, subscribe: Value, folder: &Path) {
    let key = KeyPair::new_user();
    let claims =
        json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": publish, "sub": subscribe});
    let jwt = jwt(account, &key.public_key(), name, claims);
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        key.seed().unwrap()
    );
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join(format!("{name}.creds")))
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

impl OperatorServer {
    /// Starts one where this crosses between the accounts.
    pub fn start(folder: &Path, crossings: &[Crossed]) -> Self {
        let operator = KeyPair::new_operator();
        let [engine, workers, system] = [(); 3].map(|()| KeyPair::new_account());
        let key = |name: &str| if name == ENGINE_ACCOUNT { &engine } else { &workers };
        let exports = |name: &str| -> Value {
            let ours = crossings.iter().filter(|it| it.exporter == name);
            ours.map(|it| json!({"name": it.subject, "subject": it.subject, "type": it.kind})).collect()
        };
        let imports = |name: &str| -> Value {
            let import = |it: &Crossed| {
                let from = key(it.exporter).public_key();
                json!({"name": it.subject, "subject": it.subject, "account": from, "type": it.kind})
            };
            crossings.iter().filter(|it| it.exporter != name).map(import).collect()
        };
        let walled =
            |name: &str, storage: i64| account(&operator, key(name), name, storage, imports(name), exports(name));
        let accounts = [
            (&engine, walled(ENGINE_ACCOUNT, -1)),
            (&workers, walled(WORKER_ACCOUNT, 0)),
            (&system, account(&operator, &system, "SYS", 0, json!([]), json!([]))),
        ];
        user(&engine, "engine", json!({}), json!({}), folder);
        user(&workers, "worker", json!({"allow": worker_publishes()}), json!({"allow": worker_hears()}), folder);
        let preload: String = accounts.iter().map(|(key, jwt)| format!("  {}: {jwt}\n", key.public_key())).collect();
        let own = jwt(&operator, &operator.public_key(), "HEADWATER", json!({"type": "operator", "version": 2}));
        let port = free_port();
        let config = folder.join("operator.conf");
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nserver_name: operator\nmax_payload: 8388608\nlog_file: {:?}\n\
             jetstream {{ store_dir: {:?}, sync_interval: always }}\n\
             operator: {own}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{preload}}}\n",
            folder.join("log"),
            folder.join("streams"),
            system.public_key()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(ServerBinary::find().unwrap().path);
        command.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().unwrap(), port, folder: folder.to_owned() }
    }

    fn config(&self, name: &str) -> BrokerConfig {
        let credentials = Credentials::File(self.folder.join(format!("{name}.creds")));
        BrokerConfig { credentials, ..BrokerConfig::new(format!("nats://127.0.0.1:{}", self.port)) }
    }

    pub fn engine(&self) -> BrokerConfig {
        self.config("engine")
    }

    pub fn worker(&self) -> BrokerConfig {
        BrokerConfig { inbox_prefix: Some(WORKER_INBOX.to_owned()), ..self.config("worker") }
    }
}

impl Drop for OperatorServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
