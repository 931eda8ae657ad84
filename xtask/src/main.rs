//! `cargo xtask`: builds, starts, tests and measures Rehearsal. It installs missing
//! tools, skips steps whose inputs did not change, and never prompts.

#![expect(
    clippy::disallowed_methods,
    reason = "a build tool measures real time and has no clock to replace in tests"
)]

mod apt;
mod bench;
#[cfg(test)]
mod boundaries;
mod browser;
mod build;
mod command;
mod counts;
mod files;
mod http;
mod node;
mod promtool;
mod real_model;
mod run;
mod seed;
mod server_process;
mod site;
mod site_tools;
mod sizes;
mod soak;
mod sqlx;
mod stamp;
mod test;
mod timings;
mod toolchain;
mod wasm;
mod watch;
mod workspace;

use anyhow::{Result, bail};
use std::process::ExitCode;
use workspace::Workspace;

const HELP: &str = "\
cargo xtask run [--timings] [-- ARGS]
    Build what changed and start `rehearsal serve ARGS` on http://127.0.0.1:3000.
    With --timings, print how long each step took. The first time, the server starts
    before its WebAssembly is compiled; until then pages work without JavaScript.
cargo xtask watch [-- ARGS]
    The same, and rebuild and restart when a source file changes.
cargo xtask seed
    Fill the database in ./data (or REHEARSAL_DATA_DIR) with an account, agents,
    scenarios and results, and print how to sign in. The server must not be running.
cargo xtask test
    Run everything: formatting, lints, all tests, browser tests.
cargo xtask test PATTERN
    Run only the tests whose names contain PATTERN: Rust tests, then browser tests.
cargo xtask sqlx
    Regenerate the data in crates/store-sqlite/.sqlx after a change of SQL or schema.
cargo xtask build [--site | --release]
    Build the site and the server without starting it. With --site, build only the
    optimized site; with --release, one binary that contains it.
cargo xtask soak NAME [--seed N] [--seconds N | --long] [--release]
    Run the server under injected faults: kill, stop, faults, tenants, crowd, cancel,
    disk, power, deploy.
cargo xtask bench [FOLDER]
    Build a release and measure 200 conversations beside a bare client. With a
    folder, measure the programs in it instead.
cargo xtask bench store [TURNS]
    Measure the store alone.
cargo xtask real-model
    Run five built-in scenarios with a small real model, which llama.cpp serves, and check
    what becomes of its answers. The first time, llama.cpp is compiled for 20 minutes.
cargo xtask alerts
    Check and test the alert rules in docs/.
";

fn main() -> ExitCode {
    timings::record_own_build();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let (name, rest) = match args.split_first() {
        Some((name, rest)) => (name.as_str(), rest),
        None => ("help", args),
    };
    let before_dashes = rest.iter().take_while(|arg| *arg != "--");
    if ["help", "-h", "--help"].contains(&name)
        || before_dashes.into_iter().any(|arg| arg == "-h" || arg == "--help")
    {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Workspace::find()?;
    match name {
        "run" => run::run(&workspace, rest),
        "watch" => watch::watch(&workspace, rest),
        "seed" => seed::seed(&workspace, rest),
        "build" => {
            let built = build::build(&workspace, build::BuildTarget::parse(rest)?)?;
            command::say("built", built.display());
            Ok(ExitCode::SUCCESS)
        }
        "test" => match rest {
            [] => test::test_all(&workspace),
            [pattern] => test::test_matching(&workspace, pattern),
            _ => bail!("`test` takes one pattern; quote it if it contains spaces"),
        },
        "bench" => match rest {
            [what, rest @ ..] if what == "store" => bench::store::bench(&workspace, rest),
            _ => bench::bench(&workspace, rest),
        },
        "alerts" => {
            promtool::check_alerts(&workspace)?;
            Ok(ExitCode::SUCCESS)
        }
        "sqlx" => sqlx::update(&workspace, rest),
        "real-model" => real_model::real_model(&workspace, rest),
        "soak" => soak::soak(&workspace, rest),
        other => bail!("there is no command `{other}`. The commands are:\n\n{HELP}"),
    }
}
