//! The soaks. Each is a file: what is done to the real binary, what is then
//! looked at, and what is promised.

mod cancel;
mod crowd;
mod deploy;
mod disk;
mod faults;
mod kill;
mod power;
mod stop;
mod tenants;

use crate::house::Binary;
use crate::report::{Dose, Report};

/// All soaks.
pub const NAMES: [&str; 9] =
    ["kill", "stop", "faults", "tenants", "crowd", "cancel", "disk", "power", "deploy"];

/// Runs one; `None` when there is no such soak.
pub async fn run(name: &str, binary: &Binary, dose: &Dose) -> Option<Report> {
    // Boxed: each is large, and they are never held at once.
    Some(match name {
        "kill" => Box::pin(kill::run(binary, dose)).await,
        "stop" => Box::pin(stop::run(binary, dose)).await,
        "faults" => Box::pin(faults::run(binary, dose)).await,
        "tenants" => Box::pin(tenants::run(binary, dose)).await,
        "crowd" => Box::pin(crowd::run(binary, dose)).await,
        "cancel" => Box::pin(cancel::run(binary, dose)).await,
        "disk" => Box::pin(disk::run(binary, dose)).await,
        "power" => Box::pin(power::run(binary, dose)).await,
        "deploy" => Box::pin(deploy::run(binary, dose)).await,
        _ => return None,
    })
}

pub use power::lying_disk;
