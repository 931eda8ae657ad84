//! The engine's promises, each once, with a scripted provider over the store
//! in memory and on paused time.

mod away;
mod bench;
mod circuits;
mod crash;
mod ends;
mod judging;
mod judging_again;
mod limits;
mod logs;
mod metrics;
mod rate_limits;
mod suspend;
mod talking;
mod waits;
