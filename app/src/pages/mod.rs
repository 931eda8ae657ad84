//! Pages by feature.

pub mod account;
pub mod agents;
pub mod home;
pub mod import;
pub mod lazy_routes;
pub mod not_found;
pub mod run;
pub mod scenarios;
pub mod settings;
pub mod suite;
pub mod suites;
