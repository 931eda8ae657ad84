//! The client address of a request. Only trusted proxies may set it with
//! `X-Forwarded-For`.

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// An IP address or a network: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_len: u8,
}

impl Network {
    /// Whether `ip` is in the network. Treats IPv4-mapped IPv6 addresses as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - u32::from(self.prefix_len.min(32));
                u64::from(a.to_bits()) >> shift == u64::from(b.to_bits()) >> shift
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128 - u32::from(self.prefix_len.min(128));
                a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let invalid = || format!("{text:?} is not an address like 10.0.0.1 or 10.0.0.0/8");
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_len = match prefix {
            None => max,
            Some(text) => text.parse().ok().filter(|bits| *bits <= max).ok_or_else(invalid)?,
        };
        Ok(Self { address, prefix_len })
    }
}

/// The address of the client: the peer or, if the peer is a trusted proxy, the last
/// address of `X-Forwarded-For` that is not a trusted proxy. Addresses further left
/// may be forged by the client.
#[must_use]
pub fn client_ip(headers: &HeaderMap, extensions: &Extensions, trusted: &[Network]) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let mut ip = peer.unwrap_or(IpAddr::from([0, 0, 0, 0])).to_canonical();
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    // Invalid UTF-8 from the client must not hide the addresses that proxies append.
    let values = headers.get_all("x-forwarded-for").iter();
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        if !is_trusted(ip) {
            break;
        }
        match forwarded_address(hop) {
            Some(next) => ip = next.to_canonical(),
            None => break,
        }
    }
    ip
}

/// Parses an address of `X-Forwarded-For`. Some proxies append the port, as in
/// `203.0.113.9:4711` and `[2001:db8::1]:4711`, or write `[2001:db8::1]`.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::{Network, client_ip};
    use axum::extract::ConnectInfo;
    use axum::http::{Extensions, HeaderMap, HeaderValue};
    use rstest::rstest;
    use std::net::{IpAddr, SocketAddr};

    #[rstest]
    #[case("10.0.0.0/8", "10.1.2.3", true)]
    #[case("10.0.0.0/8", "11.1.2.3", false)]
    #[case("0.0.0.0/0", "203.0.113.9", true)]
    #[case("127.0.0.1", "::ffff:127.0.0.1", true)]
    #[case("::/0", "2001:db8::1", true)]
    #[case("2001:db8::/32", "2001:db9::1", false)]
    fn networks_contain(#[case] network: Network, #[case] ip: IpAddr, #[case] expected: bool) {
        assert_eq!(network.contains(ip), expected);
    }

    #[rstest]
    #[case("")]
    #[case("10.0.0.0/33")]
    #[case("proxy.example")]
    fn invalid_networks_are_rejected(#[case] text: &str) {
        assert!(text.parse::<Network>().is_err());
    }

    #[rstest]
    #[case("203.0.113.9", "", "203.0.113.9")] // no proxy
    #[case("203.0.113.9", "1.2.3.4", "203.0.113.9")] // untrusted peer
    #[case("10.0.0.1", "1.2.3.4", "1.2.3.4")]
    #[case("10.0.0.1", "9.9.9.9, 1.2.3.4, 10.0.0.2", "1.2.3.4")] // 9.9.9.9 is forged
    #[case("10.0.0.1", "1.2.3.4, nonsense", "10.0.0.1")]
    #[case("10.0.0.1", "9.9.9.9, 1.2.3.4:4711", "1.2.3.4")]
    #[case("10.0.0.1", "9.9.9.9, 1.2.3.4:4711, 10.0.0.2:80", "1.2.3.4")]
    #[case("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1")]
    #[case("10.0.0.1", "[2001:db8::1]", "2001:db8::1")]
    #[case("10.0.0.1", "2001:db8::1", "2001:db8::1")]
    #[case("10.0.0.1", "1.2.3.4:port", "10.0.0.1")]
    fn only_trusted_proxies_set_the_client_address(
        #[case] peer: IpAddr,
        #[case] forwarded: &str,
        #[case] client: IpAddr,
    ) {
        let trusted = ["10.0.0.0/8".parse::<Network>().expect("a network")];
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer, 5000)));
        let mut headers = HeaderMap::new();
        if !forwarded.is_empty() {
            let value = HeaderValue::from_str(forwarded).expect("a header");
            headers.insert("x-forwarded-for", value);
        }
        assert_eq!(client_ip(&headers, &extensions, &trusted), client);
    }

    #[rstest]
    #[case(b"\xff, 1.2.3.4", "1.2.3.4")] // the proxy appends at the right
    #[case(b"1.2.3.4, \xff", "10.0.0.1")]
    fn invalid_utf8_does_not_hide_the_client_address(
        #[case] forwarded: &[u8],
        #[case] client: IpAddr,
    ) {
        let trusted = ["10.0.0.0/8".parse::<Network>().expect("a network")];
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 5000))));
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(forwarded).expect("a header");
        headers.insert("x-forwarded-for", value);
        assert_eq!(client_ip(&headers, &extensions, &trusted), client);
    }
}
