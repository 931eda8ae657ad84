//! Mounts disks on Linux.

use super::crash_disk::DiskState;
use super::fuse::FuseDisk;
use fuser::{BackgroundSession, MountOption};
use parking_lot::Mutex;
use rustix::mount::{MountFlags, UnmountFlags};
use std::io;
use std::path::Path;
use std::sync::Arc;

pub(super) struct Mounted(BackgroundSession);

pub(super) fn mount(state: &Arc<Mutex<DiskState>>, at: &Path) -> io::Result<Mounted> {
    let options = [MountOption::FSName("crash-disk".into()), MountOption::DefaultPermissions];
    fuser::spawn_mount2(FuseDisk::new(Arc::clone(state)), at, &options).map(Mounted)
}

impl Mounted {
    /// Unmounts the disk, which empties the kernel's caches.
    pub(super) fn unmount(self) {
        // The other fields of the session are dropped first, which unmounts.
        let guard = {
            let session = self.0;
            session.guard
        };
        // The kernel may report an aborted connection instead of the unmount.
        let _ = guard.join();
    }
}

/// Mounts an empty tmpfs.
pub(super) fn mount_small(at: &Path, megabytes: u32) -> io::Result<()> {
    let size = std::ffi::CString::new(format!("size={megabytes}m"))?;
    rustix::mount::mount("small", at, "tmpfs", MountFlags::empty(), Some(size.as_c_str()))?;
    Ok(())
}

pub(super) fn unmount_small(at: &Path) {
    let _ = rustix::mount::unmount(at, UnmountFlags::DETACH);
}
