//! The binary `rehearsal`.

use clap::Parser;
use server::cli::Cli;
use std::process::ExitCode;
use std::time::Duration;

/// Time for blocking threads, for example DNS lookups, to end at exit.
const BLOCKING_TIMEOUT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    server::private_files::make_new_files_private();
    let cli = Cli::parse();
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
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("rehearsal: {message}");
            ExitCode::FAILURE
        }
    }
}
