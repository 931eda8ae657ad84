//! The binary `rehearsal`.

use clap::Parser;
use server::cli::Cli;
use std::process::ExitCode;
use std::time::Duration;

/// How long threads may take that wait for something outside (a name that is
/// being looked up, say) once everything else has ended.
const STRAGGLERS: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let cli = Cli::parse();
    llm::install_crypto();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("rehearsal: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(server::commands::run(cli));
    runtime.shutdown_timeout(STRAGGLERS);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("rehearsal: {sentence}");
            ExitCode::FAILURE
        }
    }
}
