//! How calls reach the network, as the operator of the server decides: through a proxy, and
//! with certificates of other authorities.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Certificate, NoProxy, Proxy, Url};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The proxy and the additional authorities of all calls. By default there are none.
#[derive(Clone, Default)]
pub struct OutboundNetwork {
    proxy: Option<Arc<OutboundProxy>>,
    authorities: Vec<Certificate>,
}

/// An HTTP proxy. It resolves the names of the servers that are called through it.
struct OutboundProxy {
    /// May contain credentials.
    url: Url,
    no_proxy: String,
    matcher: Matcher,
}

impl OutboundNetwork {
    /// Calls go through the HTTP proxy at `url`, except to the hosts in `no_proxy`: names
    /// (which include their subdomains), addresses, and networks, separated by commas.
    ///
    /// # Errors
    /// A message that continues a sentence and contains no credentials.
    pub fn with_proxy(self, url: &str, no_proxy: &str) -> Result<Self, String> {
        let url = parse_proxy(url)?;
        let matcher = Matcher::builder().all(url.as_str()).no(no_proxy).build();
        let proxy = OutboundProxy { url, no_proxy: no_proxy.to_owned(), matcher };
        Ok(Self { proxy: Some(Arc::new(proxy)), ..self })
    }

    /// Trusts the authorities in `pem`, beside those of the machine.
    ///
    /// # Errors
    /// A message that continues a sentence.
    pub fn with_authorities(self, pem: &[u8]) -> Result<Self, String> {
        Ok(Self { authorities: parse_authorities(pem)?, ..self })
    }

    /// The host and the port of the proxy that calls to this URL go through.
    #[must_use]
    pub fn proxy_of(&self, url: &Url) -> Option<(String, u16)> {
        let proxy = self.proxy.as_ref()?;
        proxy.matcher.intercept(&url.as_str().parse().ok()?)?;
        let port = proxy.url.port_or_known_default()?;
        Some((bare_host(&proxy.url).to_owned(), port))
    }

    /// Whether `host` is that of the proxy, which may be in a private network.
    pub(crate) fn is_proxy_host(&self, host: &str) -> bool {
        self.proxy.as_ref().is_some_and(|proxy| proxy.url.host_str() == Some(host))
    }

    pub(crate) fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }

    pub(crate) fn reqwest_proxy(&self) -> Result<Option<Proxy>, reqwest::Error> {
        let Some(proxy) = &self.proxy else { return Ok(None) };
        let no_proxy = NoProxy::from_string(&proxy.no_proxy);
        Ok(Some(Proxy::all(proxy.url.clone())?.no_proxy(no_proxy)))
    }
}

impl fmt::Debug for OutboundNetwork {
    /// Omits the credentials of the proxy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.proxy.as_ref().map(|proxy| proxy.url.host_str().unwrap_or_default());
        let authorities = self.authorities.len();
        f.debug_struct("OutboundNetwork")
            .field("proxy", &host)
            .field("authorities", &authorities)
            .finish()
    }
}

fn parse_proxy(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must start with http:// or https://".to_owned());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("must name a host".to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must end with the host or its port".to_owned());
    }
    Ok(url)
}

/// Checks a list of hosts that are called without the proxy.
///
/// # Errors
/// A message that continues a sentence.
pub fn check_no_proxy(list: &str) -> Result<(), String> {
    let is_name = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let valid = match entry.split_once('/') {
            Some((address, prefix)) => {
                let most = match address.parse::<IpAddr>() {
                    Ok(IpAddr::V4(_)) => Some(32),
                    Ok(IpAddr::V6(_)) => Some(128),
                    Err(_) => None,
                };
                most.is_some_and(|most| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= most))
            }
            None => entry == "*" || entry.parse::<IpAddr>().is_ok() || is_name(entry),
        };
        if !valid {
            return Err(format!(
                "contains {entry:?}, which is no name, address or network (without scheme and port)"
            ));
        }
    }
    Ok(())
}

fn parse_authorities(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    let mut roots = RootCertStore::empty();
    let mut authorities = Vec::new();
    for (index, found) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let invalid =
            |why: String| format!("has an invalid certificate (number {}): {why}", index + 1);
        let der = found.map_err(|error| invalid(error.to_string()))?;
        roots.add(der.clone()).map_err(|error| invalid(error.to_string()))?;
        authorities.push(Certificate::from_der(&der).map_err(|error| invalid(error.to_string()))?);
    }
    if authorities.is_empty() {
        return Err("contains no certificate in PEM format (BEGIN CERTIFICATE)".to_owned());
    }
    Ok(authorities)
}

/// The host without the brackets of an IPv6 address.
fn bare_host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_matches(['[', ']'])
}

/// Whether a name is local: it means a machine in the network in which it is resolved. A proxy
/// resolves names itself, so this server cannot check their addresses.
pub(crate) fn is_local_name(host: &str) -> bool {
    const ENDS: [&str; 5] = [".localhost", ".local", ".internal", ".home.arpa", ".lan"];
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.parse::<IpAddr>().is_err()
        && !host.starts_with('[')
        && (!host.contains('.') || ENDS.iter().any(|end| host.ends_with(end)))
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
