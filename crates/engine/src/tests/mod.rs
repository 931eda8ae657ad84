//! The engine's promises, each once, with a scripted provider over the store
//! in memory and on paused time.

mod bench;
mod circuits;
mod conversations;
mod crash;
mod judge;
mod limits;
mod logs;
mod metrics;
mod rate_limits;
mod rejudging;
mod run_ends;
mod suspend;
mod unavailable_store;
mod waiting;
