//! Bytes that are not HTTP or not UTF-8, and endless bodies.

use super::{BOTH, Client, request};
use crate::support::{TIMEOUT, messages, new_server, outcome, runs};
use fault_injection::{Setup, TestServer, id};
use llm::Decision;
use mock_provider::{Action, RawTcpServer, Role, Rule, Script, TcpBehavior, When};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Starts a server that replies with these bytes and closes the connection.
async fn serve_bytes(bytes: Vec<u8>) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&bytes).await;
        }
    });
    addr
}

#[tokio::test]
async fn invalid_http_and_invalid_utf8_are_retryable_errors() {
    let ok = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let with = |rest: &[u8]| [ok, rest].concat();
    let replies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        vec![0xFF; 4096],
        b"HTTP/1.1 200\r\n".to_vec(),
        b"HTTP/9.9 200 OK\r\n\r\n{}".to_vec(),
        b"HTTP/1.1 99999 OK\r\n\r\n{}".to_vec(),
        with(b"content-length: 99999999999999999999999\r\n\r\n{}"),
        with(b"content-length: -1\r\n\r\n{}"),
        with(b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
        with(b"content-length: 100\r\n\r\n{\"choices\":"),
        with(b"transfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n"),
        with(b"transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{}"),
        with(b"\r\n\xFF\xFE{\"choices\":[]}"),
        with(b"\r\n{\"choices\":[{\"message\":{\"content\":\"\xC3\x28\"}}],\"content\":[{\"type\":\"text\",\"text\":\"\xC3\"}]}"),
        [with(b"x: "), vec![b'a'; 2 << 20]].concat(),
    ];
    for reply in replies {
        let addr = serve_bytes(reply.clone()).await;
        for kind in BOTH {
            let client = Client::new(kind, format!("http://{addr}/v1"), format!("http://{addr}"));
            let result = tokio::time::timeout(TIMEOUT, client.complete(&request())).await;
            let reply = String::from_utf8_lossy(&reply[..reply.len().min(80)]).into_owned();
            let error = result.expect("in time").expect_err(&reply);
            assert_eq!(error.decision, Decision::Retry, "{reply:?}: {error}");
        }
    }
    for behavior in [TcpBehavior::Closes, TcpBehavior::NotHttp] {
        let server = RawTcpServer::start(behavior).await.unwrap();
        let client = Client::new(BOTH[0], server.openai_url(), server.anthropic_url());
        let result = tokio::time::timeout(TIMEOUT, client.complete(&request())).await;
        let error = result.expect("in time").expect_err("not HTTP");
        assert_eq!(error.decision, Decision::Retry, "{behavior:?}: {error}");
    }
}

#[tokio::test]
async fn body_over_four_mebibytes_is_rejected() {
    let Setup { provider, server, user, agent } =
        Setup::start(new_server(), Script::of([Rule::always(Action::OversizedBody(400 << 20))]))
            .await;
    let one = [id(&user.create_scenario("S", 1).await)];
    let before = peak_megabytes(&server);
    let suite = user.start_suite(&agent, &one, json!({})).await;
    let suite = user.wait_for_suite_within(&suite, TIMEOUT).await;
    let run = &runs(&suite)[0];
    assert_eq!(outcome(run), "error/provider_unavailable");
    let message = run["error"]["message"].as_str().unwrap();
    assert!(message.contains("larger than 4 MiB"), "{message}");
    if let (Some(before), Some(after)) = (before, peak_megabytes(&server)) {
        assert!(after < before + 64, "from {before} MB to {after} MB for bodies of 400 MB");
    }

    // A body just below the limit is accepted.
    let length = (4 << 20) - 10_000;
    provider.set_script(Script::of([Rule {
        when: When { role: Some(Role::Agent), ..When::default() },
        ..Rule::always(Action::Reply("x".repeat(length)))
    }]));
    let suite = user.start_suite(&agent, &one, json!({})).await;
    let suite = user.wait_for_suite_within(&suite, TIMEOUT).await;
    let run = user.fetch_runs(&suite).await.remove(0);
    assert!(run["error"].is_null(), "{}", run["error"]);
    assert_eq!(messages(&run)[1].len(), length);
}

/// The peak memory of the server; `None` where `/proc` is missing.
fn peak_megabytes(server: &TestServer) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()?)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
}
