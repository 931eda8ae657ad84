//! The recorder and the text of `/metrics`.

use super::list::{Kind, LIST};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use std::sync::Arc;
use std::time::Duration;

/// Between two rounds of [`Scrape::keep`].
const EVERY: Duration = Duration::from_secs(5);

/// The text of all metrics, with what is looked up at the moment of asking.
#[derive(Clone)]
pub struct Scrape {
    handle: PrometheusHandle,
    look: Arc<dyn Fn() + Send + Sync>,
}

impl Scrape {
    /// `look` sets the gauges that are read off the process at each scrape; it
    /// must not wait for anything.
    pub fn new(handle: PrometheusHandle, look: impl Fn() + Send + Sync + 'static) -> Self {
        Self { handle, look: Arc::new(look) }
    }

    /// All metrics in Prometheus' text form.
    #[must_use]
    pub fn text(&self) -> String {
        (self.look)();
        self.handle.render()
    }

    /// Puts samples into their buckets now and then: where nobody scrapes,
    /// they would gather in memory.
    pub async fn keep(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.handle.run_upkeep();
        }
    }
}

/// A recorder that knows the buckets of the list.
#[must_use]
pub fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for metric in LIST {
        if let Kind::Histogram(buckets) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            // Refused are only empty buckets, which none of the list are: a
            // test looks.
            builder = match builder.set_buckets_for_metric(name, buckets) {
                Ok(builder) => builder,
                Err(_) => PrometheusBuilder::new(),
            };
        }
    }
    builder.build_recorder()
}

/// Makes the process record, once; `None` where it does so already.
#[must_use]
pub fn install() -> Option<PrometheusHandle> {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    begin();
    Some(handle)
}

/// Describes every metric, and begins each series at zero: a rule about a
/// growing number must see where it grew from.
pub fn begin() {
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
