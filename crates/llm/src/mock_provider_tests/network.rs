//! Calls through a proxy, and to servers with certificates of another authority.

use super::{OPTIONS, env};
use crate::http::{HttpClient, HttpOptions};
use crate::network::OutboundNetwork;
use crate::openai::OpenAi;
use crate::testing::{chat_request, endpoint};
use clock::SystemClock;
use domain::{ConnectionKind, ErrorKind};
use llm_types::{CallError, Cause, ChatReply, Decision, Provider};
use mock_provider::Script;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rstest::rstest;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &str =
    r#"{"choices":[{"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#;

/// A proxy that sends everything to `upstream`, whatever the name, and records the heads of
/// the requests to itself.
struct TestProxy {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).expect("a head")
}

async fn proxy(upstream: SocketAddr) -> TestProxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let addr = listener.local_addr().expect("an address");
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let recorded = heads.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let recorded = recorded.clone();
            tokio::spawn(async move {
                let head = read_head(&mut client).await;
                recorded.lock().push(head.clone());
                let mut server = TcpStream::connect(upstream).await.expect("upstream");
                let sent = if head.starts_with("CONNECT ") {
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await
                } else {
                    // A proxy keeps the credentials that are meant for it.
                    let kept = head.split("\r\n").filter(|line| {
                        !line.to_ascii_lowercase().starts_with("proxy-authorization")
                    });
                    let head = kept.collect::<Vec<_>>().join("\r\n");
                    server.write_all(head.as_bytes()).await
                };
                sent.expect("sent");
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    TestProxy { addr, heads }
}

impl TestProxy {
    fn network(&self, no_proxy: &str) -> OutboundNetwork {
        let url = format!("http://us%65r:pass@{}", self.addr);
        OutboundNetwork::default().with_proxy(&url, no_proxy).expect("a proxy")
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }
}

async fn call(
    network: &OutboundNetwork,
    options: HttpOptions,
    url: &str,
) -> Result<ChatReply, CallError> {
    let http = HttpClient::with_network(options, Arc::new(SystemClock), network).expect("a client");
    OpenAi::new(http).complete(&endpoint(url), &chat_request("hi")).await
}

#[tokio::test]
async fn calls_go_through_the_proxy_with_its_credentials() {
    let env = env(ConnectionKind::OpenAi, Script::default()).await;
    let proxy = proxy(env.mock.addr).await;
    let reply = call(&proxy.network(""), OPTIONS, "http://provider.example/v1").await;
    assert_eq!(reply.expect("a reply").text, "I can help with that: hi");
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1);
    let first = "POST http://provider.example/v1/chat/completions HTTP/1.1\r\n";
    assert!(heads[0].starts_with(first), "{}", heads[0]);
    let credentials = "proxy-authorization: basic dxnlcjpwyxnz";
    assert!(heads[0].to_ascii_lowercase().contains(credentials), "{}", heads[0]);
}

#[tokio::test]
async fn listed_hosts_are_called_directly() {
    let env = env(ConnectionKind::OpenAi, Script::default()).await;
    let proxy = proxy(env.mock.addr).await;
    let network = proxy.network("127.0.0.0/8");
    call(&network, OPTIONS, &env.mock.openai_url()).await.expect("a reply");
    assert_eq!((proxy.heads().len(), env.mock.request_count()), (0, 1));
}

#[rstest]
#[case("http://10.0.0.1/v1")]
#[case("https://169.254.169.254/v1")]
#[case("http://localhost:1/v1")]
#[case("http://metadata.google.internal/v1")]
#[tokio::test]
async fn private_addresses_and_local_names_are_not_called_through_the_proxy(#[case] url: &str) {
    let env = env(ConnectionKind::OpenAi, Script::default()).await;
    let proxy = proxy(env.mock.addr).await;
    let options = HttpOptions { allow_private_urls: false, ..OPTIONS };
    let error = call(&proxy.network(""), options, url).await.expect_err("forbidden");
    let rejected = Decision::GiveUp(ErrorKind::ProviderRejected);
    assert_eq!((error.decision, error.cause), (rejected, Cause::NotSent));
    assert!(error.message.contains("REHEARSAL_ALLOW_PRIVATE_URLS"), "{}", error.message);
    assert_eq!(proxy.heads().len(), 0);
    // The proxy itself may be in a private network.
    call(&proxy.network(""), options, "http://provider.example/v1").await.expect("a reply");
}

/// A server for `provider.example` and the loopback address, and its authority in PEM.
async fn tls_server() -> (SocketAddr, String) {
    crate::install_crypto();
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
    let authority = authority.expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let names = vec!["provider.example".to_owned(), "127.0.0.1".to_owned()];
    let params = CertificateParams::new(names).expect("parameters");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a configuration");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                read_head(&mut client).await;
                let length = ANSWER.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
                );
                let _ = client.write_all((head + ANSWER).as_bytes()).await;
                let _ = client.shutdown().await;
            });
        }
    });
    (addr, authority.pem())
}

#[tokio::test]
async fn authority_of_the_operator_is_trusted() {
    let (addr, pem) = tls_server().await;
    let url = format!("https://{addr}/v1");
    let unknown = call(&OutboundNetwork::default(), OPTIONS, &url).await.expect_err("untrusted");
    assert_eq!((unknown.decision, unknown.cause), (Decision::Retry, Cause::Connect));
    let network = OutboundNetwork::default().with_authorities(pem.as_bytes()).expect("a file");
    assert_eq!(call(&network, OPTIONS, &url).await.expect("a reply").text, "Hello");
}

#[tokio::test]
async fn tls_reaches_the_server_through_the_proxy() {
    let (addr, pem) = tls_server().await;
    let proxy = proxy(addr).await;
    let network = proxy.network("").with_authorities(pem.as_bytes()).expect("a file");
    let reply = call(&network, OPTIONS, "https://provider.example/v1").await.expect("a reply");
    assert_eq!(reply.text, "Hello");
    let heads = proxy.heads();
    assert!(heads[0].starts_with("CONNECT provider.example:443 HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(!heads[0].contains("test-key"), "the proxy does not see the key: {}", heads[0]);
}
