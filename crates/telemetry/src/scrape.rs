//! The recorder and the text of `/metrics`.

use super::list::{Kind, LIST};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use std::sync::Arc;
use std::time::Duration;

/// The interval of [`Scrape::run_upkeep`].
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Renders all metrics, including gauges that are updated at each scrape.
#[derive(Clone)]
pub struct Scrape {
    handle: PrometheusHandle,
    update_gauges: Arc<dyn Fn() + Send + Sync>,
}

impl Scrape {
    /// `update_gauges` is called at each scrape, and must not block.
    pub fn new(handle: PrometheusHandle, update_gauges: impl Fn() + Send + Sync + 'static) -> Self {
        Self { handle, update_gauges: Arc::new(update_gauges) }
    }

    /// Renders all metrics in the Prometheus text format.
    #[must_use]
    pub fn text(&self) -> String {
        (self.update_gauges)();
        self.handle.render()
    }

    /// Periodically aggregates histogram samples. Without a scrape they would accumulate
    /// in memory.
    pub async fn run_upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            self.handle.run_upkeep();
        }
    }
}

/// Creates a recorder with the histogram buckets of the list.
#[must_use]
pub fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for metric in LIST {
        if let Kind::Histogram(buckets) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            // Fails only for an empty list of buckets. A test checks that there is none.
            builder = match builder.set_buckets_for_metric(name, buckets) {
                Ok(builder) => builder,
                Err(_) => PrometheusBuilder::new(),
            };
        }
    }
    builder.build_recorder()
}

/// Installs the global recorder. Returns `None` if one is installed already.
#[must_use]
pub fn install() -> Option<PrometheusHandle> {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    initialize();
    Some(handle)
}

/// Describes every metric and initializes each series with zero, because `increase()`
/// does not see the first value of a new series.
pub fn initialize() {
    for metric in LIST {
        let (name, unit, help) = (metric.name, metric.unit, metric.help);
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(name, unit, help),
            Kind::Gauge => metrics::describe_gauge!(name, unit, help),
            Kind::Histogram(_) => metrics::describe_histogram!(name, unit, help),
        }
        for labels in metric.all_series() {
            match metric.kind {
                Kind::Counter => metrics::counter!(name, labels).increment(0),
                Kind::Gauge => metrics::gauge!(name, labels).set(0.0),
                Kind::Histogram(_) => drop(metrics::histogram!(name, labels)),
            }
        }
    }
    metrics::gauge!("rehearsal_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}
