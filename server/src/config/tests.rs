//! Tests of accepted and rejected settings.

use super::{ClientLimits, SecretKey, ServeArgs, SignUp, duration};
use clap::Parser;
use rstest::rstest;
use std::time::Duration;

#[derive(Parser)]
struct TestCli {
    #[command(flatten)]
    serve: ServeArgs,
}

fn parse(args: &[&str]) -> Result<ServeArgs, String> {
    let args = std::iter::once("rehearsal").chain(args.iter().copied());
    TestCli::try_parse_from(args).map(|cli| cli.serve).map_err(|error| error.to_string())
}

#[rstest]
#[case("120s", 120_000)]
#[case("10m", 600_000)]
#[case("500ms", 500)]
#[case("2h", 7_200_000)]
#[case("45", 45_000)]
#[case("0s", 0)]
fn durations_are_parsed(#[case] text: &str, #[case] millis: u64) {
    assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
}

#[rstest]
#[case("")]
#[case("s")]
#[case("-5s")]
#[case("1.5h")]
#[case("10 minutes")]
#[case("48h")]
#[case("99999999999999999999s")]
#[case("18446744073709551615h")]
fn invalid_durations_are_rejected(#[case] text: &str) {
    assert!(duration(text).is_err());
}

#[test]
fn secret_keys_have_32_bytes_and_are_not_printed() {
    let key = SecretKey::new([7; 32]);
    let text = key.to_base64();
    assert_eq!(text.parse(), Ok(key.clone()));
    assert_eq!(text.trim_end_matches('=').parse(), Ok(key.clone()));
    assert!(!format!("{key:?}").contains('7'));
    assert!("c2hvcnQ=".parse::<SecretKey>().is_err_and(|e| e.contains("32 bytes")));
    assert!("not base64!".parse::<SecretKey>().is_err());
}

#[test]
fn defaults_match_the_manual() {
    let args = parse(&[]).expect("defaults");
    assert_eq!(args.addr.to_string(), "127.0.0.1:3000");
    assert_eq!((args.sign_up, args.keep_days), (SignUp::First, None));
    let limits = &args.limits;
    let counts =
        [limits.runs_per_suite, limits.runs_per_user, limits.max_calls, limits.queue_per_user];
    assert_eq!(counts, [3, 8, 64, 500]);
    assert_eq!(limits.transcript_mb_per_user, 10_000);
    let times = [limits.call_timeout, limits.circuit_wait, limits.outage_wait, limits.max_wait];
    assert_eq!(times.map(|time| time.as_secs()), [120, 60, 900, 600]);
    let clients = &args.clients;
    let counts = [
        clients.max_connections,
        clients.connections_per_address,
        clients.streams_per_address,
        clients.streams_per_user,
    ];
    assert_eq!(counts, [8192, 2048, 2048, 1024]);
    let times = [clients.header_timeout, clients.body_timeout, clients.idle_timeout];
    assert_eq!(times.map(|time| time.as_secs()), [10, 120, 75]);
    assert_eq!(args.http("site".into()).client_limits, ClientLimits::default());
    assert_eq!(args.check(), Ok(()));
}

#[test]
fn empty_metrics_token_counts_as_unset() {
    let token = |text: &str| {
        let args = parse(&["--metrics-token", text]).expect("settings");
        assert!(!format!("{args:?}").contains("sesame"), "the token is secret");
        args.http("site".into()).metrics_token.is_some()
    };
    assert!(!token(""));
    assert!(token("sesame-open"));
}

#[test]
fn private_urls_are_allowed_by_default_only_on_loopback() {
    let allowed = |args: &[&str]| parse(args).expect("settings").private_urls_allowed();
    assert!(allowed(&[]));
    assert!(!allowed(&["--addr", "0.0.0.0:3000"]));
    assert!(allowed(&["--addr", "0.0.0.0:3000", "--allow-private-urls", "true"]));
    assert!(!allowed(&["--allow-private-urls", "false"]));
}

#[rstest]
#[case(&["--public-url", "https://rehearsal.example.com"])]
#[case(&["--trusted-proxies", "127.0.0.1"])]
fn private_urls_behind_a_local_proxy_must_be_allowed_explicitly(#[case] proxy: &[&str]) {
    let allowed =
        |more: &[&str]| parse(&[proxy, more].concat()).expect("settings").private_urls_allowed();
    assert!(!allowed(&[]), "everyone who reaches the proxy could call this machine");
    assert!(allowed(&["--allow-private-urls", "true"]));
    assert!(!allowed(&["--allow-private-urls", "false"]));
}

#[test]
fn empty_proxy_settings_count_as_unset() {
    let args = parse(&["--public-url", "", "--trusted-proxies", ""]).expect("settings");
    assert!(args.private_urls_allowed());
}

#[rstest]
#[case(&["--addr", "localhost"])]
#[case(&["--public-url", "rehearsal.example.com"])]
#[case(&["--public-url", "https://example.com/rehearsal"])]
#[case(&["--trusted-proxies", "10.0.0.1,proxy"])]
#[case(&["--runs-per-suite", "65"])]
#[case(&["--max-calls", "0"])]
#[case(&["--keep-days", "0"])]
#[case(&["--call-timeout", "soon"])]
#[case(&["--sign-up", "maybe"])]
fn invalid_settings_are_rejected(#[case] args: &[&str]) {
    assert!(parse(args).is_err_and(|message| message.contains(args[0])));
}

#[test]
fn timeouts_of_connections_are_not_zero() {
    let args = ["--header-timeout", "0s", "--body-timeout", "0s", "--idle-timeout", "0s"];
    assert_eq!(parse(&args).expect("valid values").check().expect_err("conflicts").len(), 3);
}

#[test]
fn all_conflicts_are_reported() {
    let args = ["--circuit-wait", "11m", "--openai-base-url", "http://127.0.0.1:1/v1"];
    let conflicts = parse(&args).expect("valid values").check().expect_err("conflicts");
    assert_eq!(conflicts.len(), 2, "{conflicts:?}");
}

#[test]
fn empty_values_count_as_unset() {
    let args = ["--openai-api-key=", "--openai-base-url=", "--public-url=", "--trusted-proxies="];
    let args = parse(&args).expect("settings");
    assert!(args.providers.openai().is_none() && args.check().is_ok());
    assert_eq!(
        (
            args.http(std::path::PathBuf::new()).public_url,
            args.http(std::path::PathBuf::new()).trusted_proxies.len()
        ),
        (None, 0)
    );
    let args = parse(&["--openai-api-key", "sk", "--trusted-proxies", "10.0.0.1, ::1"]);
    let args = args.expect("settings");
    assert!(args.providers.openai().is_some_and(|openai| openai.base_url.is_none()));
    assert_eq!(args.http(std::path::PathBuf::new()).trusted_proxies.len(), 2);
}

#[test]
fn debug_output_hides_keys() {
    let args = parse(&["--openai-api-key", "sk-secret"]).expect("settings");
    assert!(!format!("{args:?}").contains("sk-secret"));
}
