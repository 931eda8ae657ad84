//! The first page.

use crate::backend::Dashboard;
#[cfg(feature = "ssr")]
use crate::error::AppError;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::ask;

/// What the first page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HomeData {
    /// Suites and numbers.
    pub dashboard: Dashboard,
    /// Key of the demo's form.
    pub demo_key: String,
}

/// The first page.
#[cfg(feature = "ssr")]
pub(super) async fn home() -> Result<HomeData, AppError> {
    let (backend, caller) = (ask::backend(), ask::caller()?);
    let dashboard = ask::answered(backend.dashboard(&caller).await)?;
    Ok(HomeData { dashboard, demo_key: backend.mint_key() })
}
