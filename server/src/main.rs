//! The binary `rehearsal`.

use clap::Parser;
use server::cli::Cli;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    server::llm::install_crypto();
    match server::commands::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("rehearsal: {sentence}");
            ExitCode::FAILURE
        }
    }
}
