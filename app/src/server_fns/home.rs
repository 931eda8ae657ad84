//! The home page.

#[cfg(feature = "ssr")]
use crate::error::AppError;
use crate::services::Dashboard;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{HomeQuery, request};

/// The data of the home page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HomeData {
    pub dashboard: Dashboard,
    /// The idempotency key of the demo form.
    pub demo_key: String,
}

/// The home page.
#[cfg(feature = "ssr")]
pub(super) async fn home(_: HomeQuery) -> Result<HomeData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let dashboard = services.results.dashboard(&caller).await?;
    Ok(HomeData { dashboard, demo_key: services.suites.new_idempotency_key() })
}
