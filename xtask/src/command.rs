//! Runs programs with a clean environment and without stdin. Errors name the
//! command.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// Prints one line of progress.
pub(crate) fn say(step: &str, text: impl std::fmt::Display) {
    let line = format!("{step:>10}  {text}");
    if cfg!(test) {
        // The test harness captures `println!` only.
        println!("{line}");
    } else {
        // `println!` panics when stdout is closed.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// A command in `folder`, without stdin, and without the variables that `cargo run`
/// sets for xtask. `CARGO_PKG_*` and `CARGO_MANIFEST_DIR` would make some build
/// scripts run again whenever `cargo …` and `cargo xtask …` alternate, and
/// `LD_LIBRARY_PATH` would make one compiler load the libraries of another.
pub(crate) fn command(program: impl AsRef<Path>, folder: &Path) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(set_by_cargo_run) {
            command.env_remove(&name);
        }
    }
    command
}

fn set_by_cargo_run(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    const NAMES: [&str; 5] =
        ["CARGO", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR", "LD_LIBRARY_PATH"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The `cargo` that started this program.
pub(crate) fn cargo(folder: &Path) -> Command {
    command(std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from), folder)
}

/// The command with a lower scheduling priority, where `nice` exists.
pub(crate) fn with_low_priority(command: Command) -> Command {
    let Some(nice) = which("nice") else { return command };
    let mut with_nice = Command::new(nice);
    with_nice.args(["-n", "10"]).arg(command.get_program()).args(command.get_args());
    with_nice.stdin(Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        with_nice.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => with_nice.env(name, value),
            None => with_nice.env_remove(name),
        };
    }
    with_nice
}

/// Runs the command and passes its output through.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown} failed ({status})");
    }
    Ok(())
}

/// Runs the command and shows its output only if it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        let _ = std::io::stderr().write_all(&output.stdout);
        let _ = std::io::stderr().write_all(&output.stderr);
        bail!("{shown} failed ({})", output.status);
    }
    Ok(())
}

/// Returns the stdout of the command. The error contains its stderr.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("{shown} failed ({}): {}", output.status, why.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs the command and calls `each` for each line of stdout, without its line end.
/// Stderr passes through. Returns whether the command succeeded.
pub(crate) fn each_line(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    let shown = shown(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {shown}"))?;
    if let Some(stdout) = child.stdout.take() {
        lines(stdout, &mut each).with_context(|| format!("cannot read the output of {shown}"))?;
    }
    let status = child.wait().with_context(|| format!("cannot wait for {shown}"))?;
    Ok(status.success())
}

/// Reads lines that may contain invalid UTF-8.
fn lines(from: impl Read, each: &mut impl FnMut(&str)) -> std::io::Result<()> {
    for line in BufReader::new(from).split(b'\n') {
        each(String::from_utf8_lossy(&line?).trim_end_matches('\r'));
    }
    Ok(())
}

/// The exit code of a program that was started, for xtask itself.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Searches `PATH` for a program.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(&file))
        .find(|path| path.is_file())
}

/// The command as it would be typed.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    format!("`{}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_have_any_bytes_and_ends() {
        let mut seen = Vec::new();
        lines(&b"one\r\n\xfftwo\n\nlast"[..], &mut |line| seen.push(line.to_owned())).unwrap();
        assert_eq!(seen, ["one", "\u{fffd}two", "", "last"]);
    }

    #[test]
    fn only_variables_of_cargo_run_are_removed() {
        for name in ["CARGO_PKG_VERSION", "CARGO_MANIFEST_DIR", "CARGO", "LD_LIBRARY_PATH"] {
            assert!(set_by_cargo_run(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "PATH", "RUSTFLAGS"] {
            assert!(!set_by_cargo_run(name), "{name}");
        }
    }

    #[test]
    fn error_names_the_failed_command() {
        let mut command = command("sh", Path::new("."));
        let error = capture(command.args(["-c", "echo why >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("`sh -c") && error.contains("why"), "{error}");
    }
}
