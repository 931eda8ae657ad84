//! Runs one soak: `rehearsal-fault-injection NAME --binary PATH`.

use fault_injection::Binary;
use fault_injection::report::SoakOptions;
use fault_injection::soaks;
use std::process::ExitCode;

const USAGE: &str = "\
rehearsal-fault-injection NAME --binary PATH [--seed N] [--seconds N | --long]

Runs the binary `rehearsal` under faults and prints a report as Markdown. A run
takes about 10 s; --seconds sets another duration, --long runs the full soak.
Exit codes: 0 all checks passed, 1 a check failed, 2 invalid arguments, 77 not
possible on this machine.
";

struct Options {
    name: String,
    binary: Binary,
    soak: SoakOptions,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Options { name, binary, soak } = match parse_options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}\nNAME is one of {}", soaks::NAMES.join(", "));
            return ExitCode::from(2);
        }
    };
    match soaks::run(&name, &binary, &soak).await {
        Some(report) => {
            println!("{report}");
            report.exit_code()
        }
        None => {
            eprintln!("unknown soak `{name}`; NAME is one of {}", soaks::NAMES.join(", "));
            ExitCode::from(2)
        }
    }
}

fn parse_options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut name, mut binary) = (None, None);
    let mut soak = SoakOptions { seed: 1, seconds: 8, long: false, time_factor: 1.0 };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--binary" => binary = Some(Binary::new(value()?)),
            "--seed" => soak.seed = value()?.parse().map_err(|_| "--seed must be a number")?,
            "--seconds" => {
                soak.seconds = value()?.parse().map_err(|_| "--seconds must be a number")?;
            }
            "--long" => soak.long = true,
            other if other.starts_with('-') => return Err(format!("unknown option {other}")),
            _ if name.is_some() => return Err(format!("only one soak at a time, not also {arg}")),
            _ => name = Some(arg),
        }
    }
    let name = name.ok_or("NAME is missing")?;
    let binary = binary.ok_or("--binary is missing")?;
    Ok(Options { name, binary, soak })
}
