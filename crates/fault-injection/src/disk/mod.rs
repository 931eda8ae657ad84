//! Disks that fail: [`CrashDisk`] loses unsynced writes, [`SmallDisk`] gets
//! full. Mounting them needs privileges.

mod crash_disk;
#[cfg(target_os = "linux")]
mod fuse;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(not(target_os = "linux"))]
#[path = "no_mounts.rs"]
mod mounts;

use crash_disk::DiskState;
use mounts::Mounted;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A disk in memory that loses unsynced writes when its power fails.
pub struct CrashDisk {
    state: Arc<Mutex<DiskState>>,
    mounted: Option<Mounted>,
    folder: TempDir,
}

/// The effect of a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerCut {
    /// Writes that were not synced.
    pub unsynced: usize,
    /// Unsynced writes that did not reach the disk.
    pub lost: usize,
}

impl CrashDisk {
    /// Mounts an empty disk. Fails without `/dev/fuse` or without privileges.
    pub fn mount() -> io::Result<Self> {
        Self::mount_state(DiskState::default())
    }

    /// Mounts an empty disk that ignores every sync, to show that a soak
    /// detects lost writes.
    pub fn mount_ignoring_sync() -> io::Result<Self> {
        Self::mount_state(DiskState::ignoring_sync())
    }

    fn mount_state(state: DiskState) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let state = Arc::new(Mutex::new(state));
        let mounted = Some(mounts::mount(&state, folder.path())?);
        Ok(Self { state, mounted, folder })
    }

    /// The mount point.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Cuts the power: later writes fail, and `rng` decides which unsynced
    /// writes are lost. Kill the processes that use the disk, then call
    /// [`restore_power`](Self::restore_power).
    pub fn cut_power(&self, rng: &mut SmallRng) -> PowerCut {
        self.state.lock().cut_power(rng)
    }

    /// Mounts the disk again, with empty caches.
    pub fn restore_power(&mut self) -> io::Result<()> {
        if let Some(mounted) = self.mounted.take() {
            mounted.unmount();
        }
        self.state.lock().restore_power();
        self.mounted = Some(mounts::mount(&self.state, self.folder.path())?);
        Ok(())
    }
}

/// A disk in memory of a few megabytes.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts an empty disk. Fails without privileges.
    pub fn mount(megabytes: u32) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        mounts::mount_small(folder.path(), megabytes)?;
        Ok(Self { folder })
    }

    /// The mount point.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills the disk to the last byte. Dropping the returned file frees the space.
    pub fn fill(&self) -> io::Result<FillerFile> {
        let path = self.folder.path().join("filler");
        let mut file = std::fs::File::create(&path)?;
        for size in [1 << 20, 1 << 12, 1] {
            let zeros = vec![0; size];
            loop {
                match io::Write::write(&mut file, &zeros) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(FillerFile(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        mounts::unmount_small(self.folder.path());
    }
}

pub struct FillerFile(PathBuf);

impl Drop for FillerFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::fs::{self, File};
    use std::io::Write;

    /// Returns `None` where mounting is not possible.
    fn available<T>(disk: io::Result<T>) -> Option<T> {
        disk.inspect_err(|error| eprintln!("skipped: cannot mount a disk: {error}")).ok()
    }

    #[test]
    fn power_cut_loses_only_unsynced_writes() {
        let Some(mut disk) = available(CrashDisk::mount()) else { return };
        let mut rng = SmallRng::seed_from_u64(1);
        let path = disk.path().join("file");
        let mut lost = 0;
        for round in 0..20_u8 {
            let mut file = File::create(&path).unwrap();
            file.write_all(&[round; 2000]).unwrap();
            file.sync_all().unwrap();
            File::open(disk.path()).unwrap().sync_all().unwrap();
            file.write_all(&[255; 3000]).unwrap();
            let unsynced = File::create(disk.path().join("new"));
            drop((file, unsynced));
            assert_eq!(fs::read(&path).unwrap().len(), 5000, "complete before the cut");
            let cut = disk.cut_power(&mut rng);
            assert!(fs::write(&path, "more").is_err(), "no writes without power");
            disk.restore_power().unwrap();
            let left = fs::read(&path).unwrap();
            assert_eq!(left.get(..2000), Some(&[round; 2000][..]), "round {round}");
            assert!(!disk.path().join("new").exists(), "its folder was not synced");
            lost += usize::from(left != [&[round; 2000][..], &[255; 3000]].concat());
            assert!(cut.unsynced >= cut.lost);
        }
        assert!(lost > 3, "{lost} of 20 rounds lost a write");
    }

    #[test]
    fn disk_that_ignores_sync_loses_synced_writes() {
        let Some(mut disk) = available(CrashDisk::mount_ignoring_sync()) else { return };
        let path = disk.path().join("file");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"kept?").unwrap();
        file.sync_all().unwrap();
        File::open(disk.path()).unwrap().sync_all().unwrap();
        drop(file);
        disk.cut_power(&mut SmallRng::seed_from_u64(1));
        disk.restore_power().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn rename_is_durable_after_folder_sync() {
        let Some(mut disk) = available(CrashDisk::mount()) else { return };
        let mut rng = SmallRng::seed_from_u64(1);
        let (old, new) = (disk.path().join("old"), disk.path().join("new"));
        let sync_folder = || File::open(old.parent().unwrap()).unwrap().sync_all().unwrap();
        let mut file = File::create(&old).unwrap();
        file.write_all(b"words").unwrap();
        file.sync_all().unwrap();
        drop(file);
        sync_folder();
        fs::rename(&old, &new).unwrap();
        disk.cut_power(&mut rng);
        disk.restore_power().unwrap();
        assert!(old.exists() && !new.exists());
        fs::rename(&old, &new).unwrap();
        sync_folder();
        disk.cut_power(&mut rng);
        disk.restore_power().unwrap();
        assert!(!old.exists());
        assert_eq!(fs::read(&new).unwrap(), b"words");
    }

    #[test]
    fn small_disk_fills_up_and_frees_space() {
        let Some(disk) = available(SmallDisk::mount(1)) else { return };
        let path = disk.path().join("file");
        let filler = disk.fill().unwrap();
        let error = fs::write(&path, "words").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        drop(filler);
        fs::write(&path, "words").unwrap();
    }
}
