//! Metrics, and the request ids that connect a response to its log lines.
//!
//! - [`list`]: every metric with its unit, help text and labels.
//! - [`scrape`]: the recorder, and the response of `/metrics`.
//! - [`request`]: the id of the current request.
//!
//! No label contains a user, a connection or user-supplied text. All label values are
//! listed, so their number is bounded.

#[cfg(any(test, feature = "testing"))]
pub mod capture;
pub mod list;
#[cfg(any(test, feature = "testing"))]
pub mod parser;
pub mod request;
pub mod scrape;
#[cfg(test)]
mod tests;

pub use scrape::Scrape;
