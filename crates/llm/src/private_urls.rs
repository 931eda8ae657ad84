//! Protects against server-side request forgery: loopback, private and link-local
//! addresses (including the metadata services of clouds) are rejected unless the operator
//! allows them.
//!
//! The addresses are checked when the connection is dialed, so a name that resolves
//! differently the second time is rejected too. Redirects are never followed.
//!
//! The operator's proxy resolves names by itself. Of a call through it, the address in the
//! URL and local names are checked here, and the proxy has to refuse private addresses.

use super::network::OutboundNetwork;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is an address of a private network, which this server does not call; its operator can \
     allow this with REHEARSAL_ALLOW_PRIVATE_URLS"
)]
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
        // "this" network, private, loopback, multicast and reserved
        (0 | 10 | 127 | 224.., ..) => false,
        (100, 64..=127, _) => false,             // carrier-grade NAT
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
    // Global unicast addresses without the reserved ranges.
    let [first, second, ..] = ip.segments();
    first & 0xe000 == 0x2000            // 2000::/3
        && !(first == 0x2001 && second < 0x0200) // Teredo and other protocols
        && !(first == 0x2001 && second == 0x0db8) // documentation
        && first != 0x3fff // documentation
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address, through which that
/// host can be reached.
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

/// Parses a URL and rejects a private address as its host. Parses as the URL standard
/// does: `0x7f.1` and `2130706433` are 127.0.0.1.
///
/// # Errors
/// A message for the user.
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

/// Checks a base URL when a user enters it: the URL itself, and the addresses of its host.
/// A name that does not resolve is accepted, because it is checked again at each call.
///
/// # Errors
/// A message for the user.
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

/// Filters the addresses that may be dialed.
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

/// Resolves a name to the addresses that may be dialed. The caller must dial these
/// addresses, because a name may resolve differently the second time.
///
/// # Errors
/// [`ForbiddenAddress`] if all addresses are private, or the error of the resolution.
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

/// The system's resolver, restricted to public addresses, except for the proxy itself.
#[derive(Clone, Debug, Default)]
pub struct PublicResolver {
    network: OutboundNetwork,
}

impl PublicResolver {
    #[must_use]
    pub fn with_proxy(network: OutboundNetwork) -> Self {
        Self { network }
    }
}

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_proxy = self.network.is_proxy_host(name.as_str());
        Box::pin(async move {
            let addrs: Addrs = Box::new(addresses(name.as_str(), 0, is_proxy).await?.into_iter());
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
    fn private_addresses_are_rejected(#[case] url: &str) {
        assert!(check_literal(url, false).is_err(), "{url}");
        assert!(check_literal(url, true).is_ok(), "{url}");
    }

    #[rstest]
    #[case("https://api.anthropic.com")]
    #[case("https://8.8.8.8/v1")]
    #[case("http://172.32.0.1/")]
    #[case("http://[2606:4700::1111]/")]
    #[case("http://[::ffff:8.8.8.8]/")]
    fn public_addresses_are_allowed(#[case] url: &str) {
        assert!(check_literal(url, false).is_ok(), "{url}");
    }

    #[rstest]
    #[case("ftp://8.8.8.8/")]
    #[case("file:///etc/passwd")]
    #[case("not a url")]
    #[case("http://")]
    fn other_schemes_are_rejected(#[case] url: &str) {
        assert!(check_literal(url, true).is_err(), "{url}");
    }

    #[tokio::test]
    async fn loopback_name_is_rejected_when_resolved() {
        let refused = check_base_url("http://localhost:1234/v1", false).await;
        assert!(refused.is_err_and(|why| why.contains("localhost")));
        assert_eq!(check_base_url("http://localhost:1234/v1", true).await, Ok(()));
        let name = "localhost".parse().expect("a name");
        assert!(PublicResolver::default().resolve(name).await.is_err());
    }

    #[test]
    fn only_public_of_mixed_addresses_are_dialed() {
        let addr = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let found = [addr("10.0.0.1:0"), addr("8.8.8.8:0")];
        assert_eq!(keep_public("x", found.into_iter()), Ok(vec![addr("8.8.8.8:0")]));
        assert!(keep_public("x", [addr("10.0.0.1:0")].into_iter()).is_err());
    }
}
