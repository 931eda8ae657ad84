//! The browser and the server parse the same form to the same draft.

use super::support::fake_state;
use crate::http::forms::PostedForm;
use axum::body::Body;
use axum::extract::FromRequest;
use axum::http::Request;
use axum::response::IntoResponse;
use domain::form;
use proptest::prelude::*;
use serde_json::Value;

type Fields = Vec<(String, String)>;

/// The draft, or the status of the error.
type Parsed = Result<Value, u16>;

/// The path of the browser: it parses the entries of `FormData`.
fn parse_in_browser(fields: Fields) -> Parsed {
    form::parse(fields).map(|draft| draft.0).map_err(|error| error.code.status())
}

/// The path of the server: it parses a URL-encoded body with CR LF line endings.
fn parse_on_server(fields: &Fields) -> Parsed {
    let encode = |text: &str| -> String {
        text.replace('\n', "\r\n").bytes().map(|byte| format!("%{byte:02X}")).collect()
    };
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let request = Request::post("/forms/agents")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(pairs.join("&")))
        .expect("a request");
    let state = fake_state();
    let form = futures::executor::block_on(PostedForm::from_request(request, &state));
    form.map(|form| form.draft.0).map_err(|error| error.into_response().status().as_u16())
}

fn names() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        "[a-c]",
        "[0-9]{1,3}",
        Just(String::new()),
        Just("99999999999".to_owned()),
        "[a-c\\[\\]]{0,3}",
    ];
    let nested = ("[a-c]{1,2}", prop::collection::vec(key, 0..4));
    let nested = nested
        .prop_map(|(word, keys)| keys.iter().fold(word, |name, key| format!("{name}[{key}]")));
    let odd = ["", "a[b", "a]", "a[]", "[a]", "a[[b]]", "a[b]c", "a[b][", "a[0]", "a[7]", "é[ü]"];
    prop_oneof![
        8 => nested,
        2 => "[a-c0-9\\[\\]]{0,8}",
        2 => prop::sample::select(odd.map(str::to_owned).to_vec()),
        1 => (0..12_usize).prop_map(|depth| format!("a{}", "[b]".repeat(depth))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn both_sides_parse_the_same_form_to_the_same_value(
        fields in prop::collection::vec((names(), "[ -~é\n]{0,6}"), 0..20),
    ) {
        prop_assert_eq!(parse_on_server(&fields), parse_in_browser(fields));
    }
}

#[test]
fn both_sides_reject_oversized_forms() {
    let deep = vec![(format!("a{}", "[b]".repeat(8)), String::new())];
    let many = vec![("a[]".to_owned(), String::new()); 10_001];
    for fields in [deep, many] {
        assert_eq!(parse_on_server(&fields), Err(413));
        assert_eq!(parse_in_browser(fields), Err(413));
    }
}
