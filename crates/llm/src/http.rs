//! The HTTP client of all adapters, and its errors.

use super::authentication::{Credentials, TokenCache, add_query, extra_headers, mask};
use super::event_stream::{STREAM_OVERHEAD, is_end_of_stream, is_event_stream};
use super::network::{OutboundNetwork, is_local_name};
use super::private_urls::{ForbiddenAddress, PublicResolver, check_literal};
use clock::SharedClock;
use llm_types::{Endpoint, Progress};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde_json::Value;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub struct HttpOptions {
    pub connect_timeout: Duration,
    /// The maximum time between two chunks of a response body. The outbound path limits the
    /// duration of the whole attempt, and the time between the parts of a streamed answer.
    pub idle_timeout: Duration,
    /// The time for a token endpoint to answer. A call waits for it, so it is much shorter
    /// than the timeout of a call.
    pub token_timeout: Duration,
    /// The maximum size of a response body in bytes.
    pub max_body: usize,
    /// Whether calls to loopback and private addresses are allowed.
    pub allow_private_urls: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            token_timeout: Duration::from_secs(10),
            max_body: 4 * 1024 * 1024,
            allow_private_urls: false,
        }
    }
}

/// A complete response of any status.
#[derive(Clone, Debug, Default)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// The cause of a missing or incomplete response. The messages are shown to users, and
/// contain neither the path of the URL nor headers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The TCP or TLS connection failed, or ended before the response.
    #[error("The provider cannot be reached: {0}.")]
    Connect(String),
    /// The connection ended after the request was sent and before the response.
    #[error("The provider cannot be reached: {0}.")]
    Closed(String),
    /// The address is private.
    #[error("The address of this connection may not be called: {0}.")]
    Forbidden(String),
    /// The request is invalid.
    #[error("The connection cannot be used: {0}.")]
    Unusable(String),
    #[error("The provider's response stopped in the middle: no data for {} s.", .0.as_secs_f32())]
    IdleTimeout(Duration),
    #[error("The provider's response was cut short: {0}.")]
    Truncated(String),
    #[error("The provider's response is larger than {} MiB and was not read completely.", .0 / 1024 / 1024)]
    TooLarge(usize),
    /// The token endpoint refuses the client, or is not one.
    #[error(
        "The token endpoint of this connection gave no access token: {0}. Check the token URL, \
         the client ID and the client secret."
    )]
    TokenRefused(String),
    /// The token endpoint cannot be reached, or fails.
    #[error("The token endpoint of this connection cannot be used at the moment: {0}.")]
    TokenUnavailable(String),
}

impl TransportError {
    /// What happened, for a message about another endpoint than the provider's.
    pub(super) fn reason(self) -> String {
        match self {
            Self::Connect(reason) | Self::Closed(reason) => {
                format!("it cannot be reached ({reason})")
            }
            Self::IdleTimeout(_) => "its response stopped in the middle".to_owned(),
            Self::Truncated(reason) => format!("its response was cut short ({reason})"),
            Self::TooLarge(_) => "its response is too large".to_owned(),
            Self::Forbidden(reason)
            | Self::Unusable(reason)
            | Self::TokenRefused(reason)
            | Self::TokenUnavailable(reason) => reason,
        }
    }
}

/// A request to the server of a connection. Its credentials, extra headers and query
/// parameters are added when it is sent.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    pub method: Method,
    /// Added to the base URL.
    pub path: String,
    /// Override the extra headers of the connection, but not its credentials.
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
}

/// A response whose body is not read yet.
#[derive(Debug)]
pub struct SentRequest {
    pub response: reqwest::Response,
    /// A secret that was sent and is not part of the endpoint, such as an access token. It
    /// must not be shown if the body repeats it.
    pub secret: Option<SecretString>,
}

/// The client, which is shared by all adapters and has one connection pool.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    options: HttpOptions,
    clock: SharedClock,
    tokens: Arc<TokenCache>,
    network: OutboundNetwork,
}

/// Installs ring as the TLS crypto provider of the process. Required before the first
/// client is built; later calls have no effect.
pub fn install_crypto() {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl HttpClient {
    /// Creates a client that calls servers directly.
    ///
    /// # Errors
    /// If the client cannot be created.
    pub fn new(options: HttpOptions, clock: SharedClock) -> Result<Self, reqwest::Error> {
        Self::with_network(options, clock, &OutboundNetwork::default())
    }

    /// Creates a client. Without CA certificates on the machine it trusts those of the
    /// operator only; without any it supports `http://` only.
    ///
    /// # Errors
    /// If the client cannot be created.
    pub fn with_network(
        options: HttpOptions,
        clock: SharedClock,
        network: &OutboundNetwork,
    ) -> Result<Self, reqwest::Error> {
        install_crypto();
        let authorities = network.authorities().to_vec();
        let with_those_of_machine = builder(options, network)?.tls_certs_merge(authorities.clone());
        let client = match with_those_of_machine.build() {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "no CA certificates found on this machine; https:// is available with those of REHEARSAL_CA_FILE only (install ca-certificates)");
                builder(options, network)?.tls_certs_only(authorities).build()?
            }
        };
        Ok(Self { client, options, clock, tokens: Arc::default(), network: network.clone() })
    }

    /// The clock for the evaluation of Retry-After.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(super) fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Posts JSON to `base_url` + `path` and reads the complete response. The headers in
    /// `own` override the extra headers of the endpoint. `progress` learns of each part of a
    /// streamed response, and has to limit the time between them.
    ///
    /// # Errors
    /// If the response is missing or incomplete.
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        path: &str,
        own: HeaderMap,
        call_id: &str,
        body: &Value,
        progress: Option<&dyn Progress>,
    ) -> Result<HttpResponse, TransportError> {
        let mut headers = own;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(call_id) {
            headers.insert("x-rehearsal-call", id);
        }
        let (path, body) = (path.to_owned(), Some(body.to_string().into_bytes()));
        let request = HttpRequest { method: Method::POST, path, headers, body };
        self.stream(endpoint, request, progress).await
    }

    /// Sends a request and reads the complete response.
    ///
    /// # Errors
    /// If the response is missing or incomplete.
    pub async fn exchange(
        &self,
        endpoint: &Endpoint,
        request: HttpRequest,
    ) -> Result<HttpResponse, TransportError> {
        self.stream(endpoint, request, None).await
    }

    /// Sends a request and reads the complete response, of whose parts `progress` learns if
    /// it is streamed.
    async fn stream(
        &self,
        endpoint: &Endpoint,
        request: HttpRequest,
        progress: Option<&dyn Progress>,
    ) -> Result<HttpResponse, TransportError> {
        let SentRequest { response, secret } = self.send(endpoint, request).await?;
        let mut response = self.read(response, progress).await?;
        if let Some(secret) = &secret {
            mask(&mut response.body, secret);
        }
        Ok(response)
    }

    /// Sends a request with the credentials, extra headers and query parameters of the
    /// endpoint. If the server rejects an access token that was used before with 401, the
    /// request is sent once more with a new one: the server did not process it.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        request: HttpRequest,
    ) -> Result<SentRequest, TransportError> {
        let credentials = Credentials::of(endpoint, self, &self.tokens).await?;
        let (is_reused, token) = (credentials.is_reused_token, credentials.derived.clone());
        let sent = self.send_once(endpoint, request.clone(), credentials).await?;
        match token {
            Some(token) if is_reused && sent.response.status() == 401 => {
                self.tokens.forget(endpoint.connection_id, &token).await;
                let credentials = Credentials::of(endpoint, self, &self.tokens).await?;
                self.send_once(endpoint, request, credentials).await
            }
            _ => Ok(sent),
        }
    }

    async fn send_once(
        &self,
        endpoint: &Endpoint,
        request: HttpRequest,
        credentials: Credentials,
    ) -> Result<SentRequest, TransportError> {
        let HttpRequest { method, path, headers: own, body } = request;
        let url = format!("{}{path}", endpoint.base_url.trim_end_matches('/'));
        let mut url = self.check_url(&url)?;
        add_query(&mut url, endpoint);
        let mut headers = extra_headers(endpoint)?;
        headers.extend(own);
        if let Some((name, value)) = credentials.header {
            headers.insert(name, value);
        }
        let mut request = self.client.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(send_error)?;
        Ok(SentRequest { response, secret: credentials.derived })
    }

    /// Parses a URL that may be called. The addresses of a name are checked when they are
    /// dialed; those of a name that the proxy resolves are not known here.
    fn check_url(&self, url: &str) -> Result<reqwest::Url, TransportError> {
        let allow_private = self.options.allow_private_urls;
        let url = check_literal(url, allow_private).map_err(TransportError::Forbidden)?;
        let host = url.host_str().unwrap_or_default();
        if !allow_private && is_local_name(host) && self.network.proxy_of(&url).is_some() {
            return Err(TransportError::Forbidden(ForbiddenAddress(host.to_owned()).to_string()));
        }
        Ok(url)
    }

    /// Obtains the access token of the endpoint, if it needs one and none is cached.
    ///
    /// # Errors
    /// If there is no token.
    pub async fn authenticate(&self, endpoint: &Endpoint) -> Result<(), TransportError> {
        Credentials::of(endpoint, self, &self.tokens).await.map(drop)
    }

    /// Posts a form without credentials of its own, for token endpoints.
    pub(super) async fn post_form(
        &self,
        url: &str,
        headers: HeaderMap,
        form: String,
    ) -> Result<HttpResponse, TransportError> {
        let url = self.check_url(url)?;
        let request = self.client.post(url).headers(headers).body(form);
        let response = request.send().await.map_err(send_error)?;
        self.read(response, None).await
    }

    /// Reads the body in chunks, with limits for the time between chunks and for the size.
    async fn read(
        &self,
        mut response: reqwest::Response,
        progress: Option<&dyn Progress>,
    ) -> Result<HttpResponse, TransportError> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let HttpOptions { idle_timeout, max_body, .. } = self.options;
        let streamed = is_event_stream(&headers);
        let progress = progress.filter(|_| streamed);
        let idle_timeout = if progress.is_some() { Duration::MAX } else { idle_timeout };
        let is_answer = streamed && response.status().is_success();
        let max_body = if is_answer { max_body * STREAM_OVERHEAD } else { max_body };
        let mut body = Vec::new();
        loop {
            let chunk = tokio::time::timeout(idle_timeout, response.chunk())
                .await
                .map_err(|_| TransportError::IdleTimeout(idle_timeout))?
                .map_err(|error| TransportError::Truncated(root_cause(&error)))?;
            let Some(chunk) = chunk else { return Ok(HttpResponse { status, headers, body }) };
            if body.len() + chunk.len() > max_body {
                return Err(TransportError::TooLarge(max_body));
            }
            body.extend_from_slice(&chunk);
            if let Some(progress) = progress {
                progress.received();
            }
            if streamed && is_end_of_stream(&body) {
                return Ok(HttpResponse { status, headers, body });
            }
        }
    }
}

fn builder(
    options: HttpOptions,
    network: &OutboundNetwork,
) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("rehearsal/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .redirect(reqwest::redirect::Policy::none()) // a 3xx is classified
        .retry(reqwest::retry::never()) // the outbound path retries
        .no_gzip() // no decompression: protects against decompression bombs
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .no_proxy() // ignores the environment
        .pool_idle_timeout(Duration::from_secs(30));
    if let Some(proxy) = network.reqwest_proxy()? {
        builder = builder.proxy(proxy);
    }
    if !options.allow_private_urls {
        builder = builder.dns_resolver(PublicResolver::with_proxy(network.clone()));
    }
    Ok(builder)
}

fn send_error(error: reqwest::Error) -> TransportError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(forbidden) = inner.downcast_ref::<ForbiddenAddress>() {
            return TransportError::Forbidden(forbidden.to_string());
        }
        source = inner.source();
    }
    if error.is_builder() {
        return TransportError::Unusable(root_cause(&error));
    }
    let cause = root_cause(&error);
    if error.is_connect() { TransportError::Connect(cause) } else { TransportError::Closed(cause) }
}

/// The innermost error in words: the outer ones repeat the URL.
#[must_use]
pub fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() && error.is_connect() {
        return "the connection timed out".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
