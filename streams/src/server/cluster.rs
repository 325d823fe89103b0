//! Servers that replicate streams among each other, all on this machine: for tests.

use std::io;
use std::net::TcpListener;
use std::path::Path;

use super::ServerConfig;
use super::access::Access;
use super::settings::Settings;

/// The place of one server of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSeat {
    /// No two of a cluster have the same.
    pub(super) name: String,
    /// Where it listens for the others.
    port: u16,
    /// Where all do.
    routes: Vec<u16>,
}

impl ClusterSeat {
    pub(super) fn text(&self) -> String {
        let Self { name: _, port, routes } = self;
        let routes: Vec<_> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        format!("cluster {{\n  name: headwater\n  listen: \"127.0.0.1:{port}\"\n  routes: {routes:?}\n}}\n")
    }
}

impl ServerConfig {
    /// Returns the settings of three servers that replicate among each other, with the same credentials, each in a folder of its
    /// own below `folder`. What is asked of one before it has found the others is refused for a moment.
    ///
    /// # Errors
    /// When there are no free ports.
    pub fn three(folder: &Path) -> io::Result<[Self; 3]> {
        let held: Vec<_> = (0..9).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
        let ports = held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<io::Result<Vec<_>>>()?;
        let Settings { engine_password, worker_password } = Settings::random();
        Ok([0, 1, 2].map(|node| {
            let access = Access {
                client_port: ports[node],
                monitor_port: ports[3 + node],
                engine_password: engine_password.clone(),
                worker_password: worker_password.clone(),
            };
            let seat = ClusterSeat { name: format!("n{node}"), port: ports[6 + node], routes: ports[6..].to_vec() };
            let data_dir = folder.join(&seat.name);
            Self { access: Some(access), cluster: Some(seat), ..Self::new(data_dir) }
        }))
    }
}
