//! The soaks as a program: `rehearsal-soak NAME --binary PATH`.

use fault_injection::house::Binary;
use fault_injection::report::Dose;
use fault_injection::soaks;
use std::process::ExitCode;

const USAGE: &str = "\
rehearsal-soak NAME --binary PATH [--seed N] [--seconds N | --long]

Runs the binary `rehearsal` under faults and prints what was done, counted and
found, as Markdown. Short by default (about 10 s); --seconds makes it longer,
--long does as much as the product promises.
Ends with 0 when every promise was kept, 1 when one was broken, 2 when it was
asked wrongly, 77 when it could not be run on this machine.
";

struct Options {
    name: String,
    binary: Binary,
    dose: Dose,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}\nNAME is one of {}", soaks::NAMES.join(", "));
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let Options { name, binary, dose } = options;
    match runtime.block_on(soaks::run(&name, &binary, &dose)) {
        Some(report) => {
            println!("{report}");
            report.exit_code()
        }
        None => {
            eprintln!("there is no soak `{name}`; there is {}", soaks::NAMES.join(", "));
            ExitCode::from(2)
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut name, mut binary) = (None, None);
    let mut dose = Dose { seed: 1, seconds: 8, long: false, patience: 1.0 };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--binary" => binary = Some(Binary::new(value()?)),
            "--seed" => dose.seed = value()?.parse().map_err(|_| "--seed must be a number")?,
            "--seconds" => {
                dose.seconds = value()?.parse().map_err(|_| "--seconds must be a number")?;
            }
            "--long" => dose.long = true,
            other if other.starts_with('-') => return Err(format!("unknown option {other}")),
            _ if name.is_some() => return Err(format!("one soak at a time, not also {arg}")),
            _ => name = Some(arg),
        }
    }
    let name = name.ok_or("which soak?")?;
    let binary = binary.ok_or("--binary says which server to run")?;
    Ok(Options { name, binary, dose })
}
