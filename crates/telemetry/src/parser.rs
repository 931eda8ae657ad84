//! Parses the response of `/metrics`, for tests.

#![allow(clippy::panic)] // only tests read metrics this way

use std::collections::BTreeMap;

/// The series of a scrape: name, labels and value.
#[derive(Debug)]
pub struct ParsedMetrics(Vec<(String, BTreeMap<String, String>, f64)>);

impl ParsedMetrics {
    pub fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.map(series).collect())
    }

    /// The series of a metric.
    pub fn of<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (&'a BTreeMap<String, String>, f64)> + 'a {
        let mine = self.0.iter().filter(move |(one, ..)| one == name);
        mine.map(|(_, labels, value)| (labels, *value))
    }

    /// The value of the series with exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: BTreeMap<String, String> =
            labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let found = self.of(name).find(|(labels, _)| **labels == wanted);
        found.unwrap_or_else(|| panic!("no {name} {labels:?}")).1
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, ..)| name.as_str())
    }
}

fn series(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (key, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
    let labels = labels.trim_end_matches('}').split(',').filter_map(|label| {
        let (name, value) = label.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    });
    (name.to_owned(), labels.collect(), value.parse().expect("a number"))
}
