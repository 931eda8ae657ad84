//! `store-bench FOLDER [TURNS]`: benchmarks the embedded store on the disk of
//! FOLDER and prints measured and required values. It creates its files in
//! FOLDER and removes them at the end.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

mod fixtures;
mod generate;
mod history;
mod recorder;
mod table;
mod throughput;

use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use table::Table;

/// The number of stored turns while lists are measured.
const DEFAULT_TURNS: u32 = 1_000_000;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().context("FOLDER is missing")?).join("store-bench");
    let turns = args.next().map_or(Ok(DEFAULT_TURNS), |turns| turns.parse())?;
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let recorder = recorder::install()?;
    let mut table = Table::default();
    table.title("Durable turns (synchronous=FULL, through QueueStore::commit)");
    throughput::measure(&folder, &recorder, &mut table).await?;
    table.title(&format!("With {turns} turns in the database"));
    history::measure(&folder, turns, &mut table).await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(table.exit_code())
}
