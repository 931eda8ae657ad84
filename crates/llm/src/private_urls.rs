//! Which addresses may be called. A server that others can reach must not be
//! talked into calling its own network: loopback, private and link-local
//! addresses (the metadata services of clouds among them) are refused unless
//! the operator allows them.
//!
//! The check stands where the connection is made, on the addresses that are
//! really dialled: a name that resolves differently the second time gains
//! nothing. Redirects are never followed, proxies never used.

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address that may not be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is an address of a private network; this server does not call those")]
pub struct ForbiddenAddress(pub String);

/// Whether an address belongs to the public internet.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        // "this" network, private, loopback, multicast and what lies above
        (0 | 10 | 127 | 224.., ..) => false,
        (100, 64..=127, _) => false,             // carriers' own
        (169, 254, _) => false,                  // link-local, metadata
        (172, 16..=31, _) => false,              // private
        (192, 168, _) => false,                  // private
        (192, 0, 0 | 2) => false,                // protocol assignments, documentation
        (192, 88, 99) => false,                  // 6to4 relays
        (198, 18..=19, _) => false,              // benchmarks
        (198, 51, 100) | (203, 0, 113) => false, // documentation
        _ => true,
    }
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(inner) = embedded_v4(ip) {
        return is_public_v4(inner);
    }
    // Only what is handed out globally, less its reserved parts.
    let [first, second, ..] = ip.segments();
    first & 0xe000 == 0x2000            // 2000::/3
        && !(first == 0x2001 && second < 0x0200) // Teredo and other protocols
        && !(first == 0x2001 && second == 0x0db8) // documentation
        && first != 0x3fff // documentation
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 one: dialling
/// it can reach that host.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(v4(high, low)),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Reads a URL and refuses one whose host is a forbidden address in itself.
/// The URL standard's own reading is used: `0x7f.1` and `2130706433` are
/// 127.0.0.1.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn check_literal(url: &str, allow_private: bool) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|error| format!("{url} is not an address: {error}"))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err("the address must start with https:// or http://".to_owned());
    }
    let Some(host) = parsed.host_str() else {
        return Err("the address must name a server".to_owned());
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) if !allow_private && !is_public(ip) => {
            Err(ForbiddenAddress(bare.into()).to_string())
        }
        _ => Ok(parsed),
    }
}

/// The whole check, for the moment when somebody writes a base URL down: the
/// literal one, then the addresses behind the name. A name that does not
/// resolve now is not refused: it may later, and is checked again then.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub async fn check_base_url(url: &str, allow_private: bool) -> Result<(), String> {
    let parsed = check_literal(url, allow_private)?;
    let host = parsed.host_str().unwrap_or_default();
    if allow_private || host.starts_with('[') {
        return Ok(());
    }
    match tokio::net::lookup_host((host, 0)).await {
        Err(_) => Ok(()),
        Ok(found) => keep_public(host, found).map(drop).map_err(|error| error.to_string()),
    }
}

/// The addresses that may be dialled.
fn keep_public(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, ForbiddenAddress> {
    let (public, private): (Vec<_>, Vec<_>) = found.partition(|addr| is_public(addr.ip()));
    match (public.is_empty(), private.first()) {
        (true, Some(addr)) => Err(ForbiddenAddress(format!("{host} ({})", addr.ip()))),
        _ => Ok(public),
    }
}

/// What a name resolves to, less what may not be dialled. Whoever dials asks
/// here, and dials what it is given: asked twice, a name may answer otherwise.
///
/// # Errors
/// [`ForbiddenAddress`] if nothing is left; else why it does not resolve.
pub async fn addresses(
    host: &str,
    port: u16,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let found = tokio::net::lookup_host((host, port)).await?;
    if allow_private {
        return Ok(found.collect());
    }
    Ok(keep_public(host, found)?)
}

/// The system's resolver, less the addresses that may not be dialled.
#[derive(Clone, Copy, Debug)]
pub struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addrs: Addrs = Box::new(addresses(name.as_str(), 0, false).await?.into_iter());
            Ok(addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("http://127.0.0.1:11434/v1")]
    #[case("http://127.1/v1")]
    #[case("http://2130706433/")]
    #[case("http://0x7f000001/")]
    #[case("http://0177.0.0.1/")]
    #[case("http://0.0.0.0/")]
    #[case("http://10.1.2.3/")]
    #[case("http://172.16.0.1/")]
    #[case("http://172.31.255.255/")]
    #[case("http://192.168.1.1/")]
    #[case("http://100.64.0.1/")]
    #[case("http://169.254.169.254/latest/meta-data")]
    #[case("http://255.255.255.255/")]
    #[case("http://[::1]/")]
    #[case("http://[::]/")]
    #[case("http://[fe80::1]/")]
    #[case("http://[fd00:ec2::254]/")]
    #[case("http://[::ffff:10.0.0.1]/")]
    #[case("http://[64:ff9b::7f00:1]/")]
    #[case("http://[2002:7f00:1::]/")]
    #[case("http://[2001:db8::1]/")]
    fn private_addresses_are_refused(#[case] url: &str) {
        assert!(check_literal(url, false).is_err(), "{url}");
        assert!(check_literal(url, true).is_ok(), "{url}");
    }

    #[rstest]
    #[case("https://api.anthropic.com")]
    #[case("https://8.8.8.8/v1")]
    #[case("http://172.32.0.1/")]
    #[case("http://[2606:4700::1111]/")]
    #[case("http://[::ffff:8.8.8.8]/")]
    fn public_ones_pass(#[case] url: &str) {
        assert!(check_literal(url, false).is_ok(), "{url}");
    }

    #[rstest]
    #[case("ftp://8.8.8.8/")]
    #[case("file:///etc/passwd")]
    #[case("not a url")]
    #[case("http://")]
    fn other_schemes_never(#[case] url: &str) {
        assert!(check_literal(url, true).is_err(), "{url}");
    }

    #[tokio::test]
    async fn a_name_for_loopback_is_refused_when_resolved() {
        let refused = check_base_url("http://localhost:1234/v1", false).await;
        assert!(refused.is_err_and(|why| why.contains("localhost")));
        assert_eq!(check_base_url("http://localhost:1234/v1", true).await, Ok(()));
        let name = "localhost".parse().expect("a name");
        assert!(PublicResolver.resolve(name).await.is_err());
    }

    #[test]
    fn of_mixed_addresses_only_the_public_are_dialled() {
        let addr = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let found = [addr("10.0.0.1:0"), addr("8.8.8.8:0")];
        assert_eq!(keep_public("x", found.into_iter()), Ok(vec![addr("8.8.8.8:0")]));
        assert!(keep_public("x", [addr("10.0.0.1:0")].into_iter()).is_err());
    }
}
