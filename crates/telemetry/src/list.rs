//! Every metric there is. What is recorded and not listed here fails a test,
//! as does what is listed and not described.

use metrics::Unit;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How samples are spread over these upper bounds.
    Histogram(&'static [f64]),
}

/// A label and every value that it takes.
pub type Label = (&'static str, &'static [&'static str]);

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name on `/metrics`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it counts or measures in.
    pub unit: Unit,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// Its series: of each group of labels, every combination. Empty: one
    /// series without labels.
    pub series: &'static [&'static [Label]],
}

/// One call of a model: 50 ms to 2 minutes.
const CALL: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0];
/// A commit: half a millisecond to a second.
const COMMIT: &[f64] =
    &[0.0005, 0.001, 0.002, 0.004, 0.006, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Changes in one transaction: 1 to 256.
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// From a commit to the wire: a millisecond to a second.
const LAG: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Waits and runs: a second to an hour.
const LONG: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0, 3600.0];

/// Protocols.
const KIND: Label = ("kind", &["anthropic", "openai", "demo"]);
/// How a provider's answer was taken.
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
/// Final statuses of a run.
const FINAL: Label = ("status", &["passed", "failed", "inconclusive", "error", "cancelled"]);
/// Those without an error.
const NO_ERROR: &[Label] =
    &[("status", &["passed", "failed", "inconclusive", "cancelled"]), ("error_kind", &["none"])];
/// The error, and why.
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
            "internal",
        ],
    ),
];
/// What an unfinished run does.
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

/// Every metric.
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
        "Unfinished runs by what they do or wait for, looked up every 5 s.",
        &[&[("state", &STATES)]],
    ),
    seconds("rehearsal_queue_wait_seconds", LONG, "From asking for a run to its first claim.", &[]),
    seconds(
        "rehearsal_run_duration_seconds",
        LONG,
        "From a run's first claim to its end, waits included.",
        &[&[FINAL]],
    ),
    counter(
        "rehearsal_runs_recovered_total",
        "Runs taken up again because their holder was gone.",
        &[],
    ),
    counter(
        "rehearsal_runs_reaped_total",
        "Runs ended because they were past their deadline, never begun, or recovered too often.",
        &[],
    ),
    // --- engine
    gauge(
        "rehearsal_oldest_lease_seconds",
        Unit::Seconds,
        "Since the renewal of the lease that was renewed longest ago; 0 where nothing is held. Leases last 30 s.",
        &[],
    ),
    gauge(
        "rehearsal_heartbeat_age_seconds",
        Unit::Seconds,
        "Since the engine last renewed its leases; every 5 s when all is well.",
        &[],
    ),
    gauge(
        "rehearsal_calls_in_flight",
        Unit::Count,
        "Places taken among the calls at once of this server.",
        &[],
    ),
    // --- streams
    gauge("rehearsal_open_streams", Unit::Count, "Event streams that are open.", &[]),
    seconds(
        "rehearsal_event_lag_seconds",
        LAG,
        "From a commit to the moment its newest event is handed to a reader's connection.",
        &[],
    ),
    // --- calls
    counter(
        "rehearsal_provider_answers_total",
        "Attempts at providers by how they ended.",
        &[&[KIND, CLASS]],
    ),
    seconds("rehearsal_call_duration_seconds", CALL, "One attempt at a provider.", &[&[KIND]]),
    counter("rehearsal_retries_total", "Attempts after the first of a call.", &[&[KIND]]),
    counter(
        "rehearsal_retry_budget_exhausted_total",
        "Retries that were not made because the connection's budget was used up.",
        &[&[KIND]],
    ),
    gauge(
        "rehearsal_retry_budget_least",
        Unit::Count,
        "Retries left to the connection that has the fewest.",
        &[],
    ),
    gauge(
        "rehearsal_breakers",
        Unit::Count,
        "Circuits that are not closed.",
        &[&[("state", &["open", "half_open", "latched"])]],
    ),
    counter(
        "rehearsal_breaker_transitions_total",
        "Changes of circuits, by what they became.",
        &[&[("to", &["closed", "open", "half_open", "latched"])]],
    ),
    seconds(
        "rehearsal_limiter_wait_seconds",
        LONG,
        "Waits of calls for a provider's rate limit.",
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
        "One transaction of the writer, from begin to commit.",
        &[],
    ),
    Metric {
        name: "rehearsal_store_batch_size",
        kind: Kind::Histogram(BATCH),
        unit: Unit::Count,
        help: "Changes in one transaction of the writer.",
        series: &[],
    },
    counter(
        "rehearsal_store_errors_total",
        "Transactions that could not begin or commit.",
        &[&[("what", &["begin", "commit"])]],
    ),
    counter(
        "rehearsal_cleaned_rows_total",
        "Old rows that were deleted, by table; a table shows once something of it was.",
        // The cleaner names the tables.
        &[],
    ),
    // --- process
    gauge("rehearsal_build_info", Unit::Count, "Always 1; the label names the version.", &[]),
];

/// Metrics whose series are there only once something was recorded: their
/// labels are not known here.
pub const LATE: [&str; 2] = ["rehearsal_cleaned_rows_total", "rehearsal_build_info"];

impl Metric {
    /// The labels of each of its series.
    #[must_use]
    pub fn all_series(&self) -> Vec<Vec<metrics::Label>> {
        if LATE.contains(&self.name) {
            return Vec::new();
        }
        if self.series.is_empty() {
            return vec![Vec::new()];
        }
        self.series.iter().flat_map(|labels| combinations(labels)).collect()
    }
}

/// Every combination of the labels' values.
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
