//! Where a server listens and whom it lets in, as its owner keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::settings::{Ports, Settings};

/// What a server's clients know of it. Kept over restarts, they find it again. Holds passwords: for private files only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    pub client_port: u16,
    /// Of `/varz`.
    pub monitor_port: u16,
    pub engine_password: String,
    pub worker_password: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client_port, monitor_port, engine_password: _, worker_password: _ } = self;
        write!(f, "Access({client_port}, {monitor_port}, …)")
    }
}

impl Access {
    pub(super) fn of(settings: &Settings, ports: &Ports) -> Self {
        let Settings { engine_password, worker_password } = settings;
        let port = |port: i32| u16::try_from(port).unwrap_or_default();
        Self {
            client_port: port(ports.client),
            monitor_port: port(ports.monitor),
            engine_password: engine_password.clone(),
            worker_password: worker_password.clone(),
        }
    }
}

impl Settings {
    pub(super) fn of(access: &Access) -> Self {
        let Access { engine_password, worker_password, client_port: _, monitor_port: _ } = access.clone();
        Self { engine_password, worker_password }
    }
}

impl Ports {
    /// Any that are free.
    pub(super) const ANY: Self = Self { client: -1, monitor: -1 };

    pub(super) fn of(access: &Access) -> Self {
        Self { client: access.client_port.into(), monitor: access.monitor_port.into() }
    }
}
