//! Where a request may go: public addresses only, unless the operator says otherwise.
//!
//! A name is judged by the addresses it has when the connection is made, not by an earlier look-up, so a name that
//! changes its mind in between (DNS rebinding) gets nowhere.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names, leaving out what is not public.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublicOnly;

/// Why a request may not go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    Scheme(String),
    NoHost,
    NotPublic(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme(scheme) => write!(f, "{scheme:?} is neither http nor https"),
            Self::NoHost => f.write_str("the url names no host"),
            Self::NotPublic(host) => write!(f, "{host} is not a public address, and this worker reaches no others"),
        }
    }
}

impl Error for Refusal {}

/// Checks what can be seen from the url itself.
pub(super) fn check(url: &Url, public_only: Option<PublicOnly>) -> Result<(), Refusal> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refusal::Scheme(url.scheme().to_owned()));
    }
    let host = url.host_str().ok_or(Refusal::NoHost)?;
    // Odd spellings of addresses (`0x7f.1`, `[::ffff:127.0.0.1]`) have been made plain by the parser.
    let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    match literal {
        Some(address) if public_only.is_some() && !is_public(address) => Err(Refusal::NotPublic(host.to_owned())),
        Some(_) | None => Ok(()),
    }
}

/// Returns whether an error began with a refusal of ours.
pub(super) fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<Refusal>() {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = found.iter().copied().filter(|address| is_public(address.ip())).collect();
            if public.is_empty() && !found.is_empty() {
                return Err(Refusal::NotPublic(name.as_str().to_owned()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Returns whether an address is one that anybody on the internet could reach (IANA special-purpose registries).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // An IPv4 address in other clothes: mapped, compatible, NAT64, 6to4.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, documentation, benchmarking, ORCHID.
        [0x2001, 0 | 2 | 0xdb8, ..] | [0x2001, 0x10..=0x2f, ..] | [0x3fff, ..] => false,
        // Only 2000::/3 is handed out to the public.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "203.0.113.9",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::ffff:10.0.0.1",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        let public = ["1.1.1.1", "172.32.0.1", "100.128.0.1", "93.184.215.14", "2606:4700::1111", "2002:101:101::1"];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_address_in_a_url_is_judged_however_it_is_spelt() {
        for url in
            ["http://127.0.0.1/", "http://0x7f.1/", "http://2130706433/", "http://[::1]:80/", "http://017700000001/"]
        {
            let url = Url::parse(url).unwrap();
            assert!(matches!(check(&url, Some(PublicOnly)), Err(Refusal::NotPublic(_))), "{url}");
            assert_eq!(check(&url, None), Ok(()), "{url}");
        }
        for url in ["file:///etc/passwd", "ftp://example.org/"] {
            assert!(matches!(check(&Url::parse(url).unwrap(), None), Err(Refusal::Scheme(_))), "{url}");
        }
        assert_eq!(check(&Url::parse("https://example.org/").unwrap(), Some(PublicOnly)), Ok(()));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_not_resolved() {
        let refusal = PublicOnly.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(is_refusal(&*refusal), "{refusal}");
    }
}
