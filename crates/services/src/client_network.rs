//! Groups client addresses that one client can choose freely.

use std::net::{IpAddr, Ipv6Addr};

/// The address itself for IPv4, and the /64 network for IPv6: a subscriber usually gets
/// a whole /64, so limits per address would not bind.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::client_network;
    use rstest::rstest;
    use std::net::IpAddr;

    #[rstest]
    #[case("203.0.113.9", "203.0.113.9", true)]
    #[case("203.0.113.9", "203.0.113.8", false)]
    #[case("::ffff:203.0.113.9", "203.0.113.9", true)]
    #[case("2001:db8::1", "2001:db8::ffff:1:2:3", true)]
    #[case("2001:db8::1", "2001:db8:0:1::1", false)]
    fn addresses_share_a_network(#[case] a: IpAddr, #[case] b: IpAddr, #[case] same: bool) {
        assert_eq!(client_network(a) == client_network(b), same);
    }
}
