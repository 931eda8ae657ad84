//! `cargo xtask test`: formatting, lints, all Rust tests and the browser tests. Every
//! step runs even if an earlier one failed. The last line has the counts.

use crate::command::{self, capture, cargo, each_line, run, run_quietly, say, which};
use crate::counts::Counts;
use crate::site_tools::{self, Source};
use crate::wasm::Variant;
use crate::workspace::Workspace;
use crate::{browser, files, node, promtool, site, sqlx, toolchain};
use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::process::{Command, ExitCode};
use std::sync::mpsc;
use std::time::Instant;

/// All packages but `frontend`: `app` must never be compiled with `ssr` and `hydrate`
/// at once. All commands use the same selection, because cargo compiles a library
/// again for another selection of features.
pub(crate) const WORKSPACE: [&str; 5] =
    ["--workspace", "--exclude", "frontend", "--features", "app/ssr,site-tools/optimize"];

/// Runs everything and prints the counts.
pub(crate) fn test_all(workspace: &Workspace) -> Result<ExitCode> {
    let mut all = Outcome::default();
    let root = &workspace.root;
    all.step("fmt", || {
        component(workspace, "fmt", "rustfmt")?;
        run(cargo(root).args(["fmt", "--all", "--", "--check"]))
    });
    all.step("deny", || deny(workspace));
    all.step("alerts", || promtool::check_alerts(workspace));
    let has_site = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        // Compiles in the background: its last minute uses one core.
        let site = scope.spawn(|| {
            let mut tools = Source::Pending(receiver);
            site::ensure(workspace, Variant::Optimized, true, &mut tools)
        });
        all.step("clippy", || {
            component(workspace, "clippy", "clippy")?;
            clippy(workspace)
        });
        all.step("build", || {
            build_tests(workspace, |tools| {
                let _ = sender.send(tools);
            })
        });
        drop(sender);
        // Tests start after it, because some of them depend on the time.
        all.step("site", || {
            match site.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))? {
                0 => Ok(()),
                warnings => bail!("the WebAssembly has {warnings} warnings; they are errors here"),
            }
        })
    });
    all.counted("cargo test", || cargo_test(workspace, None));
    if has_site {
        all.counted("end2end", || end2end(workspace, None));
    } else {
        say("end2end", "skipped: there is no site to test");
    }
    Ok(all.finish())
}

/// Runs the tests whose names contain `pattern`, without formatting and lints.
pub(crate) fn test_matching(workspace: &Workspace, pattern: &str) -> Result<ExitCode> {
    let mut all = Outcome::default();
    all.counted("cargo test", || cargo_test(workspace, Some(pattern)));
    if has_browser_test(workspace, pattern)? {
        let has_site = all.step("site", || {
            build_tests(workspace, |_| ())?;
            site::ensure(workspace, Variant::Optimized, true, &mut Source::OnDemand(workspace))?;
            Ok(())
        });
        if has_site {
            all.counted("end2end", || end2end(workspace, Some(pattern)));
        }
    }
    if all.counts == Counts::default() {
        bail!("no test has a name that contains `{pattern}`");
    }
    Ok(all.finish())
}

/// The results of the steps so far.
#[derive(Default)]
struct Outcome {
    counts: Counts,
    failed_steps: Vec<&'static str>,
}

impl Outcome {
    /// Runs a step without tests. Returns whether it succeeded.
    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> bool {
        let failed_before = self.failed_steps.len();
        self.counted(name, || step().map(|()| (Counts::default(), true)));
        self.failed_steps.len() == failed_before
    }

    /// Runs a step with tests, which returns their counts and whether the test program
    /// succeeded. A step that fails without a failed test counts as one failure.
    fn counted(&mut self, name: &'static str, step: impl FnOnce() -> Result<(Counts, bool)>) {
        say(name, "started");
        let started = Instant::now();
        let (mut counts, succeeded) = step().unwrap_or_else(|error| {
            say(name, format!("{error:#}"));
            (Counts::default(), false)
        });
        if !succeeded && counts.failed == 0 {
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

    /// Prints the failed steps and, on the last line, the counts.
    fn finish(&self) -> ExitCode {
        if !self.failed_steps.is_empty() {
            say("failed", self.failed_steps.join(", "));
        }
        println!("{}", self.counts);
        if self.counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Installs a component of Rust that a minimal installation lacks.
fn component(workspace: &Workspace, subcommand: &str, name: &str) -> Result<()> {
    if capture(cargo(&workspace.root).args([subcommand, "--version"])).is_ok() {
        return Ok(());
    }
    if !toolchain::rustup_may_install() {
        bail!("`cargo {subcommand}` is missing: run `rustup component add {name}`, then try again");
    }
    say("rustup", format!("adding {name}"));
    let mut rustup = command::command("rustup", &workspace.root);
    run_quietly(rustup.args(["component", "add", name]))
}

/// Lints all crates. On the way the macros of sqlx write their data, which is compared
/// with the data in the repository.
fn clippy(workspace: &Workspace) -> Result<()> {
    let mut clippy = cargo(&workspace.root);
    clippy.arg("clippy").args(WORKSPACE).args(["--all-targets", "--", "-D", "warnings"]);
    sqlx::check(workspace, &mut clippy)
}

/// Checks licenses, sources and advisories of dependencies if cargo-deny is installed.
/// Compiling it would take longer than everything else here.
fn deny(workspace: &Workspace) -> Result<()> {
    if which("cargo-deny").is_none() {
        say("deny", "skipped: cargo-deny is not installed");
        return Ok(());
    }
    run(cargo(&workspace.root).args(["deny", "check"]))
}

/// Builds the tests and the programs that tests and steps start.
fn build_tests(
    workspace: &Workspace,
    tools_built: impl FnMut(site_tools::SiteTools),
) -> Result<()> {
    let mut build = cargo(&workspace.root);
    build.arg("build").args(WORKSPACE).args(["--tests", "--bin", "rehearsal"]);
    build.args(["--bin", "site-tools"]);
    site_tools::build(&mut build, tools_built)
}

/// Runs the Rust tests. There are no documentation tests, and looking for them in
/// every crate takes long, so that step of `cargo test` is left out.
fn cargo_test(workspace: &Workspace, pattern: Option<&str>) -> Result<(Counts, bool)> {
    let mut cargo = cargo(&workspace.root);
    cargo.arg("test").args(WORKSPACE).args(["--lib", "--bins", "--tests", "--no-fail-fast"]);
    cargo.args(pattern);
    let mut counts = Counts::default();
    let succeeded = each_line(&mut cargo, |line| {
        println!("{line}");
        if let Some(more) = Counts::from_cargo(line) {
            counts += more;
        }
    })?;
    Ok((counts, succeeded))
}

/// Runs the browser tests with the server that [`build_tests`] built.
fn end2end(workspace: &Workspace, pattern: Option<&str>) -> Result<(Counts, bool)> {
    let chromium = browser::ensure()?;
    let results = workspace.target.join("end2end");
    files::create_folder(&results)?;
    let report = results.join("report.json");
    crate::stamp::begin(&report)?;
    let mut playwright = playwright(workspace, pattern)?;
    playwright
        .env("REHEARSAL_BIN", workspace.server_binary("debug"))
        .env("REHEARSAL_SITE_DIR", workspace.site(Variant::Optimized))
        .env("REHEARSAL_CHROMIUM", chromium)
        .env("REHEARSAL_END2END_RESULTS", &results);
    let succeeded = playwright.status().context("cannot start Playwright")?.success();
    let text = fs::read_to_string(&report).context("Playwright wrote no report")?;
    let counts = Counts::from_playwright(&text).context("Playwright's report has no counts")?;
    Ok((counts, succeeded))
}

/// Asks Playwright, which knows the full names of tests.
fn has_browser_test(workspace: &Workspace, pattern: &str) -> Result<bool> {
    let mut list = playwright(workspace, Some(pattern))?;
    list.args(["--list", "--reporter=list", "--pass-with-no-tests"]);
    // Listing starts no browser, so none has to be installed yet.
    list.env("REHEARSAL_CHROMIUM", "not started");
    Ok(!capture(&mut list)?.contains("Total: 0 tests"))
}

fn playwright(workspace: &Workspace, pattern: Option<&str>) -> Result<Command> {
    node::ensure_end2end(workspace)?;
    let mut playwright = command::command("node", &workspace.end2end());
    playwright.args(["node_modules/@playwright/test/cli.js", "test"]);
    if let Some(pattern) = pattern {
        playwright.args(["--grep", &escape_regex(pattern)]);
    }
    Ok(playwright)
}

/// Playwright expects a regular expression.
fn escape_regex(pattern: &str) -> String {
    let is_special = |c| r"\^$.|?*+()[]{}/".contains(c);
    pattern.chars().flat_map(|c| is_special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_that_fails_without_failed_test_counts_as_one() {
        let mut all = Outcome::default();
        assert!(all.step("fmt", || Ok(())));
        assert!(!all.step("clippy", || bail!("two warnings")));
        all.counted("server", || Ok((Counts { passed: 7, failed: 0, skipped: 1 }, false)));
        all.counted("xtask", || Ok((Counts { passed: 3, failed: 2, skipped: 0 }, false)));
        all.counted("end2end", || Ok((Counts { passed: 4, failed: 0, skipped: 0 }, true)));
        assert_eq!(all.counts, Counts { passed: 14, failed: 4, skipped: 1 });
        assert_eq!(all.failed_steps, ["clippy", "server", "xtask"]);
    }

    #[test]
    fn pattern_is_a_literal_for_playwright() {
        assert_eq!(escape_regex("stops (twice)?"), r"stops \(twice\)\?");
    }
}
