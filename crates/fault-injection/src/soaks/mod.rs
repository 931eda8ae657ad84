//! The soaks. Each file injects one kind of fault into the real binary and
//! reports what was measured and required.

mod cancel;
mod crowd;
mod deploy;
mod disk;
mod faults;
mod kill;
mod power;
mod stop;
mod tenants;

use crate::Binary;
use crate::report::{Report, SoakOptions};

pub const NAMES: [&str; 9] =
    ["kill", "stop", "faults", "tenants", "crowd", "cancel", "disk", "power", "deploy"];

/// Runs one soak. Returns `None` for an unknown name.
pub async fn run(name: &str, binary: &Binary, options: &SoakOptions) -> Option<Report> {
    // Boxed because the futures are large.
    Some(match name {
        "kill" => Box::pin(kill::run(binary, options)).await,
        "stop" => Box::pin(stop::run(binary, options)).await,
        "faults" => Box::pin(faults::run(binary, options)).await,
        "tenants" => Box::pin(tenants::run(binary, options)).await,
        "crowd" => Box::pin(crowd::run(binary, options)).await,
        "cancel" => Box::pin(cancel::run(binary, options)).await,
        "disk" => Box::pin(disk::run(binary, options)).await,
        "power" => Box::pin(power::run(binary, options)).await,
        "deploy" => Box::pin(deploy::run(binary, options)).await,
        _ => return None,
    })
}

pub use power::disk_that_ignores_sync;
