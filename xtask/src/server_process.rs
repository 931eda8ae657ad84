//! A server process with an account and a token, for `bench` and `seed`.

use crate::http::Client;
use crate::run::wait_until_ready;
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that is killed when this value is dropped.
pub(crate) struct KillOnDrop(pub(crate) Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command of the server's binary without the settings of the developer.
pub(crate) fn rehearsal(binary: &Path, data: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars() {
        if ["REHEARSAL_", "ANTHROPIC_", "OPENAI_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.env("REHEARSAL_DATA_DIR", data);
    command
}

/// Starts `serve` on a free port and waits until it is ready.
pub(crate) fn start(mut serve: Command) -> Result<(KillOnDrop, Client)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    serve.arg("serve").env("REHEARSAL_ADDR", &address).env("REHEARSAL_LOG", "warn");
    serve.stdin(Stdio::null()).stdout(Stdio::null());
    let mut server = KillOnDrop(serve.spawn().context("cannot start the server")?);
    wait_until_ready(&mut server.0, &address)?;
    Ok((server, Client::new(&address)))
}

/// Creates an account and returns an API token of it. `rehearsal` starts a command of
/// the server's binary.
pub(crate) fn create_account(
    rehearsal: &dyn Fn() -> Command,
    email: &str,
    password: &str,
) -> Result<String> {
    let create = ["user", "create", "--email", email, "--password-stdin"];
    output(rehearsal().args(create), password)?;
    output(rehearsal().args(["token", "create", "--email", email, "--name", "xtask"]), "")
}

/// Runs the command with `input` as stdin and returns its stdout.
fn output(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("the command has no stdin")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("a command of the server failed ({})", output.status);
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
