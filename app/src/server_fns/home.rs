//! The first page.

use crate::backend::Dashboard;
use crate::error::AppError;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
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
#[server(prefix = "/fn", endpoint = "home", input = Json)]
pub async fn home() -> Result<HomeData, AppError> {
    let (backend, caller) = (ask::backend(), ask::caller()?);
    let dashboard = ask::answered(backend.dashboard(&caller).await)?;
    Ok(HomeData { dashboard, demo_key: backend.mint_key() })
}
