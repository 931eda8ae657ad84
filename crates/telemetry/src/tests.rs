//! Tests that the list is complete: every metric is described and initialized, label
//! values match the domain, and the list matches the code and the alert rules.

use super::list::{DYNAMIC, Kind, LIST, STATES};
use super::parser::ParsedMetrics;
use super::scrape::{initialize, recorder};
use domain::{ErrorKind, RunStatus};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use store::queue_stats::QueueStats;

fn initial_scrape() -> String {
    let recorder = recorder();
    metrics::with_local_recorder(&recorder, initialize);
    recorder.handle().render()
}

fn listed(name: &str) -> bool {
    LIST.iter().any(|metric| metric.name == name)
}

#[test]
fn every_metric_is_described_and_starts_at_zero() {
    let text = initial_scrape();
    let numbers = ParsedMetrics::read(&text);
    let mut names = BTreeSet::new();
    for metric in LIST {
        let name = metric.name;
        assert!(names.insert(name), "{name} is listed twice");
        assert!(name.starts_with("rehearsal_") && metric.help.ends_with('.'), "{name}");
        let (kind, counted) = match metric.kind {
            Kind::Counter => ("counter", name.to_owned()),
            Kind::Gauge => ("gauge", name.to_owned()),
            Kind::Histogram(buckets) => {
                assert!(!buckets.is_empty() && buckets.is_sorted(), "{name}");
                ("histogram", format!("{name}_count"))
            }
        };
        assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
        if name == "rehearsal_cleaned_rows_total" {
            continue;
        }
        assert!(text.contains(&format!("# HELP {name} {}", metric.help)), "{name} is described");
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} is a {kind}");
        if DYNAMIC.contains(&name) {
            continue;
        }
        let series: Vec<_> = numbers.of(&counted).collect();
        assert_eq!(series.len(), metric.all_series().len(), "{name}: {series:?}");
        assert!(series.iter().all(|(_, value)| *value == 0.0), "{name} starts at zero");
    }
    assert_eq!(
        numbers.value("rehearsal_build_info", &[("version", env!("CARGO_PKG_VERSION"))]),
        1.0
    );
    let unlisted = numbers.names().filter(|name| !listed(base(name)));
    assert_eq!(unlisted.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn durations_use_fitting_buckets() {
    let recorder = recorder();
    metrics::with_local_recorder(&recorder, || {
        for name in ["rehearsal_call_duration_seconds", "rehearsal_store_commit_seconds"] {
            metrics::histogram!(name).record(0.06);
        }
    });
    let numbers = ParsedMetrics::read(&recorder.handle().render());
    let below =
        |name: &str, bound: &str| numbers.value(&format!("{name}_bucket"), &[("le", bound)]);
    assert_eq!(below("rehearsal_call_duration_seconds", "0.05"), 0.0);
    assert_eq!(below("rehearsal_call_duration_seconds", "0.1"), 1.0);
    assert_eq!(below("rehearsal_store_commit_seconds", "0.05"), 0.0);
    assert_eq!(below("rehearsal_store_commit_seconds", "0.1"), 1.0);
}

#[test]
fn label_values_match_domain() {
    let metric = LIST.iter().find(|metric| metric.name == "rehearsal_runs_finished_total");
    let series = metric.expect("listed").all_series();
    let listed: BTreeSet<(String, String)> = series
        .iter()
        .map(|labels| (labels[0].value().to_owned(), labels[1].value().to_owned()))
        .collect();
    let finals = RunStatus::ALL.iter().filter(|(_, status)| status.is_final());
    let mut expected: BTreeSet<(String, String)> = finals
        .filter(|(_, status)| *status != RunStatus::Error)
        .map(|(word, _)| ((*word).to_owned(), "none".to_owned()))
        .collect();
    expected
        .extend(ErrorKind::ALL.iter().map(|(word, _)| ("error".to_owned(), (*word).to_owned())));
    assert_eq!(listed, expected);
    assert_eq!(QueueStats::default().by_state().map(|(state, _)| state), STATES);
}

/// Finds the arguments of the metric macros in every source file of the workspace.
#[test]
fn recorded_metrics_are_listed() {
    let mut recorded = BTreeSet::new();
    let folders = ["crates", "server/src"].map(|folder| workspace().join(folder));
    for file in folders.iter().flat_map(|folder| sources(folder)) {
        let text = std::fs::read_to_string(&file).expect("a source file");
        for call in ["counter", "gauge", "histogram"].map(|kind| format!("{kind}!(")) {
            for (at, _) in text.match_indices(&call) {
                let given = text[at + call.len()..].trim_start();
                if let Some(name) = given.strip_prefix('"').and_then(|rest| rest.split('"').next())
                {
                    recorded.insert(name.to_owned());
                }
            }
        }
    }
    assert!(recorded.len() > 8, "macros found: {recorded:?}");
    let unlisted: Vec<_> = recorded.iter().filter(|name| !listed(name)).collect();
    assert!(unlisted.is_empty(), "not in telemetry/src/list.rs: {unlisted:?}");
}

#[test]
fn metrics_in_alert_rules_are_listed() {
    let docs = workspace().join("docs");
    for file in ["alerts.yml", "alerts_test.yml"] {
        let text = std::fs::read_to_string(docs.join(file)).expect("the alerts");
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let used: BTreeSet<_> = words.filter(|word| word.starts_with("rehearsal_")).collect();
        assert!(used.len() > 5, "{file}: {used:?}");
        let unlisted: Vec<_> = used.iter().filter(|name| !listed(base(name))).collect();
        assert!(unlisted.is_empty(), "{file} uses {unlisted:?}");
    }
}

#[test]
fn every_alert_has_firing_and_silent_tests() {
    let docs = workspace().join("docs");
    let read = |file: &str| std::fs::read_to_string(docs.join(file)).expect("the alerts");
    let (rules, tests) = (read("alerts.yml"), read("alerts_test.yml"));
    let rules: Vec<_> = rules.split("- alert: ").skip(1).collect();
    assert!(rules.len() > 10);
    for rule in rules {
        let name = rule.lines().next().unwrap_or_default();
        for part in ["severity: ", "summary: ", "action: "] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        let query = format!("'ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}}'");
        let samples: Vec<_> = tests
            .split(&query)
            .skip(1)
            .map(|rest| rest.split("exp_samples:").nth(1).unwrap_or_default().trim_start())
            .collect();
        assert!(samples.iter().any(|sample| sample.starts_with("[{")), "{name} never fires");
        assert!(samples.iter().any(|sample| sample.starts_with("[]")), "{name} is never quiet");
    }
}

/// A metric's name without the suffixes of histograms.
fn base(name: &str) -> &str {
    let endings = ["_bucket", "_sum", "_count"].iter().filter_map(|end| name.strip_suffix(end));
    endings.into_iter().find(|name| listed(name)).unwrap_or(name)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let (folders, files): (Vec<_>, Vec<_>) =
        entries.map(|entry| entry.path()).partition(|path| path.is_dir());
    let inside = folders.iter().flat_map(|folder| sources(folder));
    let files = files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs"));
    files.chain(inside).collect()
}
