//! The mock provider as a process.

use clap::Parser;
use mock_provider::Script;
use std::io::{Read, Write};
use std::process::ExitCode;

/// Serves a mock model provider and prints http://127.0.0.1:PORT on the first line.
#[derive(Parser)]
struct Options {
    /// The port on 127.0.0.1; 0 picks a free port.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Overrides the latency of the script.
    #[arg(long)]
    latency_ms: Option<u64>,
    /// The path of a script in JSON.
    #[arg(long, value_parser = read_script)]
    script: Option<Script>,
    /// Exits when stdin is closed.
    #[arg(long)]
    until_stdin_closes: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mut script = options.script.unwrap_or_default();
    script.latency_ms = options.latency_ms.unwrap_or(script.latency_ms);
    let provider = match mock_provider::start_on(script, options.port).await {
        Ok(provider) => provider,
        Err(error) => {
            eprintln!("cannot listen on port {}: {error}", options.port);
            return ExitCode::FAILURE;
        }
    };
    println!("http://{}", provider.addr);
    let _ = std::io::stdout().flush();
    if options.until_stdin_closes {
        std::thread::spawn(|| {
            // The pipe closes when the parent process exits.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
    }
    provider.serve_forever().await;
    ExitCode::SUCCESS
}

fn read_script(file: &str) -> Result<Script, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}
