//! Every metric. A test fails on a recorded metric that is not listed here.

use metrics::Unit;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Counter,
    Gauge,
    /// With these upper bounds of the buckets.
    Histogram(&'static [f64]),
}

/// A label and all of its values.
pub type Label = (&'static str, &'static [&'static str]);

#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub help: &'static str,
    /// Each group of labels gives one series per combination of their values. Empty for a
    /// single series without labels.
    pub series: &'static [&'static [Label]],
}

/// The duration of a model call: 50 ms to 2 minutes.
const CALL: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0];
/// The duration of a commit: 0.5 ms to 1 s.
const COMMIT: &[f64] =
    &[0.0005, 0.001, 0.002, 0.004, 0.006, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// The number of changes in a transaction: 1 to 256.
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// The time from a commit to a client: 1 ms to 1 s.
const LAG: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// The duration of waits and runs: 1 s to 1 h.
const LONG: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0, 3600.0];

/// The protocol of a connection.
const KIND: Label = ("kind", &["anthropic", "openai", "openai_responses", "demo", "http_agent"]);
/// The classification of a provider's response.
const CLASS: Label = (
    "class",
    &[
        "ok",
        "refusal",
        "length",
        "content_filter",
        "rate_limited",
        "overloaded",
        "server_error",
        "connect",
        "timeout",
        "cut",
        "unreadable",
        "too_large",
        "unauthorized",
        "forbidden",
        "quota",
        "rejected",
        "redirect",
    ],
);
/// The final statuses of a run.
const FINAL: Label = ("status", &["passed", "failed", "inconclusive", "error", "cancelled"]);
const NO_ERROR: &[Label] =
    &[("status", &["passed", "failed", "inconclusive", "cancelled"]), ("error_kind", &["none"])];
const AN_ERROR: &[Label] = &[
    ("status", &["error"]),
    (
        "error_kind",
        &[
            "timeout",
            "abandoned",
            "circuit_open",
            "rate_limited",
            "provider_unavailable",
            "provider_rejected",
            "credential_invalid",
            "quota_exhausted",
            "invalid_scenario",
            "invalid_agent",
            "incompatible",
            "evaluation_unavailable",
            "evaluation_unparseable",
            "budget_exhausted",
            "truncated",
            "invalid_response",
            "outcome_unknown",
            "session_lost",
            "internal",
        ],
    ),
];
/// The states of unfinished runs.
pub const STATES: [&str; 6] = [
    "pending",
    "conversing",
    "evaluating",
    "waiting_slot",
    "waiting_rate_limit",
    "waiting_circuit",
];

const fn counter(
    name: &'static str,
    help: &'static str,
    series: &'static [&'static [Label]],
) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, help, series }
}

const fn gauge(
    name: &'static str,
    unit: Unit,
    help: &'static str,
    series: &'static [&'static [Label]],
) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help, series }
}

const fn seconds(
    name: &'static str,
    buckets: &'static [f64],
    help: &'static str,
    series: &'static [&'static [Label]],
) -> Metric {
    Metric { name, kind: Kind::Histogram(buckets), unit: Unit::Seconds, help, series }
}

pub const LIST: &[Metric] = &[
    // --- runs
    counter(
        "rehearsal_runs_finished_total",
        "Runs that became final, counted once after the commit.",
        &[NO_ERROR, AN_ERROR],
    ),
    gauge(
        "rehearsal_runs",
        Unit::Count,
        "Unfinished runs by state, updated every 5 s.",
        &[&[("state", &STATES)]],
    ),
    seconds(
        "rehearsal_queue_wait_seconds",
        LONG,
        "Time from the creation of a run to its first claim.",
        &[],
    ),
    seconds(
        "rehearsal_run_duration_seconds",
        LONG,
        "Time from the first claim of a run to its end, including waits.",
        &[&[FINAL]],
    ),
    counter(
        "rehearsal_runs_recovered_total",
        "Runs recovered after their lease expired or their process ended.",
        &[],
    ),
    counter(
        "rehearsal_runs_reaped_total",
        "Runs without a worker that ended at boot or by the reaper: past their deadline, never started, canceled, corrupt, or recovered too often.",
        &[],
    ),
    // --- engine
    gauge(
        "rehearsal_oldest_lease_seconds",
        Unit::Seconds,
        "Time since the renewal of the oldest lease; 0 without leases. Leases last 30 s.",
        &[],
    ),
    gauge(
        "rehearsal_heartbeat_age_seconds",
        Unit::Seconds,
        "Time since the engine last renewed its leases, which it does every 5 s.",
        &[],
    ),
    gauge(
        "rehearsal_calls_in_flight",
        Unit::Count,
        "Model calls that hold a call slot of this server.",
        &[],
    ),
    // --- connections and streams
    gauge("rehearsal_open_connections", Unit::Count, "Open connections of clients.", &[]),
    counter(
        "rehearsal_connections_rejected_total",
        "Connections that were closed because their address or the server had too many.",
        &[&[("limit", &["address", "server"])]],
    ),
    counter(
        "rehearsal_connections_timed_out_total",
        "Connections that were closed because the client sent or read nothing for too long.",
        &[],
    ),
    gauge("rehearsal_open_streams", Unit::Count, "Open event streams.", &[]),
    seconds(
        "rehearsal_event_lag_seconds",
        LAG,
        "Time from a commit until its newest event is passed to a client's connection.",
        &[],
    ),
    // --- calls
    counter(
        "rehearsal_provider_answers_total",
        "Attempts of model calls by the classification of their response.",
        &[&[KIND, CLASS]],
    ),
    seconds(
        "rehearsal_call_duration_seconds",
        CALL,
        "Duration of one attempt of a model call.",
        &[&[KIND]],
    ),
    counter("rehearsal_retries_total", "Retried attempts of model calls.", &[&[KIND]]),
    counter(
        "rehearsal_retry_budget_exhausted_total",
        "Retries that were not made because the retry budget was exhausted.",
        &[&[KIND]],
    ),
    gauge(
        "rehearsal_retry_budget_least",
        Unit::Count,
        "Smallest retry budget of all users and connections.",
        &[],
    ),
    gauge(
        "rehearsal_breakers",
        Unit::Count,
        "Circuit breakers that are not closed; `latched` means suspended.",
        &[&[("state", &["open", "half_open", "latched"])]],
    ),
    counter(
        "rehearsal_breaker_transitions_total",
        "Transitions of circuit breakers by new state; `latched` means suspended.",
        &[&[("to", &["closed", "open", "half_open", "latched"])]],
    ),
    seconds(
        "rehearsal_limiter_wait_seconds",
        LONG,
        "Time that a call waited for a provider's rate limit.",
        &[],
    ),
    gauge(
        "rehearsal_limiter_waiting",
        Unit::Count,
        "Calls that wait for a provider's rate limit.",
        &[],
    ),
    // --- store
    seconds(
        "rehearsal_store_commit_seconds",
        COMMIT,
        "Duration of one write transaction, from begin to commit.",
        &[],
    ),
    Metric {
        name: "rehearsal_store_batch_size",
        kind: Kind::Histogram(BATCH),
        unit: Unit::Count,
        help: "Changes in one write transaction.",
        series: &[],
    },
    counter(
        "rehearsal_store_errors_total",
        "Write transactions that failed to begin or commit.",
        &[&[("what", &["begin", "commit"])]],
    ),
    counter(
        "rehearsal_cleaned_rows_total",
        "Deleted old rows by table. A table appears after its first deletion.",
        // The names of the tables are not known here.
        &[],
    ),
    // --- process
    gauge("rehearsal_build_info", Unit::Count, "Always 1; the label contains the version.", &[]),
];

/// Metrics whose label values are not known here. Their series appear when they are
/// first recorded.
pub const DYNAMIC: [&str; 2] = ["rehearsal_cleaned_rows_total", "rehearsal_build_info"];

impl Metric {
    /// The labels of each series.
    #[must_use]
    pub fn all_series(&self) -> Vec<Vec<metrics::Label>> {
        if DYNAMIC.contains(&self.name) {
            return Vec::new();
        }
        if self.series.is_empty() {
            return vec![Vec::new()];
        }
        self.series.iter().flat_map(|labels| combinations(labels)).collect()
    }
}

/// All combinations of the labels' values.
fn combinations(labels: &[Label]) -> Vec<Vec<metrics::Label>> {
    let mut all = vec![Vec::new()];
    for (name, values) in labels {
        let with = |so_far: &Vec<metrics::Label>| {
            let so_far = so_far.clone();
            values.iter().map(move |value| {
                let mut more = so_far.clone();
                more.push(metrics::Label::new(*name, *value));
                more
            })
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}
