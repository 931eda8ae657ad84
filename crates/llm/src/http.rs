//! The one HTTP client: what goes over the wire, and what can go wrong there.

use super::private_urls::{ForbiddenAddress, PublicResolver, check_literal};
use llm_types::Endpoint;
use clock::SharedClock;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::error::Error as _;
use std::time::Duration;

/// What the client keeps to.
#[derive(Clone, Copy, Debug)]
pub struct HttpOptions {
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest silence between bytes of an answer that has begun. The time
    /// for the whole call, from the first byte of the handshake to the last of
    /// the answer, is the outbound path's to keep.
    pub idle_timeout: Duration,
    /// Most bytes of an answer, as they come over the wire.
    pub max_body: usize,
    /// Whether loopback and private networks may be called.
    pub allow_private_urls: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            max_body: 4 * 1024 * 1024,
            allow_private_urls: false,
        }
    }
}

/// A whole answer, whatever its status.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, complete.
    pub body: Vec<u8>,
}

/// Why there is no whole answer. In words for a person, without the URL's
/// path or any header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Transport {
    /// No connection, no TLS, or it broke before an answer began.
    #[error("The provider cannot be reached: {0}.")]
    Connect(String),
    /// The address may not be called.
    #[error("The address of this connection may not be called: {0}.")]
    Forbidden(String),
    /// The request cannot even be made.
    #[error("The connection cannot be used: {0}.")]
    Unusable(String),
    /// The answer stopped coming.
    #[error("The provider's answer stopped in the middle: nothing for {} s.", .0.as_secs_f32())]
    Idle(Duration),
    /// The answer ended too early.
    #[error("The provider's answer was cut short: {0}.")]
    Cut(String),
    /// The answer is larger than any answer can be.
    #[error("The provider's answer is larger than {} MiB, and was not read to its end.", .0 / 1024 / 1024)]
    TooLarge(usize),
}

/// The client, shared by all adapters: one pool of connections.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    options: HttpOptions,
    clock: SharedClock,
}

/// Makes ring the process's cryptography for TLS. Needed once before the
/// first client is built; later calls change nothing.
pub fn install_crypto() {
    // An error only says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl HttpClient {
    /// A client that keeps to `options`. On a machine without certificates of
    /// authorities it is built all the same and reaches `http://` only.
    ///
    /// # Errors
    /// When no client can be built at all.
    pub fn new(options: HttpOptions, clock: SharedClock) -> Result<Self, reqwest::Error> {
        install_crypto();
        let client = match builder(options).build() {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "no certificates of authorities; https:// cannot be reached (install ca-certificates)");
                builder(options).tls_certs_only([]).build()?
            }
        };
        Ok(Self { client, options, clock })
    }

    /// The clock by which Retry-After is read.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Posts JSON to `base_url` + `path` and reads the whole answer. The
    /// endpoint's extra headers go first, so that `own` ones win.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        path: &str,
        own: HeaderMap,
        call_id: &str,
        body: &Value,
    ) -> Result<Answer, Transport> {
        let url = format!("{}{path}", endpoint.base_url.trim_end_matches('/'));
        let url =
            check_literal(&url, self.options.allow_private_urls).map_err(Transport::Forbidden)?;
        let mut headers = extra_headers(endpoint)?;
        headers.extend(own);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(call_id) {
            headers.insert("x-rehearsal-call", id);
        }
        let request = self.client.post(url).headers(headers).body(body.to_string());
        let response = request.send().await.map_err(sending)?;
        self.read(response).await
    }

    /// Reads a body piece by piece: the clock runs between bytes, and no
    /// server fills our memory.
    async fn read(&self, mut response: reqwest::Response) -> Result<Answer, Transport> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let HttpOptions { idle_timeout, max_body, .. } = self.options;
        let mut body = Vec::new();
        loop {
            let piece = tokio::time::timeout(idle_timeout, response.chunk())
                .await
                .map_err(|_| Transport::Idle(idle_timeout))?
                .map_err(|error| Transport::Cut(root_cause(&error)))?;
            let Some(piece) = piece else { return Ok(Answer { status, headers, body }) };
            if body.len() + piece.len() > max_body {
                return Err(Transport::TooLarge(max_body));
            }
            body.extend_from_slice(&piece);
        }
    }
}

fn builder(options: HttpOptions) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("rehearsal/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .redirect(reqwest::redirect::Policy::none()) // a 3xx is an answer
        .retry(reqwest::retry::never()) // there is one retry layer, and it is not here
        .no_gzip() // nothing is unpacked, so that a few bytes cannot become many
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .no_proxy() // nothing from the environment
        .pool_idle_timeout(Duration::from_secs(30));
    if options.allow_private_urls { builder } else { builder.dns_resolver(PublicResolver) }
}

/// The endpoint's own extra headers; stored values were checked when written.
fn extra_headers(endpoint: &Endpoint) -> Result<HeaderMap, Transport> {
    let mut headers = HeaderMap::new();
    for (name, value) in &endpoint.headers {
        let unusable = || Transport::Unusable(format!("the header {name:?} is not valid"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// A secret as a header's value, marked so that nothing prints it.
///
/// # Errors
/// When it holds what no header may.
pub fn secret_header(text: &str) -> Result<HeaderValue, Transport> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Transport::Unusable("its key holds characters that no key has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn sending(error: reqwest::Error) -> Transport {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(forbidden) = inner.downcast_ref::<ForbiddenAddress>() {
            return Transport::Forbidden(forbidden.to_string());
        }
        source = inner.source();
    }
    if error.is_builder() {
        return Transport::Unusable(root_cause(&error));
    }
    Transport::Connect(root_cause(&error))
}

/// The innermost reason: the outer ones repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() && error.is_connect() {
        return "no connection in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
