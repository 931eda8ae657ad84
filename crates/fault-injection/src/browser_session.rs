//! Pages, as a browser without scripts sees them.

use crate::{ApiClient, PASSWORD, TestServer};
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::{Client, redirect};

/// A signed-in browser.
pub struct BrowserSession {
    base: String,
    client: Client,
    cookie: String,
}

impl BrowserSession {
    pub async fn sign_in(server: &TestServer, user: &ApiClient) -> Self {
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none());
        let client = client.build().unwrap();
        let base = format!("http://{}", server.addr);
        let encode = |text: &str| text.replace('@', "%40").replace(' ', "+");
        let form = format!("email={}&password={}", encode(&user.email), encode(PASSWORD));
        let request = client
            .post(format!("{base}/forms/sign-in"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let response = request.send().await.unwrap();
        assert!(response.status().is_redirection(), "sign-in: {}", response.status());
        let cookies = response.headers().get_all(SET_COOKIE).iter();
        let cookies = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let cookie = cookies.collect::<Vec<_>>().join("; ");
        assert!(cookie.contains("session"), "no session: {cookie}");
        Self { base, client, cookie }
    }

    /// The status that the page of a run shows, as the API spells it.
    pub async fn run_status(&self, run: &str) -> String {
        match first_chip(&self.page(&format!("/runs/{run}")).await) {
            "Canceled" => "cancelled".to_owned(),
            label => label.to_lowercase(),
        }
    }

    /// The HTML of a page.
    pub async fn page(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.base));
        let response = request.header(COOKIE, &self.cookie).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response.text().await.unwrap()
    }
}

/// The label of the first chip of a page.
fn first_chip(page: &str) -> &str {
    let Some((_, chip)) = page.split_once("class=\"chip ") else { return "" };
    // The icon is in its own span; the label follows.
    let label = chip.split_once("</span>").map_or("", |(_, rest)| rest);
    let label = label.trim_start_matches("<!>");
    label.split_once('<').map_or(label, |(label, _)| label).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_label_of_first_chip() {
        let page = "<h1>R</h1><span class=\"chip passed\"><span class=\"icon\" aria-hidden=\"true\">✓</span>Passed</span>\
            <span class=\"chip error\"><span>⚠</span>Error</span>";
        assert_eq!(first_chip(page), "Passed");
        assert_eq!(first_chip("nothing"), "");
    }
}
