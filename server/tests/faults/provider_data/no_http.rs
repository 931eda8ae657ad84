//! Bytes that are no HTTP or no text, and answers without end.

use super::{BOTH, Rig, question};
use crate::outside::{SOON, binary, ending, runs, said, start, whole_runs};
use serde_json::json;
use llm::Decision;
use fault_injection::house::{House, id};
use mock_provider::{Action, Manners, Role, Rule, Script, When};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server that answers everybody with these bytes and hangs up.
async fn bytes(answer: Vec<u8>) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    addr
}

#[tokio::test]
async fn what_is_no_http_or_no_text_is_an_error_that_is_tried_again() {
    let ok = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let with = |rest: &[u8]| [ok, rest].concat();
    let odd: Vec<Vec<u8>> = vec![
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
    for answer in odd {
        let addr = bytes(answer.clone()).await;
        for kind in BOTH {
            let rig = Rig::new(kind, format!("http://{addr}/v1"), format!("http://{addr}"));
            let asked = tokio::time::timeout(SOON, rig.ask(&question())).await;
            let answer = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
            let error = asked.expect("in time").expect_err(&answer);
            assert_eq!(error.decision, Decision::Retry, "{answer:?}: {error}");
        }
    }
    for manners in [Manners::HangsUp, Manners::Noise] {
        let rough = mock_provider::rough(manners).await.unwrap();
        let rig = Rig::new(BOTH[0], rough.openai_url(), rough.anthropic_url());
        let asked = tokio::time::timeout(SOON, rig.ask(&question())).await;
        let error = asked.expect("in time").expect_err("nobody speaks HTTP");
        assert_eq!(error.decision, Decision::Retry, "{manners:?}: {error}");
    }
}

#[tokio::test]
async fn an_answer_over_four_megabytes_is_cut_off_and_says_so() {
    let stand = mock_provider::start(Script::of([Rule::always(Action::Huge(400 << 20))])).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("huge@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let one = [id(&user.scenario("S", 1).await)];
    let before = peak_megabytes(&house);
    let suite = start(&user, &agent, &one, json!({})).await;
    let suite = user.finished_within(&suite, SOON).await;
    let run = &runs(&suite)[0];
    assert_eq!(ending(run), "error/provider_unavailable");
    let message = run["error"]["message"].as_str().unwrap();
    assert!(message.contains("larger than 4 MiB"), "{message}");
    if let (Some(before), Some(after)) = (before, peak_megabytes(&house)) {
        assert!(after < before + 64, "from {before} MB to {after} MB, for answers of 400");
    }

    // Just below it is an answer.
    let most = (4 << 20) - 10_000;
    stand.play(Script::of([Rule {
        when: When { role: Some(Role::Agent), ..When::default() },
        ..Rule::always(Action::Answer("x".repeat(most)))
    }]));
    let suite = start(&user, &agent, &one, json!({})).await;
    let suite = user.finished_within(&suite, SOON).await;
    let run = whole_runs(&user, &suite).await.remove(0);
    assert!(run["error"].is_null(), "{}", run["error"]);
    assert_eq!(said(&run)[1].len(), most);
}

/// The most memory that the server has used, where the system tells.
fn peak_megabytes(house: &House) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.pid()?)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
}
