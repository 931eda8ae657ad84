//! Mounting, as Linux has it.

use super::fuse::Disk;
use super::platter::Platter;
use fuser::{BackgroundSession, MountOption};
use parking_lot::Mutex;
use rustix::mount::{MountFlags, UnmountFlags};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A platter that is mounted.
pub(super) struct Mounted(BackgroundSession);

/// Mounts a platter.
pub(super) fn mount(platter: &Arc<Mutex<Platter>>, at: &Path) -> io::Result<Mounted> {
    let options = [MountOption::FSName("forgetful".into()), MountOption::DefaultPermissions];
    fuser::spawn_mount2(Disk::new(Arc::clone(platter)), at, &options).map(Mounted)
}

impl Mounted {
    /// Unmounts it; nothing is left in any cache.
    pub(super) fn end(self) {
        self.0.join();
    }
}

/// Mounts an empty disk in memory.
pub(super) fn mount_small(at: &Path, megabytes: u32) -> io::Result<()> {
    let size = std::ffi::CString::new(format!("size={megabytes}m"))?;
    rustix::mount::mount("small", at, "tmpfs", MountFlags::empty(), Some(size.as_c_str()))?;
    Ok(())
}

/// Unmounts it.
pub(super) fn unmount_small(at: &Path) {
    let _ = rustix::mount::unmount(at, UnmountFlags::DETACH);
}
