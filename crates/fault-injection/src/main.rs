//! Runs one soak: `rehearsal-fault-injection NAME --binary PATH`.

use clap::Parser;
use clap::builder::PossibleValuesParser;
use fault_injection::Binary;
use fault_injection::report::SoakOptions;
use fault_injection::soaks;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the binary `rehearsal` under faults and prints a report as Markdown.
///
/// Exit codes: 0 all checks passed, 1 a check failed, 2 invalid arguments, 77 not
/// possible on this machine.
#[derive(Parser)]
struct Options {
    #[arg(value_parser = PossibleValuesParser::new(soaks::NAMES))]
    name: String,
    /// The path of `rehearsal`.
    #[arg(long)]
    binary: PathBuf,
    /// Seeds all randomness.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The approximate duration.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Runs the full soak.
    #[arg(long)]
    long: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Options { name, binary, seed, seconds, long } = Options::parse();
    let options = SoakOptions { seed, seconds, long, time_factor: 1.0 };
    let report = soaks::run(&name, &Binary::new(binary), &options).await;
    let report = report.expect("the parser accepts only names of soaks");
    println!("{report}");
    report.exit_code()
}
