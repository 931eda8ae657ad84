//! Pages, as a browser without scripts sees them.

use crate::house::{House, PASSWORD, User};
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::{Client, redirect};

/// Somebody who has signed in.
pub struct Visitor {
    base: String,
    client: Client,
    cookie: String,
}

impl Visitor {
    /// Signs in.
    ///
    /// # Panics
    /// When it is not let in.
    pub async fn of(house: &House, user: &User) -> Self {
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none());
        let client = client.build().unwrap();
        let base = format!("http://{}", house.addr);
        let coded = |text: &str| text.replace('@', "%40").replace(' ', "+");
        let form = format!("email={}&password={}", coded(&user.email), coded(PASSWORD));
        let request = client
            .post(format!("{base}/forms/sign-in"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_redirection(), "sign-in: {}", answer.status());
        let cookies = answer.headers().get_all(SET_COOKIE).iter();
        let cookies = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let cookie = cookies.collect::<Vec<_>>().join("; ");
        assert!(cookie.contains("session"), "no session: {cookie}");
        Self { base, client, cookie }
    }

    /// The status that the page of a run shows first, in lower case.
    ///
    /// # Panics
    /// When there is no such page.
    pub async fn run_status(&self, run: &str) -> String {
        let request = self.client.get(format!("{}/runs/{run}", self.base));
        let answer = request.header(COOKIE, &self.cookie).send().await.unwrap();
        assert!(answer.status().is_success(), "/runs/{run}: {}", answer.status());
        first_chip(&answer.text().await.unwrap()).to_lowercase()
    }
}

/// The word of the first chip of a page.
fn first_chip(page: &str) -> &str {
    let Some((_, chip)) = page.split_once("class=\"chip ") else { return "" };
    // The icon is a span of its own; the word follows it.
    let word = chip.split_once("</span>").map_or("", |(_, rest)| rest);
    let word = word.trim_start_matches("<!>");
    word.split_once('<').map_or(word, |(word, _)| word).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_chip_is_read() {
        let page = "<h1>R</h1><span class=\"chip passed\"><span class=\"icon\" aria-hidden=\"true\">✓</span>Passed</span>\
            <span class=\"chip error\"><span>⚠</span>Error</span>";
        assert_eq!(first_chip(page), "Passed");
        assert_eq!(first_chip("nothing"), "");
    }
}
