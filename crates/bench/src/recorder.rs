//! Keeps the store's own histograms, so that the bench shows what `/metrics`
//! would.

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

/// All values of every histogram.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<HashMap<String, Arc<Values>>>>);

/// Becomes the process's recorder.
pub(crate) fn install() -> Result<Kept> {
    let kept = Kept::default();
    metrics::set_global_recorder(kept.clone()).map_err(|error| anyhow!("{error}"))?;
    Ok(kept)
}

impl Kept {
    /// Takes the values of a histogram out.
    pub(crate) fn take(&self, name: &str) -> Vec<f64> {
        let values = self.0.lock().get(name).cloned();
        values.map(|values| std::mem::take(&mut *values.0.lock())).unwrap_or_default()
    }
}

impl Recorder for Kept {
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
