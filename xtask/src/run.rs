//! `cargo xtask run`: builds what changed and starts the server.

use crate::build;
use crate::command::{command, exit_code, say};
use crate::http::Client;
use crate::server_process::KillOnDrop;
use crate::site;
use crate::timings;
use crate::wasm::Variant;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The address that the server uses by default.
const DEFAULT_ADDRESS: &str = "127.0.0.1:3000";
/// A server that is not ready after this time is not going to be.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// A server that does not stop within this time is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The arguments of `run` and `watch`.
#[derive(Debug, PartialEq, Eq)]
struct Args<'a> {
    timings: bool,
    /// Arguments of `rehearsal serve`.
    serve: &'a [String],
}

impl<'a> Args<'a> {
    /// Parses `[--timings] [[--] ARGS]`.
    fn parse(args: &'a [String]) -> Self {
        let after_flag = args.strip_prefix(&["--timings".to_owned()]);
        let args = after_flag.unwrap_or(args);
        let serve = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
        Self { timings: after_flag.is_some(), serve }
    }
}

/// Builds what changed and replaces this process by the server, so that signals reach
/// it directly. With `--timings` it prints how long each step took.
///
/// The first build starts the server before the WebAssembly is compiled. Its pages work
/// as they do without JavaScript. It is restarted when the build is complete.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let Args { timings, serve } = Args::parse(args);
    let is_first = std::env::var_os("REHEARSAL_SITE_DIR").is_none()
        && !workspace.site(Variant::Development).join("site.json").is_file();
    let mut early_server = None;
    let binary = build::debug(workspace, |binary| {
        if is_first {
            early_server = Some(start_early(workspace, binary, serve)?);
            if timings {
                timings::print("total until the first page is served");
            }
        }
        Ok(())
    })?;
    if let Some(KillOnDrop(server)) = &mut early_server {
        if let Some(status) = server.try_wait()? {
            bail!("the server ended ({status})");
        }
        say("restart", "the WebAssembly is compiled; reload open pages");
        stop(server)?;
    }
    let mut server = serve_command(workspace, &binary, serve);
    if !timings {
        return replace_process(server);
    }
    let mut child = server.spawn().context("cannot start the server")?;
    timings::measure("server: start", || wait_until_ready(&mut child, &address(serve)))?;
    timings::print("total until the complete page is served");
    Ok(exit_code(child.wait().context("cannot wait for the server")?))
}

/// Starts the server with a site without scripts.
fn start_early(workspace: &Workspace, binary: &Path, serve: &[String]) -> Result<KillOnDrop> {
    let mut command = serve_command(workspace, binary, serve);
    command.env("REHEARSAL_SITE_DIR", site::without_scripts(workspace)?);
    let mut server = KillOnDrop(command.spawn().context("cannot start the server")?);
    timings::measure("server: first start", || wait_until_ready(&mut server.0, &address(serve)))?;
    say("start", "pages work without JavaScript until the WebAssembly is compiled");
    Ok(server)
}

/// Asks the server to shut down, and kills it if that takes too long.
pub(crate) fn stop(server: &mut Child) -> Result<()> {
    // The standard library can only kill.
    let signal = Command::new("kill").arg(server.id().to_string()).status();
    let deadline = Instant::now() + STOP_TIMEOUT;
    while signal.as_ref().is_ok_and(|status| status.success()) && Instant::now() < deadline {
        if server.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = server.kill();
    server.wait().context("cannot wait for the server")?;
    Ok(())
}

/// `rehearsal serve` with the development site.
pub(crate) fn serve_command(workspace: &Workspace, binary: &Path, args: &[String]) -> Command {
    let mut serve = command(binary, &workspace.root);
    serve.arg("serve").args(args).stdin(Stdio::inherit());
    if std::env::var_os("REHEARSAL_SITE_DIR").is_none() {
        serve.env("REHEARSAL_SITE_DIR", workspace.site(Variant::Development));
    }
    say("start", format!("{} serve {}", binary.display(), args.join(" ")));
    serve
}

/// The address in `--addr ADDR`, `--addr=ADDR` or `REHEARSAL_ADDR`.
fn address(args: &[String]) -> String {
    let flag = args.iter().enumerate().find_map(|(at, arg)| match arg.as_str() {
        "--addr" => args.get(at + 1).cloned(),
        _ => arg.strip_prefix("--addr=").map(str::to_owned),
    });
    flag.or_else(|| std::env::var("REHEARSAL_ADDR").ok())
        .unwrap_or_else(|| DEFAULT_ADDRESS.to_owned())
}

pub(crate) fn wait_until_ready(server: &mut Child, address: &str) -> Result<()> {
    let client = Client::new(address);
    let deadline = Instant::now() + READY_TIMEOUT;
    while Instant::now() < deadline {
        if client.is_ok("/health/ready") {
            return Ok(());
        }
        if let Some(status) = server.try_wait()? {
            bail!("the server ended ({status})");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("the server was not ready within {} s", READY_TIMEOUT.as_secs())
}

#[cfg(unix)]
fn replace_process(mut program: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(program.exec()).context("cannot start the server")
}

#[cfg(not(unix))]
fn replace_process(mut program: Command) -> Result<ExitCode> {
    Ok(exit_code(program.status().context("cannot start the server")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_comes_before_the_arguments_of_the_server() {
        let strings = |args: &[&str]| args.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (args, timings, serve) in [
            (&[][..], false, &[][..]),
            (&["--timings"], true, &[]),
            (&["--timings", "--", "--addr", "a"], true, &["--addr", "a"]),
            (&["--", "--timings"], false, &["--timings"]),
        ] {
            let args = strings(args);
            assert_eq!(Args::parse(&args), Args { timings, serve: &strings(serve) });
        }
    }

    #[test]
    fn address_is_taken_from_the_arguments() {
        let address =
            |args: &[&str]| address(&args.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(address(&["--addr", "127.0.0.1:1"]), "127.0.0.1:1");
        assert_eq!(address(&["--data-dir", "d", "--addr=127.0.0.1:2"]), "127.0.0.1:2");
    }
}
