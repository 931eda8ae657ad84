//! Accounts, tokens, and rejected input.

use super::{SignUp, accounts, fixture, paths, status, unknown_id};
use crate::Accounts;
use clock::{Clock, SystemClock};
use domain::services::{
    AccountService, AuthMethod, Caller, ConnectionService, SavedForm, SavedFormService,
};
use domain::{Draft, Problem, Timestamp, TokenRequest, limits};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use telemetry::capture::Capture;
use telemetry::request::{RequestContext, within};
use tracing::Level;

const PASSWORD: &str = "correct horse";

pub(super) fn token(name: &str) -> TokenRequest {
    TokenRequest { name: name.into(), expires_in_days: limits::TOKEN_DAYS }
}

#[tokio::test]
async fn first_account_closes_sign_up() {
    let (it, _folder) = accounts(SignUp::First).await;
    assert!(it.sign_up_open().await.unwrap());
    let first = it.sign_up(" Anna@Example.org ", PASSWORD).await.unwrap();
    assert_eq!(first.email, "anna@example.org");
    assert!(!it.sign_up_open().await.unwrap());
    assert_eq!(status(it.sign_up("ben@example.org", PASSWORD).await), 409);
    // The command line ignores the sign-up mode.
    it.create_user("ben@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn concurrent_first_sign_ups_create_one_account() {
    let (it, _folder) = accounts(SignUp::First).await;
    let (one, two) = tokio::join!(
        it.sign_up("anna@example.org", PASSWORD),
        it.sign_up("ben@example.org", PASSWORD)
    );
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|ok| **ok).count(), 1);
}

#[tokio::test]
async fn open_and_closed() {
    let (open, _folder) = accounts(SignUp::Open).await;
    open.sign_up("anna@example.org", PASSWORD).await.unwrap();
    open.sign_up("ben@example.org", PASSWORD).await.unwrap();
    assert_eq!(paths(open.sign_up("ANNA@example.org", PASSWORD).await), ["email"]);
    let (closed, _folder) = accounts(SignUp::Closed).await;
    assert!(!closed.sign_up_open().await.unwrap());
    assert_eq!(status(closed.sign_up("anna@example.org", PASSWORD).await), 409);
}

#[tokio::test]
async fn all_sign_up_problems_are_reported_at_once() {
    let (it, _folder) = accounts(SignUp::Open).await;
    assert_eq!(paths(it.sign_up("no-address", "short").await), ["email", "password"]);
    let long = format!("{}@example.org", "x".repeat(250));
    for bad in ["", " ", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\u{0}", "\u{200b}@b c", &long] {
        assert_eq!(paths(it.sign_up(bad, PASSWORD).await), ["email"], "{bad:?}");
    }
}

#[tokio::test]
async fn wrong_password_and_unknown_address_get_same_error() {
    let fixture = fixture().await;
    let anna = fixture.accounts.sign_in("Anna@example.org", "anna's password").await.unwrap();
    assert_eq!(anna, fixture.anna);
    let now = SystemClock.now();
    assert_eq!(fixture.accounts.caller_of_session(anna.user_id, now).await.unwrap(), anna);
    let wrong = fixture.accounts.sign_in("anna@example.org", "ben's password").await.unwrap_err();
    let unknown = fixture.accounts.sign_in("cleo@example.org", "ben's password").await.unwrap_err();
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.code.status(), 401);
    assert_eq!(status(fixture.accounts.caller_of_session(unknown_id().into(), now).await), 401);
}

#[tokio::test]
async fn token_is_shown_once_and_identifies_user() {
    let fixture = fixture().await;
    let made = fixture.accounts.create_token(&fixture.anna, &token(" CI ")).await.unwrap();
    assert_eq!(made.listed.name, "CI");
    let by_token = fixture.accounts.caller_of_token(&made.token).await.unwrap();
    assert_eq!(by_token, Caller { auth: AuthMethod::Token, ..fixture.anna.clone() });
    assert_eq!(status(fixture.accounts.create_token(&by_token, &token("more")).await), 403);
    let listed = fixture.accounts.tokens(&fixture.anna).await.unwrap();
    assert!(listed[0].last_used_at.is_some());
    assert!(!super::text(&listed).to_string().contains(&made.token[4..]));
    for bad in ["", " ", "\u{200b}", &"x".repeat(201), "two\nlines"] {
        assert_eq!(
            paths(fixture.accounts.create_token(&fixture.anna, &token(bad)).await),
            ["name"],
            "{bad:?}"
        );
    }
    let cli = fixture.accounts.create_token_for("Ben@example.org", &token("cli")).await.unwrap();
    let ben = fixture.accounts.caller_of_token(&cli.token).await.unwrap();
    assert_eq!(ben.user_id, fixture.ben.user_id);
    let unknown = fixture.accounts.create_token_for("cleo@example.org", &token("cli")).await;
    assert_eq!(status(unknown), 404);
    fixture.accounts.delete_token(&fixture.anna, made.listed.id).await.unwrap();
    assert_eq!(status(fixture.accounts.caller_of_token(&made.token).await), 401);
    assert_eq!(status(fixture.accounts.caller_of_token("rhs_nonsense").await), 401);
}

fn rejected(draft: serde_json::Value) -> SavedForm {
    SavedForm {
        draft: Draft(draft),
        problems: vec![Problem::new("name", "must not be empty")],
        detail: "One problem.".into(),
        link: None,
    }
}

#[tokio::test]
async fn rejected_form_is_stored_without_secrets() {
    let fixture = fixture().await;
    let typed = json!({"name": "", "api_key": "sk-secret", "nested": [{"Password": "secret"}]});
    let id = fixture.saved_forms.save_form(Some(&fixture.anna), &rejected(typed)).await.unwrap();
    let kept = fixture.saved_forms.saved_form(Some(&fixture.anna), id).await.unwrap();
    assert_eq!(kept, rejected(json!({"name": "", "nested": [{}]})));
    assert_eq!(status(fixture.saved_forms.saved_form(Some(&fixture.ben), id).await), 404);
    assert_eq!(status(fixture.saved_forms.saved_form(None, id).await), 404);
}

#[tokio::test]
async fn anonymous_draft_size_is_limited() {
    let fixture = fixture().await;
    let long = rejected(json!({"email": "x".repeat(100_000)}));
    let id = fixture.saved_forms.save_form(None, &long).await.unwrap();
    let kept = fixture.saved_forms.saved_form(None, id).await.unwrap();
    assert!(kept.draft.is_empty());
    assert_eq!(kept.problems, long.problems);
    let id = fixture.saved_forms.save_form(Some(&fixture.anna), &long).await.unwrap();
    assert_eq!(fixture.saved_forms.saved_form(Some(&fixture.anna), id).await.unwrap(), long);
}

#[tokio::test]
async fn change_of_password_asks_for_the_old_one_and_ends_sessions() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.accounts, &fixture.anna);
    let before = SystemClock.now().minus(Duration::from_secs(1));
    assert_eq!(
        paths(it.change_password(anna, "wrong", "a new password").await),
        ["current_password"]
    );
    for bad in ["short", "Password123", "anna's password"] {
        let refused = it.change_password(anna, "anna's password", bad).await;
        assert_eq!(paths(refused), ["new_password"], "{bad}");
    }
    it.caller_of_session(anna.user_id, before).await.unwrap();
    let by_token = Caller { auth: AuthMethod::Token, ..anna.clone() };
    let refused = it.change_password(&by_token, "anna's password", "a new password").await;
    assert_eq!(status(refused), 403);

    it.change_password(anna, "anna's password", "a new password").await.unwrap();
    assert_eq!(status(it.caller_of_session(anna.user_id, before).await), 401);
    it.caller_of_session(anna.user_id, SystemClock.now()).await.unwrap();
    assert_eq!(status(it.sign_in("anna@example.org", "anna's password").await), 401);
    it.sign_in("anna@example.org", "a new password").await.unwrap();
    it.sign_in("ben@example.org", "ben's password").await.unwrap();
}

#[tokio::test]
async fn operator_resets_a_forgotten_password() {
    let fixture = fixture().await;
    let it = &fixture.accounts;
    let before = SystemClock.now().minus(Duration::from_secs(1));
    assert_eq!(status(it.reset_password("cleo@example.org", "a new password").await), 404);
    assert_eq!(paths(it.reset_password("anna@example.org", "short").await), ["password"]);
    it.reset_password(" Anna@example.org", "a new password").await.unwrap();
    assert_eq!(status(it.caller_of_session(fixture.anna.user_id, before).await), 401);
    it.sign_in("anna@example.org", "a new password").await.unwrap();
}

#[tokio::test]
async fn sign_out_everywhere_ends_sessions_that_began_before() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.accounts, &fixture.anna);
    let before = SystemClock.now().minus(Duration::from_secs(1));
    it.end_sessions(anna).await.unwrap();
    assert_eq!(status(it.caller_of_session(anna.user_id, before).await), 401);
    it.caller_of_session(fixture.ben.user_id, before).await.unwrap();
    let by_token = Caller { auth: AuthMethod::Token, ..anna.clone() };
    assert_eq!(status(it.end_sessions(&by_token).await), 403);
}

#[tokio::test]
async fn token_expires_and_their_number_is_limited() {
    let (_folder, store) = store_sqlite::testing::open().await;
    let clock = Arc::new(TestClock::default());
    let it = Accounts::new(Arc::new(store), clock.clone(), SignUp::Open);
    let anna = it.sign_up("anna@example.org", PASSWORD).await.unwrap();
    let made = it.create_token(&anna, &token("CI")).await.unwrap();
    let days = |n: u64| Duration::from_secs(n * 24 * 3600);
    assert_eq!(made.listed.expires_at, Some(clock.now().plus(days(90))));
    clock.advance(days(90).saturating_sub(Duration::from_secs(1)));
    it.caller_of_token(&made.token).await.unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(status(it.caller_of_token(&made.token).await), 401);
    for days in [0, limits::TOKEN_MAX_DAYS + 1] {
        let request = TokenRequest { expires_in_days: days, ..token("CI") };
        assert_eq!(paths(it.create_token(&anna, &request).await), ["expires_in_days"]);
    }
    for n in 1..limits::TOKENS_PER_USER {
        it.create_token(&anna, &token(&n.to_string())).await.unwrap();
    }
    let refused = it.create_token(&anna, &token("one more")).await.err().unwrap();
    assert_eq!(refused.code.status(), 409);
    assert!(refused.detail.contains("50 tokens"), "{}", refused.detail);
}

/// A clock that tests move forward.
struct TestClock(parking_lot::Mutex<Timestamp>);

impl Default for TestClock {
    fn default() -> Self {
        Self(parking_lot::Mutex::new(Timestamp(1_700_000_000_000)))
    }
}

impl TestClock {
    fn advance(&self, time: Duration) {
        let mut now = self.0.lock();
        *now = now.plus(time);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

#[tokio::test]
async fn account_events_are_logged_with_actor_and_address() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.accounts, &fixture.anna);
    let (capture, _guard) = Capture::new(Level::INFO);
    let context = RequestContext { id: unknown_id(), client: IpAddr::from([203, 0, 113, 9]) };
    within(context, async {
        it.sign_in("anna@example.org", "anna's password").await.unwrap();
        it.sign_in("anna@example.org", "not my password").await.unwrap_err();
        it.sign_in("cleo@example.org", "not my password").await.unwrap_err();
        it.log_throttled_sign_in(" Anna@example.org").await;
        it.log_throttled_sign_in("cleo@example.org").await;
        let made = it.create_token(anna, &token("a secret name")).await.unwrap();
        it.delete_token(anna, made.listed.id).await.unwrap();
        it.caller_of_token(&made.token).await.unwrap_err();
        let connection = fixture.connect(anna, "sk-secret").await;
        fixture.catalog.delete_connection(anna, connection).await.unwrap();
        it.change_password(anna, "anna's password", "a new password").await.unwrap();
        it.end_sessions(anna).await.unwrap();
    })
    .await;
    let lines: Vec<_> = capture.lines().into_iter().map(|line| line["fields"].clone()).collect();
    let lines: Vec<_> = lines.iter().filter(|line| line["message"] == "account event").collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let expected = "signed_in sign_in_failed sign_in_failed sign_in_throttled \
                    sign_in_throttled token_created token_deleted \
                    token_rejected connection_created connection_deleted password_changed \
                    sessions_ended";
    assert_eq!(events.join(" "), expected);
    let anna = anna.user_id.to_string();
    for line in &lines {
        assert_eq!(line["client"], "203.0.113.9", "{line}");
        let unknown = line["event"] == "token_rejected" || [lines[2], lines[4]].contains(line);
        assert_eq!(line["actor"], if unknown { "unknown" } else { anna.as_str() }, "{line}");
    }
    for secret in ["example.org", "password\"", "secret", "rhs_"] {
        assert!(!capture.text().contains(secret), "{secret} in {}", capture.text());
    }
}
