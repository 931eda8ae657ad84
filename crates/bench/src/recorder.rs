//! A metrics recorder that keeps every value of the store's histograms.

use anyhow::{Result, anyhow};
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Default)]
struct Values(Mutex<Vec<f64>>);

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        self.0.lock().push(value);
    }
}

#[derive(Clone, Default)]
pub(crate) struct HistogramRecorder(Arc<Mutex<HashMap<String, Arc<Values>>>>);

/// Installs the recorder for the process.
pub(crate) fn install() -> Result<HistogramRecorder> {
    let recorder = HistogramRecorder::default();
    metrics::set_global_recorder(recorder.clone()).map_err(|error| anyhow!("{error}"))?;
    Ok(recorder)
}

impl HistogramRecorder {
    /// Removes and returns the values of a histogram.
    pub(crate) fn take(&self, name: &str) -> Vec<f64> {
        let values = self.0.lock().get(name).cloned();
        values.map(|values| std::mem::take(&mut *values.0.lock())).unwrap_or_default()
    }
}

impl Recorder for HistogramRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let values = self.0.lock().entry(key.name().to_owned()).or_default().clone();
        Histogram::from_arc(values)
    }
}
