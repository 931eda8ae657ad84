//! Disks that fail: one that forgets what was not synced ([`Forgetful`]), and
//! one that is small ([`Small`]). Both are mounted, and so need the rights to.

#[cfg(target_os = "linux")]
mod fuse;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(not(target_os = "linux"))]
#[path = "no_mounts.rs"]
mod mounts;
mod platter;

use mounts::Mounted;
use parking_lot::Mutex;
use platter::Platter;
use rand::rngs::SmallRng;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A disk in memory that keeps what was written and not synced only until the
/// power fails.
pub struct Forgetful {
    platter: Arc<Mutex<Platter>>,
    mounted: Option<Mounted>,
    folder: TempDir,
}

/// What became of a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Writes that had not been synced.
    pub unsynced: usize,
    /// Of these, those that are lost; the others reached the disk in time.
    pub lost: usize,
}

impl Forgetful {
    /// Mounts an empty disk.
    ///
    /// # Errors
    /// When this machine does not let us: no `/dev/fuse`, or no rights.
    pub fn mount() -> io::Result<Self> {
        Self::mounted(Platter::default())
    }

    /// Mounts an empty disk that says yes to every sync and does nothing. It
    /// shows that a test would notice.
    ///
    /// # Errors
    /// As [`mount`](Self::mount).
    pub fn mount_lying() -> io::Result<Self> {
        Self::mounted(Platter::lying())
    }

    fn mounted(platter: Platter) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut disk = Self { platter: Arc::new(Mutex::new(platter)), mounted: None, folder };
        disk.attach()?;
        Ok(disk)
    }

    fn attach(&mut self) -> io::Result<()> {
        self.mounted = Some(mounts::mount(&self.platter, self.folder.path())?);
        Ok(())
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The power fails: from now on nothing is written, and of what was not
    /// synced any part may be lost; `rng` says which. Whoever uses the disk has
    /// to be ended now, as it would have been; then [`restore`](Self::restore).
    pub fn cut(&self, rng: &mut SmallRng) -> Cut {
        self.platter.lock().cut(rng)
    }

    /// The power is back: the disk as it was left, with nothing in any cache.
    ///
    /// # Errors
    /// When it cannot be mounted again.
    pub fn restore(&mut self) -> io::Result<()> {
        if let Some(mounted) = self.mounted.take() {
            mounted.end();
        }
        self.platter.lock().restore();
        self.attach()
    }
}

/// A disk in memory of a few megabytes.
pub struct Small {
    folder: TempDir,
}

impl Small {
    /// Mounts an empty one.
    ///
    /// # Errors
    /// When this machine does not let us.
    pub fn mount(megabytes: u32) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        mounts::mount_small(folder.path(), megabytes)?;
        Ok(Self { folder })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills it to the last byte; dropping the answer gives the room back.
    ///
    /// # Errors
    /// When it cannot be filled for another reason than being full.
    pub fn fill(&self) -> io::Result<Filler> {
        let path = self.folder.path().join("filler");
        let mut file = std::fs::File::create(&path)?;
        for piece in [1 << 20, 1 << 12, 1] {
            let zeros = vec![0; piece];
            loop {
                match io::Write::write(&mut file, &zeros) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Filler(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        mounts::unmount_small(self.folder.path());
    }
}

/// A file that takes all the room there was.
pub struct Filler(PathBuf);

impl Drop for Filler {
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

    /// `None`, and a word, where nothing can be mounted.
    fn disk(made: io::Result<Forgetful>) -> Option<Forgetful> {
        made.inspect_err(|error| eprintln!("no disk can be mounted here: {error}")).ok()
    }

    #[test]
    fn what_was_not_synced_may_be_lost_and_what_was_is_not() {
        let Some(mut disk) = disk(Forgetful::mount()) else { return };
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
            assert_eq!(fs::read(&path).unwrap().len(), 5000, "until then all is there");
            let cut = disk.cut(&mut rng);
            assert!(fs::write(&path, "more").is_err(), "no power, no writes");
            disk.restore().unwrap();
            let left = fs::read(&path).unwrap();
            assert_eq!(left.get(..2000), Some(&[round; 2000][..]), "round {round}");
            assert!(!disk.path().join("new").exists(), "its folder was not synced");
            lost += usize::from(left != [&[round; 2000][..], &[255; 3000]].concat());
            assert!(cut.unsynced >= cut.lost);
        }
        assert!(lost > 3, "{lost} of 20 rounds lost something");
    }

    #[test]
    fn a_lying_disk_loses_what_was_synced() {
        let Some(mut disk) = disk(Forgetful::mount_lying()) else { return };
        let path = disk.path().join("file");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"kept?").unwrap();
        file.sync_all().unwrap();
        File::open(disk.path()).unwrap().sync_all().unwrap();
        drop(file);
        disk.cut(&mut SmallRng::seed_from_u64(1));
        disk.restore().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_rename_counts_once_its_folder_was_synced() {
        let Some(mut disk) = disk(Forgetful::mount()) else { return };
        let mut rng = SmallRng::seed_from_u64(1);
        let (old, new) = (disk.path().join("old"), disk.path().join("new"));
        let folder = || File::open(old.parent().unwrap()).unwrap().sync_all().unwrap();
        let mut file = File::create(&old).unwrap();
        file.write_all(b"words").unwrap();
        file.sync_all().unwrap();
        drop(file);
        folder();
        fs::rename(&old, &new).unwrap();
        disk.cut(&mut rng);
        disk.restore().unwrap();
        assert!(old.exists() && !new.exists());
        fs::rename(&old, &new).unwrap();
        folder();
        disk.cut(&mut rng);
        disk.restore().unwrap();
        assert!(!old.exists());
        assert_eq!(fs::read(&new).unwrap(), b"words");
    }

    #[test]
    fn a_small_disk_gets_full_and_has_room_again() {
        let Ok(disk) = Small::mount(1) else {
            eprintln!("no disk can be mounted here");
            return;
        };
        let path = disk.path().join("file");
        let filler = disk.fill().unwrap();
        let error = fs::write(&path, "words").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        drop(filler);
        fs::write(&path, "words").unwrap();
    }
}
