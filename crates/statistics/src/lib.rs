//! Statistics over repeated runs. Only runs that passed or failed are counted: an error is
//! never a verdict.

mod exclusions;
mod percentile;
mod repeats;

pub use exclusions::{Exclusion, count_exclusions};
pub use percentile::percentile;
pub use repeats::{Interval, Repeats};
