//! The mock provider as a process.

use std::io::{Read, Write};
use std::process::ExitCode;

const USAGE: &str = "\
rehearsal-mock-provider [--port N] [--latency-ms N] [--script FILE] [--until-stdin-closes]

Listens on 127.0.0.1 and prints http://127.0.0.1:PORT on the first line.
--script reads a JSON file; --latency-ms overrides its latency.
";

struct Options {
    port: u16,
    script: mock_provider::Script,
    until_stdin_closes: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match parse_options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let provider = match mock_provider::start_on(options.script, options.port).await {
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

fn parse_options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut port, mut latency, mut script) = (0, None, mock_provider::Script::default());
    let mut until_stdin_closes = false;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--port" => port = value()?.parse().map_err(|_| "--port must be 0 to 65535")?,
            "--latency-ms" => {
                latency = Some(value()?.parse().map_err(|_| "--latency-ms must be a number")?);
            }
            "--script" => {
                let file = value()?;
                let text =
                    std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
                script = serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
            }
            "--until-stdin-closes" => until_stdin_closes = true,
            other => return Err(format!("unknown option {other}")),
        }
    }
    script.latency_ms = latency.unwrap_or(script.latency_ms);
    Ok(Options { port, script, until_stdin_closes })
}
