//! Accounts, tokens, and rejected input.

use super::{SignUp, accounts, fixture, paths, status, unknown_id};
use domain::services::RejectedForm;
use domain::services::{AccountService, DraftService};
use domain::{Draft, Problem};
use serde_json::json;

const PASSWORD: &str = "correct horse";

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
    assert_eq!(fixture.accounts.caller_of_user(anna.user_id).await.unwrap(), anna);
    let wrong = fixture.accounts.sign_in("anna@example.org", "ben's password").await.unwrap_err();
    let unknown = fixture.accounts.sign_in("cleo@example.org", "ben's password").await.unwrap_err();
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.code.status(), 401);
    assert_eq!(status(fixture.accounts.caller_of_user(unknown_id().into()).await), 401);
}

#[tokio::test]
async fn token_is_shown_once_and_identifies_user() {
    let fixture = fixture().await;
    let made = fixture.accounts.create_token(&fixture.anna, " CI ").await.unwrap();
    assert_eq!(made.listed.name, "CI");
    assert_eq!(fixture.accounts.caller_of_token(&made.token).await.unwrap(), fixture.anna);
    let listed = fixture.accounts.tokens(&fixture.anna).await.unwrap();
    assert!(listed[0].last_used_at.is_some());
    assert!(!super::text(&listed).to_string().contains(&made.token[4..]));
    for bad in ["", " ", "\u{200b}", &"x".repeat(201), "two\nlines"] {
        assert_eq!(
            paths(fixture.accounts.create_token(&fixture.anna, bad).await),
            ["name"],
            "{bad:?}"
        );
    }
    let cli = fixture.accounts.create_token_for("Ben@example.org", "cli").await.unwrap();
    assert_eq!(fixture.accounts.caller_of_token(&cli.token).await.unwrap(), fixture.ben);
    assert_eq!(status(fixture.accounts.create_token_for("cleo@example.org", "cli").await), 404);
    fixture.accounts.delete_token(&fixture.anna, made.listed.id).await.unwrap();
    assert_eq!(status(fixture.accounts.caller_of_token(&made.token).await), 401);
    assert_eq!(status(fixture.accounts.caller_of_token("rhs_nonsense").await), 401);
}

fn rejected(draft: serde_json::Value) -> RejectedForm {
    RejectedForm {
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
    let id = fixture.drafts.keep_draft(Some(&fixture.anna), &rejected(typed)).await.unwrap();
    let kept = fixture.drafts.draft(Some(&fixture.anna), id).await.unwrap();
    assert_eq!(kept, rejected(json!({"name": "", "nested": [{}]})));
    assert_eq!(status(fixture.drafts.draft(Some(&fixture.ben), id).await), 404);
    assert_eq!(status(fixture.drafts.draft(None, id).await), 404);
}

#[tokio::test]
async fn anonymous_draft_size_is_limited() {
    let fixture = fixture().await;
    let long = rejected(json!({"email": "x".repeat(100_000)}));
    let id = fixture.drafts.keep_draft(None, &long).await.unwrap();
    let kept = fixture.drafts.draft(None, id).await.unwrap();
    assert!(kept.draft.is_empty());
    assert_eq!(kept.problems, long.problems);
    let id = fixture.drafts.keep_draft(Some(&fixture.anna), &long).await.unwrap();
    assert_eq!(fixture.drafts.draft(Some(&fixture.anna), id).await.unwrap(), long);
}
