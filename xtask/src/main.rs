//! `cargo xtask`: sees to the tools, builds, starts, tests and measures
//! Rehearsal. A step that is done is skipped; nothing is ever asked.

#![expect(
    clippy::disallowed_methods,
    reason = "a build tool tells how long a step took; nothing here follows a test's clock"
)]

mod apt;
mod bench;
mod bench_store;
mod browser;
mod build;
mod command;
mod compress;
mod counts;
mod node;
mod promtool;
mod site;
mod sizes;
mod soak;
mod stamp;
mod test;
mod toolchain;
mod wasm;
mod workspace;

use anyhow::{Result, bail};
use std::process::ExitCode;
use workspace::Workspace;

const HELP: &str = "\
cargo xtask run [-- ARGS]    build what changed and start `rehearsal serve ARGS` (http://127.0.0.1:3000)
cargo xtask build            the site (WebAssembly, CSS) and the server, as `run` does, without starting it
cargo xtask build --release  one binary with the site inside
cargo xtask build --site     the site only
cargo xtask test             formatting, lints and every test, the browser's too
cargo xtask soak NAME        the server under faults: kill, stop, faults, tenants, crowd, cancel,
                             disk, power, deploy; [--seed N] [--seconds N | --long] [--release]
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Which subcommand it is. `bench` and `alerts` are left out of the help: they
/// are for those who work on Rehearsal. The one measures and says itself what
/// it needs; the other is the step of `test` of that name, alone.
fn dispatch(args: &[String]) -> Result<ExitCode> {
    let (name, rest) = match args.split_first() {
        Some((name, rest)) => (name.as_str(), rest),
        None => ("help", args),
    };
    match name {
        "run" => build::run(&Workspace::find()?, rest),
        "build" => {
            build::build(&Workspace::find()?, build::What::parse(rest)?)?;
            Ok(ExitCode::SUCCESS)
        }
        "test" => {
            if let Some(other) = rest.first() {
                bail!("`test` takes no arguments, and runs everything; it got `{other}`");
            }
            test::test(&Workspace::find()?)
        }
        "bench" => match rest {
            [] => bench::bench(&Workspace::find()?),
            [what, rest @ ..] if what == "store" => bench_store::bench(&Workspace::find()?, rest),
            [other, ..] => bail!("`bench` alone, or `bench store`; it got `{other}`"),
        },
        "alerts" => {
            promtool::check_alerts(&Workspace::find()?)?;
            Ok(ExitCode::SUCCESS)
        }
        "soak" => soak::soak(&Workspace::find()?, rest),
        "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("there is no `{other}`. There is:\n{HELP}"),
    }
}
