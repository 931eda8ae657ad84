//! The engine's promises, each once, with a scripted provider over the store
//! in memory and on paused time.

mod bench;
mod crash;
mod ends;
mod judging;
mod limits;
mod provider_limits;
mod talking;
mod waits;
