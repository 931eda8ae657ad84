//! The first page.

#[cfg(feature = "ssr")]
use crate::error::AppError;
use crate::services::Dashboard;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{HomeQuery, ask};

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
pub(super) async fn home(_: HomeQuery) -> Result<HomeData, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let dashboard = ask::answered(services.results.dashboard(&caller).await)?;
    Ok(HomeData { dashboard, demo_key: services.suites.new_idempotency_key() })
}
