//! `cargo xtask test`: formatting, lints, every test of both halves, and the
//! browser's. Every step runs, whatever became of the one before it, so that
//! one start tells everything; the last line adds the tests up.

use crate::command::{self, capture, cargo, each_line, run, run_quietly, say, which};
use crate::counts::Counts;
use crate::workspace::Workspace;
use crate::{browser, node, promtool, site, toolchain};
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// The server half. `app` is built for the server here, so the two stand in
/// one build; `frontend` never does.
pub(crate) const SERVER_HALF: [&str; 8] =
    ["--package", "app", "--package", "server", "--package", "soak", "--features", "app/ssr"];
/// What measures the store: built to be looked at, not to be tested.
const STORE_BENCH: [&str; 2] = ["--package", "store-bench"];
/// This crate apart, so that its libraries are those `cargo xtask` was built
/// with and nothing is compiled twice.
const XTASK: [&str; 4] = ["--package", "xtask", "--package", "stand"];

/// Runs everything and prints the closing line.
pub(crate) fn test(workspace: &Workspace) -> Result<ExitCode> {
    let mut all = Outcome::default();
    let root = &workspace.root;
    all.step("fmt", || {
        component(workspace, "fmt", "rustfmt")?;
        run(cargo(root).args(["fmt", "--all", "--", "--check"]))
    });
    all.step("clippy", || {
        component(workspace, "clippy", "clippy")?;
        clippy(workspace, &SERVER_HALF)?;
        clippy(workspace, &STORE_BENCH)?;
        clippy(workspace, &XTASK)
    });
    all.step("deny", || deny(workspace));
    all.step("alerts", || promtool::check_alerts(workspace));
    all.counted("server", || cargo_test(workspace, &SERVER_HALF));
    all.counted("xtask", || cargo_test(workspace, &XTASK));
    let has_site = all.step("site", || match site::ensure(workspace, true)? {
        0 => Ok(()),
        warnings => bail!("the browser half compiles with {warnings} warnings; they fail here"),
    });
    if has_site {
        all.counted("end2end", || end2end(workspace));
    } else {
        say("end2end", "left out: there is no site to test");
    }
    Ok(all.close())
}

/// What became of the steps so far.
#[derive(Default)]
struct Outcome {
    counts: Counts,
    failed_steps: Vec<&'static str>,
}

impl Outcome {
    /// A step without tests of its own; answers whether it went well.
    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> bool {
        let failed_before = self.failed_steps.len();
        self.counted(name, || step().map(|()| (Counts::default(), true)));
        self.failed_steps.len() == failed_before
    }

    /// A step with tests: their counts, and whether the program that ran them
    /// was content. A step that fails without a failed test counts as one.
    fn counted(&mut self, name: &'static str, step: impl FnOnce() -> Result<(Counts, bool)>) {
        say(name, "begins");
        let started = Instant::now();
        let (mut counts, content) = step().unwrap_or_else(|error| {
            say(name, format!("{error:#}"));
            (Counts::default(), false)
        });
        if !content && counts.failed == 0 {
            counts.failed = 1;
        }
        let seconds = started.elapsed().as_secs();
        if counts.failed > 0 {
            self.failed_steps.push(name);
            say(name, format!("FAILED after {seconds} s"));
        } else {
            say(name, format!("done in {seconds} s"));
        }
        self.counts += counts;
    }

    /// The closing lines. The very last one is the counts, alone.
    fn close(&self) -> ExitCode {
        if !self.failed_steps.is_empty() {
            say("failed", self.failed_steps.join(", "));
        }
        println!("{}", self.counts);
        if self.counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// A part of Rust that a minimal installation lacks.
fn component(workspace: &Workspace, subcommand: &str, name: &str) -> Result<()> {
    if capture(cargo(&workspace.root).args([subcommand, "--version"])).is_ok() {
        return Ok(());
    }
    if !toolchain::rustup_may_install() {
        bail!("`cargo {subcommand}` is missing: run `rustup component add {name}`, then again");
    }
    say("rustup", format!("adding {name}"));
    let mut rustup = command::command("rustup", &workspace.root);
    run_quietly(rustup.args(["component", "add", name]))
}

fn clippy(workspace: &Workspace, packages: &[&str]) -> Result<()> {
    let mut clippy = cargo(&workspace.root);
    clippy.arg("clippy").args(packages).args(["--all-targets", "--", "-D", "warnings"]);
    run(&mut clippy)
}

/// Licences, sources and known holes of what we depend on, where cargo-deny is
/// installed: compiling it takes longer than everything here.
fn deny(workspace: &Workspace) -> Result<()> {
    if which("cargo-deny").is_none() {
        say("deny", "left out: cargo-deny is not installed");
        return Ok(());
    }
    run(cargo(&workspace.root).args(["deny", "check"]))
}

/// Runs the tests of these packages, all of them whatever fails.
fn cargo_test(workspace: &Workspace, packages: &[&str]) -> Result<(Counts, bool)> {
    let mut cargo = cargo(&workspace.root);
    cargo.arg("test").args(packages).arg("--no-fail-fast");
    let mut counts = Counts::default();
    let content = each_line(&mut cargo, |line| {
        println!("{line}");
        if let Some(more) = Counts::from_cargo(line) {
            counts += more;
        }
    })?;
    Ok((counts, content))
}

/// The browser tests against the server as the tests above were built: asked
/// for together with the tests, it shares their libraries.
fn end2end(workspace: &Workspace) -> Result<(Counts, bool)> {
    let mut build = cargo(&workspace.root);
    build.arg("build").args(SERVER_HALF).args(["--bin", "rehearsal", "--tests"]);
    run(&mut build)?;
    node::ensure_end2end(workspace)?;
    let chromium = browser::ensure()?;

    let results = workspace.target.join("end2end");
    fs::create_dir_all(&results).with_context(|| format!("cannot make {}", results.display()))?;
    let report = results.join("report.json");
    crate::stamp::begin(&report)?;
    let mut playwright: Command = command::command("node", &workspace.end2end());
    playwright
        .args(["node_modules/@playwright/test/cli.js", "test"])
        .env("REHEARSAL_BIN", workspace.server_binary("debug"))
        .env("REHEARSAL_SITE_DIR", workspace.site())
        .env("REHEARSAL_CHROMIUM", chromium)
        .env("REHEARSAL_END2END_RESULTS", &results);
    let content = playwright.status().context("cannot start Playwright")?.success();
    let text = fs::read_to_string(&report).context("Playwright wrote no report")?;
    let counts = Counts::from_playwright(&text).context("Playwright's report has no counts")?;
    Ok((counts, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_without_a_failed_test_counts_as_one() {
        let mut all = Outcome::default();
        assert!(all.step("fmt", || Ok(())));
        assert!(!all.step("clippy", || bail!("two warnings")));
        all.counted("server", || Ok((Counts { passed: 7, failed: 0, skipped: 1 }, false)));
        all.counted("xtask", || Ok((Counts { passed: 3, failed: 2, skipped: 0 }, false)));
        all.counted("end2end", || Ok((Counts { passed: 4, failed: 0, skipped: 0 }, true)));
        assert_eq!(all.counts, Counts { passed: 14, failed: 4, skipped: 1 });
        assert_eq!(all.failed_steps, ["clippy", "server", "xtask"]);
    }
}
