//! Limits how many permits each key holds at once.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Counts permits per key. Keys without a permit use no memory.
pub(crate) struct KeyedLimit<K> {
    held: Mutex<HashMap<K, usize>>,
}

impl<K> Default for KeyedLimit<K> {
    fn default() -> Self {
        Self { held: Mutex::new(HashMap::new()) }
    }
}

impl<K: Eq + Hash + Clone> KeyedLimit<K> {
    /// Takes a permit of `key`, which is returned when it is dropped. `None` if the key
    /// holds `max` already.
    pub(crate) fn acquire(self: &Arc<Self>, key: K, max: usize) -> Option<KeyedPermit<K>> {
        let mut held = self.held.lock();
        let count = held.get(&key).copied().unwrap_or(0);
        if count >= max {
            return None;
        }
        held.insert(key.clone(), count + 1);
        Some(KeyedPermit { limit: self.clone(), key })
    }

    #[cfg(test)]
    pub(crate) fn keys(&self) -> usize {
        self.held.lock().len()
    }
}

/// One permit of a key.
pub(crate) struct KeyedPermit<K: Eq + Hash + Clone> {
    limit: Arc<KeyedLimit<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone> Drop for KeyedPermit<K> {
    fn drop(&mut self) {
        let mut held = self.limit.held.lock();
        match held.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                held.remove(&self.key);
            }
        }
    }
}

/// The addresses that count as one client: an IPv4 address, or an IPv6 network of 64
/// bits, because one client usually has all of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientAddress(IpAddr);

impl From<IpAddr> for ClientAddress {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(IpAddr::V4(ip)),
            IpAddr::V6(ip) => {
                Self(IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientAddress, KeyedLimit};
    use rstest::rstest;
    use std::net::IpAddr;
    use std::sync::Arc;

    #[test]
    fn keys_are_limited_separately_and_permits_return() {
        let limit = Arc::new(KeyedLimit::default());
        let first = limit.acquire("a", 2);
        let second = limit.acquire("a", 2);
        assert!(first.is_some() && second.is_some());
        assert!(limit.acquire("a", 2).is_none(), "the key holds two");
        assert!(limit.acquire("b", 2).is_some(), "another key is not affected");
        drop(first);
        assert!(limit.acquire("a", 2).is_some());
        drop(second);
        assert_eq!(limit.keys(), 0, "keys without a permit are forgotten");
    }

    #[rstest]
    #[case("203.0.113.9", "203.0.113.9", true)]
    #[case("203.0.113.9", "203.0.113.8", false)]
    #[case("::ffff:203.0.113.9", "203.0.113.9", true)]
    #[case("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true)]
    #[case("2001:db8:1:2::1", "2001:db8:1:3::1", false)]
    fn addresses_of_one_client_are_equal(#[case] a: IpAddr, #[case] b: IpAddr, #[case] same: bool) {
        assert_eq!(ClientAddress::from(a) == ClientAddress::from(b), same);
    }
}
