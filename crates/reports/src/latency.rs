//! Latency of the agent's turns.

use domain::{Run, Speaker};
use serde::Serialize;
use statistics::percentile;

/// Collects the latencies of agent turns while runs are written.
#[derive(Debug, Default)]
pub(crate) struct AgentLatencies(Vec<u64>);

/// Percentiles of the latency of agent turns, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Percentiles {
    /// The number of turns that a model or a deployed agent answered.
    pub(crate) turns: usize,
    pub(crate) p50: u64,
    pub(crate) p95: u64,
    pub(crate) p99: u64,
}

impl AgentLatencies {
    pub(crate) fn add(&mut self, run: &Run) {
        let turns = run.transcript.iter().flatten();
        let of_agent = turns.filter(|turn| turn.speaker == Speaker::Agent);
        self.0.extend(of_agent.filter_map(|turn| turn.latency_ms).map(u64::from));
    }

    pub(crate) fn percentiles(&mut self) -> Option<Percentiles> {
        self.0.sort_unstable();
        let at = |percent| percentile(&self.0, percent);
        Some(Percentiles { turns: self.0.len(), p50: at(50)?, p95: at(95)?, p99: at(99)? })
    }
}
