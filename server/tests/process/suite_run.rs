//! `rehearsal run` against a real server.

use super::new_server;
use fault_injection::{ApiClient, Setup, TestServer, id};
use mock_provider::Script;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

/// Keeps a test from hanging.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What a command printed, and its exit status.
#[derive(Debug)]
struct Finished {
    status: i32,
    stdout: String,
    stderr: String,
}

/// The command without the settings of the developer.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("REHEARSAL_")) {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "127.0.0.1").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn rehearsal() -> Command {
    command(env!("CARGO_BIN_EXE_rehearsal"))
}

/// `rehearsal run` with the own scenarios of a user.
fn run(server: &TestServer, user: &ApiClient, arguments: &[&str]) -> Child {
    let mut command = rehearsal();
    command.env("REHEARSAL_TOKEN", &user.token).arg("run");
    command.args(["--server", &format!("http://{}/", server.addr), "--agent", "Desk"]);
    command.args(["--scenarios", "built_in=false"]).args(arguments).spawn().unwrap()
}

async fn finish(child: Child) -> Finished {
    let output = timeout(TIMEOUT, child.wait_with_output()).await.expect("it ends").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Finished {
        status: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

async fn start(script: Script) -> Setup {
    Setup::start(new_server(), script).await
}

/// A scenario whose rule check fails, because the provider never says the phrase.
async fn create_failing_scenario(user: &ApiClient) {
    let scenario = json!({"name": "Fails", "category": "support",
        "conversation_flow": [{"speaker": "user", "message": "Hello"}],
        "success_criteria": {"must_include": ["unheard-of phrase"]}});
    user.create("/scenarios", &scenario).await;
}

async fn suites(user: &ApiClient) -> Vec<Value> {
    user.get("/suites").await["items"].as_array().unwrap().clone()
}

/// Waits until a run of the only suite is running, and returns the suite.
async fn wait_until_running(user: &ApiClient) -> String {
    let since = Instant::now();
    loop {
        let suite = suites(user).await.into_iter().find(|suite| suite["counts"]["running"] != 0);
        if let Some(suite) = suite {
            return id(&suite);
        }
        assert!(since.elapsed() < TIMEOUT, "no run begins");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn passing_suite_exits_with_0_and_writes_reports() {
    let setup = start(Script::default()).await;
    setup.user.create_scenario("Passes", 2).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (junit, md) = (path("results.xml"), path("comment.md"));
    std::fs::write(&junit, "an old report").unwrap();
    let arguments = ["--repeats", "3", "--junit", &junit, "--md", &md, "--note", "commit 1a2b"];
    let result = finish(run(&setup.server, &setup.user, &arguments)).await;
    assert_eq!(result.status, 0, "{result:?}");
    assert!(result.stdout.contains("✓ Passes      3 of 3"), "{result:?}");
    assert!(result.stdout.contains("3 of 3 judged runs passed (100 %"), "{result:?}");
    let suite = &suites(&setup.user).await[0];
    let url = format!("http://{}/suites/{}", setup.server.addr, id(suite));
    assert!(result.stdout.trim_end().ends_with(&url), "{result:?}");
    // Without a terminal there is no progress line.
    assert_eq!(result.stderr, format!("Started {url}\n"));
    assert_eq!(suite["note"], "commit 1a2b");
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(xml.contains("tests=\"3\" failures=\"0\"") && xml.contains("(repeat 3)"), "{xml}");
    assert!(std::fs::read_to_string(md).unwrap().contains("3 of 3 passed"));
}

#[tokio::test]
async fn gate_decides_about_the_exit_status() {
    let setup = start(Script::default()).await;
    let (server, user) = (&setup.server, &setup.user);
    user.create_scenario("Passes", 1).await;
    create_failing_scenario(user).await;
    let result = finish(run(server, user, &[])).await;
    assert_eq!(result.status, 1, "{result:?}");
    assert!(result.stdout.contains("Gate failed: 1 of 2 judged runs passed"), "{result:?}");
    let reason = "Failed: Fails: A check failed: must_include \"unheard-of phrase\"";
    assert!(result.stdout.contains(reason), "{result:?}");
    assert_eq!(finish(run(server, user, &["--min-pass-rate", "50%"])).await.status, 0);

    let incompatible = json!({"name": "Incompatible", "category": "support",
        "required_tools": ["book"],
        "conversation_flow": [{"speaker": "user", "message": "Hello"}]});
    user.create("/scenarios", &incompatible).await;
    // An error is never a verdict: the share that passed is the same.
    let arguments = ["--skip-incompatible", "--min-pass-rate", "0.3"];
    let result = finish(run(server, user, &arguments)).await;
    assert_eq!(result.status, 2, "{result:?}");
    assert!(result.stdout.contains("only 2 of 3 runs were judged"), "{result:?}");
    let arguments = ["--skip-incompatible", "--min-pass-rate", "0.3", "--min-judged", "60%"];
    assert_eq!(finish(run(server, user, &arguments)).await.status, 0);
    // Without the flag nothing starts.
    let before = suites(user).await.len();
    let result = finish(run(server, user, &[])).await;
    assert_eq!(result.status, 3, "{result:?}");
    assert!(result.stderr.contains("has no tool book"), "{result:?}");
    assert_eq!(suites(user).await.len(), before);
}

#[tokio::test]
async fn wrong_use_exits_with_3_and_starts_nothing() {
    let setup = start(Script::default()).await;
    let (server, user) = (&setup.server, &setup.user);
    user.create_scenario("S", 1).await;
    let plain = rehearsal().arg("run").spawn().unwrap();
    let result = finish(plain).await;
    assert_eq!(result.status, 3, "clap's own status is 2: {result:?}");
    assert!(result.stderr.contains("--server"), "{result:?}");
    let help = finish(rehearsal().args(["run", "--help"]).spawn().unwrap()).await;
    assert_eq!(help.status, 0);
    assert!(help.stdout.contains("Exit status"), "{help:?}");
    let other = finish(rehearsal().arg("import").spawn().unwrap()).await;
    assert_eq!(other.status, 2, "the status of other commands is unchanged");

    let wrong_token = finish(run(server, &user.with_token("rhs_wrong"), &[])).await;
    assert_eq!(wrong_token.status, 3);
    assert!(wrong_token.stderr.contains("does not accept the token"), "{wrong_token:?}");
    assert!(!wrong_token.stderr.contains("rhs_wrong"), "{wrong_token:?}");

    for (arguments, expected) in [
        (["--agent", "Nobody"], "there is no agent \"Nobody\"; agents: Desk"),
        (["--profile", "Nothing"], "there is no profile \"Nothing\"; profiles: there are none"),
        (["--scenarios", "color=red"], "color"),
        (["--scenarios", "tag=nothing-has-this"], "scenario"),
        (["--min-pass-rate", "90"], "between 0 and 1"),
        (["--junit", "/no/such/folder/f.xml"], "cannot write /no/such/folder/f.xml"),
    ] {
        let mut command = rehearsal();
        command.env("REHEARSAL_TOKEN", &user.token).arg("run");
        command.args(["--server", &format!("http://{}", server.addr)]);
        let [name, _] = arguments;
        for (default, value) in [("--agent", "Desk"), ("--scenarios", "all")] {
            if name != default {
                command.args([default, value]);
            }
        }
        let result = finish(command.args(arguments).spawn().unwrap()).await;
        assert_eq!(result.status, 3, "{result:?}");
        assert!(result.stderr.contains(expected), "{expected}: {result:?}");
    }
    assert!(suites(user).await.is_empty());
}

#[tokio::test]
async fn dead_server_is_reported_at_once_and_leaves_no_report() {
    let server = new_server();
    let folder = tempfile::tempdir().unwrap();
    let junit = folder.path().join("results.xml");
    let mut command = rehearsal();
    command.args(["run", "--server", &format!("http://{}", server.addr), "--token", "rhs_a"]);
    command.args(["--agent", "Desk", "--scenarios", "all"]).arg("--junit").arg(&junit);
    let since = Instant::now();
    let result = finish(command.spawn().unwrap()).await;
    assert_eq!(result.status, 3, "{result:?}");
    assert!(result.stderr.contains("cannot reach http://127.0.0.1:"), "{result:?}");
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    assert!(!junit.exists());
}

#[tokio::test]
async fn server_restart_in_the_middle_is_survived() {
    let mut setup = start(Script { latency_ms: 400, ..Script::default() }).await;
    setup.user.create_scenario("S", 4).await;
    let child = run(&setup.server, &setup.user, &[]);
    wait_until_running(&setup.user).await;
    setup.server.kill();
    // The command notices, and waits.
    tokio::time::sleep(Duration::from_millis(500)).await;
    setup.server.start().await;
    let result = finish(child).await;
    assert_eq!(result.status, 0, "{result:?}");
    assert_eq!(result.stderr.matches("Connection lost").count(), 1, "{result:?}");
    assert_eq!(result.stderr.matches("Reconnected.").count(), 1, "{result:?}");
    assert_eq!(suites(&setup.user).await.len(), 1);
}

#[tokio::test]
async fn server_that_stays_away_ends_the_command() {
    let mut setup = start(Script { latency_ms: 60_000, ..Script::default() }).await;
    setup.user.create_scenario("S", 1).await;
    let child = run(&setup.server, &setup.user, &["--max-outage", "1s"]);
    wait_until_running(&setup.user).await;
    setup.server.kill();
    let result = finish(child).await;
    assert_eq!(result.status, 3, "{result:?}");
    assert!(result.stderr.contains("(for 1 s)"), "{result:?}");
}

#[tokio::test]
async fn two_jobs_with_the_same_key_share_a_suite() {
    let setup = start(Script { latency_ms: 100, ..Script::default() }).await;
    setup.user.create_scenario("S", 3).await;
    let job = || run(&setup.server, &setup.user, &["--idempotency-key", "pipeline-17"]);
    let (first, second) = tokio::join!(finish(job()), finish(job()));
    assert_eq!((first.status, second.status), (0, 0), "{first:?} {second:?}");
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(suites(&setup.user).await.len(), 1);
    // Another request with this key is an error, not another suite.
    let arguments = ["--idempotency-key", "pipeline-17", "--repeats", "2"];
    let result = finish(run(&setup.server, &setup.user, &arguments)).await;
    assert_eq!(result.status, 3, "{result:?}");
    assert_eq!(suites(&setup.user).await.len(), 1);
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
}

#[tokio::test]
async fn interrupt_leaves_the_suite_running_unless_asked_to_cancel_it() {
    let setup = start(Script { latency_ms: 60_000, ..Script::default() }).await;
    setup.user.create_scenario("S", 1).await;
    let child = run(&setup.server, &setup.user, &["--idempotency-key", "k"]);
    let suite = wait_until_running(&setup.user).await;
    interrupt(&child);
    let result = finish(child).await;
    assert_eq!(result.status, 2, "{result:?}");
    assert!(result.stderr.contains("The suite continues on the server"), "{result:?}");
    assert_eq!(setup.user.get(&format!("/suites/{suite}")).await["status"], "running");

    // The same key follows the same suite again.
    let arguments = ["--idempotency-key", "k", "--cancel-on-interrupt"];
    let mut command = run(&setup.server, &setup.user, &arguments);
    let mut stderr = tokio::io::BufReader::new(command.stderr.take().unwrap());
    let mut line = String::new();
    let started = tokio::io::AsyncBufReadExt::read_line(&mut stderr, &mut line);
    timeout(TIMEOUT, started).await.expect("it starts").unwrap();
    assert!(line.contains(&suite), "{line}");
    interrupt(&command);
    let result = finish(command).await;
    assert_eq!(result.status, 2, "{result:?}");
    assert!(result.stdout.contains("only 0 of 1 runs were judged"), "{result:?}");
    assert_eq!(setup.user.get(&format!("/suites/{suite}")).await["status"], "cancelled");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn full_disk_is_a_clear_error() {
    let setup = start(Script::default()).await;
    setup.user.create_scenario("S", 1).await;
    let folder = tempfile::tempdir().unwrap();
    let md = folder.path().join("comment.md").display().to_string();
    let arguments = ["--junit", "/dev/full", "--md", &md];
    let result = finish(run(&setup.server, &setup.user, &arguments)).await;
    assert_eq!(result.status, 3, "{result:?}");
    assert!(result.stderr.contains("cannot write /dev/full: No space left"), "{result:?}");
    // The results are known all the same.
    assert!(result.stdout.contains("Gate passed") && std::fs::exists(md).unwrap(), "{result:?}");
}
