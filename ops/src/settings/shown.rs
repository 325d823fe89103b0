//! Settings as people may see them: every one of them, and no secret.

use clap::ValueEnum as _;
use serde_json::{Map, Value, json};

use super::{ActionSettings, BrokerSettings, ServeSettings};

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";

/// Parameters of a database's address that are worth seeing and tell nothing.
const SHOWN_PARAMETERS: [&str; 7] = ["host", "hostaddr", "port", "dbname", "user", "sslmode", "application_name"];

impl ServeSettings {
    /// Returns every setting under the name of its flag. Passwords are hidden.
    pub fn shown(&self) -> Map<String, Value> {
        // Without `..`: a setting that is not shown does not compile.
        let Self {
            broker: BrokerSettings { nats_url, nats_user, nats_password, nats_creds, nats_monitor_url },
            postgres_url,
            roles,
            listen,
            allowed_hosts,
            shards,
            replicas,
            member,
            member_ttl_ms,
            lease_ttl_ms,
            checkpoint_bundles,
            checkpoint_bytes,
            run_turns_max,
            run_branches_max,
            workspaces,
            actions: ActionSettings { allow_private_addresses, allow_processes },
            allow_unsafe_sync,
        } = self;
        let roles = roles.iter().filter_map(|role| Some(role.to_possible_value()?.get_name().to_owned()));
        let settings = [
            ("nats-url", json!(without_users(nats_url))),
            ("nats-user", json!(nats_user)),
            ("nats-password", json!(nats_password.as_ref().map(|_| HIDDEN))),
            ("nats-creds", json!(nats_creds)),
            ("nats-monitor-url", json!(nats_monitor_url.as_deref().map(without_users))),
            ("postgres-url", json!(postgres_url.as_deref().map(without_password))),
            ("roles", json!(roles.collect::<Vec<_>>())),
            ("listen", json!(listen)),
            ("allowed-hosts", json!(allowed_hosts.iter().map(ToString::to_string).collect::<Vec<_>>())),
            ("shards", json!(shards)),
            ("replicas", json!(replicas)),
            ("member", json!(member.as_ref().map(ToString::to_string))),
            ("member-ttl-ms", json!(member_ttl_ms)),
            ("lease-ttl-ms", json!(lease_ttl_ms)),
            ("checkpoint-bundles", json!(checkpoint_bundles)),
            ("checkpoint-bytes", json!(checkpoint_bytes)),
            ("run-turns-max", json!(run_turns_max)),
            ("run-branches-max", json!(run_branches_max)),
            ("workspaces", json!(workspaces.iter().map(ToString::to_string).collect::<Vec<_>>())),
            ("allow-private-addresses", json!(allow_private_addresses)),
            ("allow-processes", json!(allow_processes)),
            ("allow-unsafe-sync", json!(allow_unsafe_sync)),
        ];
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Hides whoever comes in addresses, comma-separated: what stands before `@` may be a token.
fn without_users(addresses: &str) -> String {
    let one = |address: &str| {
        let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
        let Some((_, host)) = rest.rsplit_once('@') else { return address.to_owned() };
        let colon = if scheme.is_empty() { "" } else { "://" };
        format!("{scheme}{colon}{HIDDEN}@{host}")
    };
    addresses.split(',').map(one).collect::<Vec<_>>().join(",")
}

/// Hides what may be a password in the address of a database: both spellings, whatever is not known to be harmless.
fn without_password(address: &str) -> String {
    let shown = |name: &str, value: &str| {
        let value = if SHOWN_PARAMETERS.contains(&name) { value } else { HIDDEN };
        format!("{name}={value}")
    };
    let Some((scheme, rest)) = address.split_once("://") else {
        // `host=db password='a b'`: the pieces of a quoted value have no name of their own.
        let pieces = address.split_whitespace().filter_map(|piece| piece.split_once('='));
        return pieces.map(|(name, value)| shown(name, value)).collect::<Vec<_>>().join(" ");
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => {
            let (name, password) = user.split_once(':').map_or((user, ""), |(name, _)| (name, HIDDEN));
            let colon = if password.is_empty() { "" } else { ":" };
            (format!("{name}{colon}{password}@"), rest)
        }
        None => (String::new(), rest),
    };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let query = query.map(|query| {
        let pieces = query.split('&').map(|piece| piece.split_once('=').unwrap_or((piece, "")));
        format!("?{}", pieces.map(|(name, value)| shown(name, value)).collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{user}{place}{}", query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let addresses = [
            ("postgres://me:s3cret@db:5432/x?sslmode=require", "postgres://me:(hidden)@db:5432/x?sslmode=require"),
            ("postgres://me:s3/cr@t@db/x", "postgres://me:(hidden)@db/x"),
            ("postgres://db/x?user=me&password=s3cret", "postgres://db/x?user=me&password=(hidden)"),
            ("postgres://me@db/x", "postgres://me@db/x"),
            ("host=db user=me password=s3cret", "host=db user=me password=(hidden)"),
            ("host=db password='s3cret more'", "host=db password=(hidden)"),
        ];
        for (address, wanted) in addresses {
            assert_eq!(without_password(address), wanted);
        }
        assert_eq!(without_users("nats://a:4222, nats://s3cret@b"), "nats://a:4222, nats://(hidden)@b");
        assert_eq!(without_users("me:s3cret@a"), "(hidden)@a");
    }
}
