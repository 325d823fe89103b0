//! Names of hosts, as requests and settings spell them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host, perhaps with a port: `localhost`, `api.example:8443`, `[::1]:4000`. Letters are small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    /// IPv6 addresses without their brackets.
    pub name: String,
    /// `None`: of a setting, any; of a request, the usual one.
    pub port: Option<u16>,
}

/// Says that a text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host like api.example or 127.0.0.1:4000")]
pub struct InvalidHost(String);

impl AllowedHost {
    /// Returns the address, where the name is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }

    /// Returns whether it names this machine's loopback interface.
    pub fn is_loopback(&self) -> bool {
        match self.address() {
            Some(address) => address.is_loopback(),
            None => self.name == "localhost" || self.name.ends_with(".localhost"),
        }
    }

    /// Returns whether a request for `asked` is one for this.
    pub fn covers(&self, asked: &Self) -> bool {
        self.name == asked.name && self.port.is_none_or(|port| asked.port == Some(port))
    }
}

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let invalid = || InvalidHost(text.chars().take(80).collect());
        let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, rest)) => {
                name.parse::<std::net::Ipv6Addr>().map_err(|_| invalid())?;
                let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(invalid)?) };
                (name, port)
            }
            None => {
                let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
                let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                if name.is_empty() || !name.chars().all(fits) {
                    return Err(invalid());
                }
                (name, port)
            }
        };
        let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.map(|port| port.parse().ok().filter(|_| digits(port)).ok_or_else(invalid)).transpose()?;
        // A name may end with the dot of the root.
        let name = name.strip_suffix('.').unwrap_or(name);
        Ok(Self { name: name.to_ascii_lowercase(), port })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') {
            write!(f, "[{name}]")?
        } else {
            f.write_str(name)?
        };
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_they_are_shown() {
        for text in ["localhost", "api.example:8443", "[::1]:4000", "[::1]", "127.0.0.1:4000"] {
            assert_eq!(text.parse::<AllowedHost>().unwrap().to_string(), text);
        }
        assert_eq!("API.Example.".parse::<AllowedHost>().unwrap().to_string(), "api.example");
        for bad in
            ["", ":1", "a:", "a:b", "a:+1", "a:65536", "a b", "a/b", "u@a", "::1", "[::1", "[a]", "[::1]1", "a,b"]
        {
            assert!(bad.parse::<AllowedHost>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_the_loopback_interface_are_known_and_look_alikes_are_not() {
        for ours in ["localhost", "LOCALHOST:1", "app.localhost", "127.0.0.1", "127.9.9.9:80", "[::1]:4000"] {
            assert!(ours.parse::<AllowedHost>().unwrap().is_loopback(), "{ours}");
        }
        for other in ["localhost.example", "127.0.0.1.example", "0.0.0.0", "10.0.0.1", "[::2]", "notlocalhost"] {
            assert!(!other.parse::<AllowedHost>().unwrap().is_loopback(), "{other}");
        }
    }
}
