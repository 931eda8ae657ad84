//! Cleaning in memory. Drafts go with the next one that comes, and sessions
//! stand elsewhere.

use super::MemoryWork;
use crate::Stored;
use crate::cleaning::{CleanStore, Cleaned, Old};
use domain::Timestamp;
use async_trait::async_trait;

#[async_trait]
impl CleanStore for MemoryWork {
    async fn clean(&self, what: Old, before: Timestamp, most: u32) -> Stored<Cleaned> {
        let most = most as usize;
        Ok(match what {
            Old::Keys => {
                let gone = self.forget_keys(before, most);
                one("idempotency_keys", gone, gone >= most)
            }
            Old::Drafts | Old::Sessions => Cleaned::default(),
            Old::Events => {
                let (gone, more) = self.forget_events(before, most);
                one("events", gone, more)
            }
            Old::Suites => {
                // Whole ones: here nobody waits behind a step.
                let gone = self.forget_suites(before);
                one("suites", gone, false)
            }
        })
    }

    async fn tidy(&self) -> Stored<()> {
        Ok(())
    }
}

fn one(table: &'static str, rows: usize, more: bool) -> Cleaned {
    let rows = if rows == 0 { Vec::new() } else { vec![(table, rows as u64)] };
    Cleaned { rows, more }
}
