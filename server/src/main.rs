//! The binary `rehearsal`.

use clap::Parser;
use server::cli::{Cli, Command};
use server::suite_run::CANNOT_RUN;
use std::process::ExitCode;
use std::time::Duration;

/// Time for blocking threads, for example DNS lookups, to end at exit.
const BLOCKING_TIMEOUT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage_error(&error),
    };
    // `run` writes only reports, which other programs of a CI job may read.
    if !matches!(cli.command, Command::Run(_)) {
        server::private_files::make_new_files_private();
    }
    llm::install_crypto();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("rehearsal: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(server::commands::run(cli));
    runtime.shutdown_timeout(BLOCKING_TIMEOUT);
    match result {
        Ok(status) => status,
        Err(message) => {
            eprintln!("rehearsal: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the error or the help. `run` has its own exit status for wrong arguments, because
/// 2 has a meaning there.
fn usage_error(error: &clap::Error) -> ExitCode {
    // Nobody can be told that nothing can be printed.
    let _ = error.print();
    let is_run = std::env::args_os().nth(1).is_some_and(|name| name == "run");
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if is_run => CANNOT_RUN.into(),
        status => u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}
