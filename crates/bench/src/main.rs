//! `store-bench FOLDER [TURNS]`: measures the embedded store on the disk that
//! holds FOLDER, and prints what it measured beside what is promised. Its
//! files are made anew and removed at the end.

#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here follows a test's clock"
)]

mod fill;
mod furniture;
mod history;
mod numbers;
mod recorder;
mod throughput;

use anyhow::{Context, Result};
use numbers::Table;
use std::path::PathBuf;
use std::process::ExitCode;

/// Turns that stand in the database while lists are measured.
const TURNS: u32 = 1_000_000;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().context("which folder?")?).join("store-bench");
    let turns = args.next().map_or(Ok(TURNS), |turns| turns.parse())?;
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let recorder = recorder::install()?;
    let mut table = Table::default();
    table.title("Durable turns (synchronous=FULL, through QueueStore::commit)");
    throughput::measure(&folder, &recorder, &mut table).await?;
    table.title(&format!("With {turns} turns in the database"));
    history::measure(&folder, turns, &mut table).await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(table.close())
}
