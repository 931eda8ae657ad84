//! What an operator sees: metrics, their text form, and the ids that lead from
//! an answer to its lines in the log.
//!
//! - [`list`]: every metric there is, with its unit, meaning and labels.
//! - [`scrape`]: the recorder, and the text that `/metrics` answers.
//! - [`request`]: the id of the request that is being worked on.
//!
//! No label names a person, a connection or a text of theirs: the values of
//! each are counted in the list, so their number is bounded.

#[cfg(any(test, feature = "testing"))]
pub mod capture;
pub mod list;
#[cfg(any(test, feature = "testing"))]
pub mod reading;
pub mod request;
pub mod scrape;
#[cfg(test)]
mod tests;

pub use scrape::Scrape;
