//! Requests to the API of a server.

use super::args::RunArgs;
use llm::http::root_cause;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// A stream sends a comment every 15 s, so a longer silence means that the connection is
/// lost.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest pause that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Why a request failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) message: String,
    /// Whether the same request may succeed later.
    pub(super) is_temporary: bool,
    /// The pause that the server asked for.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn fatal(message: String) -> Self {
        Self { message, is_temporary: false, retry_after: None }
    }

    pub(super) fn temporary(message: String) -> Self {
        Self { message, is_temporary: true, retry_after: None }
    }
}

/// A server with the token of a user.
pub(super) struct Api {
    client: Client,
    server: String,
    token: SecretString,
}

impl Api {
    pub(super) fn new(args: &RunArgs) -> Result<Self, Failure> {
        let client = Client::builder()
            .user_agent(concat!("rehearsal/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // A redirect could carry the token to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let client = client.map_err(|error| Failure::fatal(root_cause(&error)))?;
        Ok(Self { client, server: args.server.clone(), token: args.token.clone() })
    }

    /// The address of a page.
    pub(super) fn page(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1{path}", self.server);
        self.client.request(method, url).bearer_auth(self.token.expose_secret())
    }

    /// Sends a request and returns a response with a 2xx status.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.rejection(response).await)
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let response = self.send(self.request(Method::GET, path)).await?;
        self.json(response).await
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, response: Response) -> Result<T, Failure> {
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| {
            let server = &self.server;
            Failure::fatal(format!("{server} answered what this version does not read: {error}"))
        })
    }

    /// The failure of a request without a response, or whose response broke off.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::temporary(format!("cannot reach {}: {}", self.server, root_cause(error)))
    }

    async fn rejection(&self, response: Response) -> Failure {
        let status = response.status();
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        let retry_after = header("retry-after").and_then(|text| text.trim().parse().ok());
        if let Some(location) = header("location").filter(|_| status.is_redirection()) {
            return Failure::fatal(format!(
                "{} redirects to {location}; use that address as --server",
                self.server
            ));
        }
        let body = response.text().await.unwrap_or_default();
        let message = if status == StatusCode::UNAUTHORIZED {
            "the server does not accept the token; it may have expired or been revoked".to_owned()
        } else {
            problem(status, &body)
        };
        Failure {
            message: format!("{}: {message}", self.server),
            is_temporary: status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT),
            retry_after: retry_after.map(|s| Duration::from_secs(s).min(MAX_RETRY_AFTER)),
        }
    }
}

/// The text of a problem document, with all of its problems.
fn problem(status: StatusCode, body: &str) -> String {
    let document: Value = serde_json::from_str(body).unwrap_or_default();
    let Some(detail) = document["detail"].as_str() else {
        return format!("the server answered {status}");
    };
    let mut text = detail.to_owned();
    for problem in document["errors"].as_array().into_iter().flatten() {
        let field = |name: &str| problem[name].as_str().unwrap_or_default();
        text.push_str(&format!("\n  {}: {}", field("path"), field("message")));
    }
    if let Some(link) = document["link"].as_str() {
        text.push_str(&format!("\n  see {link}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::problem;
    use reqwest::StatusCode;
    use rstest::rstest;

    #[rstest]
    #[case(r#"{"detail": "No such agent."}"#, "No such agent.")]
    #[case(
        r#"{"detail": "Two.", "errors": [{"path": "a", "message": "is bad"}], "link": "/x"}"#,
        "Two.\n  a: is bad\n  see /x"
    )]
    #[case("<html>Bad gateway</html>", "the server answered 502 Bad Gateway")]
    fn problems_are_explained(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(problem(StatusCode::BAD_GATEWAY, body), expected);
    }
}
