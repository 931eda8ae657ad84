//! Reports that mounting is unsupported on this platform.

use super::crash_disk::DiskState;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub(super) struct Mounted;

pub(super) fn mount(_: &Arc<Mutex<DiskState>>, _: &Path) -> io::Result<Mounted> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Mounted {
    pub(super) fn unmount(self) {}
}

pub(super) fn mount_small(_: &Path, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn unmount_small(_: &Path) {}
