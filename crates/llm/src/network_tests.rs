use super::*;
use rstest::rstest;

fn network(no_proxy: &str) -> OutboundNetwork {
    let url = "http://user:secret@proxy.corp:3128";
    OutboundNetwork::default().with_proxy(url, no_proxy).expect("a proxy")
}

#[rstest]
#[case("https://api.openai.com/v1", true)]
#[case("http://provider.example/v1", true)]
#[case("https://models.corp/v1", false)]
#[case("https://a.models.corp/v1", false)]
#[case("https://othermodels.corp/v1", true)]
#[case("http://10.1.2.3:8000/v1", false)]
#[case("http://11.1.2.3:8000/v1", true)]
fn listed_hosts_are_called_without_the_proxy(#[case] url: &str, #[case] proxied: bool) {
    let url = Url::parse(url).expect("a URL");
    let proxy = network("models.corp, 10.0.0.0/8").proxy_of(&url);
    assert_eq!(proxy, proxied.then(|| ("proxy.corp".to_owned(), 3128)));
    assert_eq!(OutboundNetwork::default().proxy_of(&url), None);
}

#[rstest]
#[case("proxy:3128", "must start with http:// or https://")]
#[case("socks5://proxy:1080", "must start with http:// or https://")]
#[case("3128", "is not a URL")]
#[case("http://", "is not a URL")]
#[case("http://proxy:3128/path", "must end with the host or its port")]
fn invalid_proxies_are_rejected(#[case] url: &str, #[case] why: &str) {
    let error = OutboundNetwork::default().with_proxy(url, "").expect_err("invalid");
    assert!(error.starts_with(why), "{error}");
}

#[rstest]
#[case("", true)]
#[case("localhost, .corp, 10.0.0.0/8, fd00::/8, ::1, *", true)]
#[case("10.0.0.0/33", false)]
#[case("http://corp", false)]
#[case("corp:8080", false)]
#[case("a b", false)]
fn lists_of_hosts_are_checked(#[case] list: &str, #[case] valid: bool) {
    assert_eq!(check_no_proxy(list).is_ok(), valid);
}

#[rstest]
#[case("", "contains no certificate")]
#[case("not PEM", "contains no certificate")]
#[case(
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "has an invalid certificate (number 1)"
)]
#[case(
    "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    "has an invalid certificate (number 1)"
)]
fn invalid_authorities_are_rejected(#[case] pem: &str, #[case] why: &str) {
    let error = OutboundNetwork::default().with_authorities(pem.as_bytes()).expect_err("invalid");
    assert!(error.starts_with(why), "{error}");
}

#[rstest]
#[case("localhost", true)]
#[case("metadata.google.internal.", true)]
#[case("printer.LOCAL", true)]
#[case("intranet", true)]
#[case("api.openai.com", false)]
#[case("8.8.8.8", false)]
#[case("[2606:4700::1111]", false)]
fn local_names_are_recognized(#[case] host: &str, #[case] local: bool) {
    assert_eq!(is_local_name(host), local);
}

#[test]
fn debug_output_has_no_credentials() {
    let shown = format!("{:?}", network(""));
    assert!(shown.contains("proxy.corp") && !shown.contains("secret"), "{shown}");
}
