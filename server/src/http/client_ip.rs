//! Where a request comes from. Forwarded headers count only from proxies that
//! the settings trust; from anybody else they are a claim.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};

/// An address or a network: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether `ip` is in it. An IPv4 address written as IPv6 is the same.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - u32::from(self.bits.min(32));
                u64::from(a.to_bits()) >> shift == u64::from(b.to_bits()) >> shift
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128 - u32::from(self.bits.min(128));
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
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let wrong = || format!("{text:?} is not an address like 10.0.0.1 or 10.0.0.0/8");
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?,
        };
        Ok(Self { address, bits })
    }
}

/// The address of the client: the peer, or what the nearest proxy that is not
/// ours says (read from the right: the left end is the client's own to write).
#[must_use]
pub fn client_ip(headers: &HeaderMap, extensions: &Extensions, trusted: &[Network]) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let mut ip = peer.unwrap_or(IpAddr::from([0, 0, 0, 0])).to_canonical();
    let trusts = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    // A client may send bytes that are no text: they must not hide what the
    // proxy wrote behind them.
    let values = headers.get_all("x-forwarded-for").iter();
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        if !trusts(ip) {
            break;
        }
        match hop.trim().parse::<IpAddr>() {
            Ok(next) => ip = next.to_canonical(),
            Err(_) => break,
        }
    }
    ip
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
    fn networks_contain(#[case] network: Network, #[case] ip: IpAddr, #[case] inside: bool) {
        assert_eq!(network.contains(ip), inside);
    }

    #[rstest]
    #[case("")]
    #[case("10.0.0.0/33")]
    #[case("proxy.example")]
    fn what_is_no_network_is_told(#[case] text: &str) {
        assert!(text.parse::<Network>().is_err());
    }

    #[rstest]
    #[case("203.0.113.9", "", "203.0.113.9")] // nobody between
    #[case("203.0.113.9", "1.2.3.4", "203.0.113.9")] // an untrusted peer claims
    #[case("10.0.0.1", "1.2.3.4", "1.2.3.4")]
    #[case("10.0.0.1", "9.9.9.9, 1.2.3.4, 10.0.0.2", "1.2.3.4")] // the client forged 9.9.9.9
    #[case("10.0.0.1", "1.2.3.4, nonsense", "10.0.0.1")]
    fn forwarded_counts_from_trusted_proxies(
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
    #[case(b"\xff, 1.2.3.4", "1.2.3.4")] // what the proxy wrote stands at the right
    #[case(b"1.2.3.4, \xff", "10.0.0.1")]
    fn bytes_that_are_no_text_hide_nobody(#[case] forwarded: &[u8], #[case] client: IpAddr) {
        let trusted = ["10.0.0.0/8".parse::<Network>().expect("a network")];
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 5000))));
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(forwarded).expect("a header");
        headers.insert("x-forwarded-for", value);
        assert_eq!(client_ip(&headers, &extensions, &trusted), client);
    }
}
