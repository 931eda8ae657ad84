//! The state of a crash disk: every file and name twice, as processes see it
//! and as a power cut would leave it.
//!
//! Syncing a file makes its content and its current names durable, as common
//! file systems do. Syncing a folder makes all of its names durable.

use super::PowerCut;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

/// The inode of the root folder.
pub(super) const ROOT: u64 = 1;
/// The atomic unit of a disk write, in bytes.
const SECTOR: usize = 512;

/// Maps a folder and a name to an inode.
type Names = HashMap<(u64, OsString), u64>;

#[derive(Default)]
pub(super) struct DiskState {
    ignores_sync: bool,
    pub(super) is_off: bool,
    nodes: HashMap<u64, Node>,
    names: Names,
    durable_names: Names,
    last_id: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) is_folder: bool,
    pub(super) mode: u16,
    pub(super) bytes: Vec<u8>,
    durable: Vec<u8>,
    /// The writes since the last sync.
    pending: Vec<Write>,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Write {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Length(length) => to.resize(*length, 0),
            Self::Bytes { offset, bytes } => {
                if to.len() < offset + bytes.len() {
                    to.resize(offset + bytes.len(), 0);
                }
                to[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

impl Node {
    pub(super) fn folder() -> Self {
        Self { is_folder: true, mode: 0o755, ..Self::default() }
    }

    fn write(&mut self, write: Write) {
        write.apply(&mut self.bytes);
        self.pending.push(write);
    }

    fn sync(&mut self) {
        for write in self.pending.drain(..) {
            write.apply(&mut self.durable);
        }
    }
}

impl DiskState {
    pub(super) fn ignoring_sync() -> Self {
        Self { ignores_sync: true, ..Self::default() }
    }

    pub(super) fn node(&self, id: u64) -> Option<&Node> {
        self.nodes.get(&id)
    }

    pub(super) fn node_mut(&mut self, id: u64) -> Option<&mut Node> {
        self.nodes.get_mut(&id)
    }

    pub(super) fn find(&self, folder: u64, name: &OsStr) -> Option<u64> {
        self.names.get(&(folder, name.to_owned())).copied()
    }

    pub(super) fn list(&self, folder: u64) -> Vec<(OsString, u64)> {
        let mut names: Vec<_> = self
            .names
            .iter()
            .filter(|((parent, _), _)| *parent == folder)
            .map(|((_, name), id)| (name.clone(), *id))
            .collect();
        names.sort();
        names
    }

    pub(super) fn create(&mut self, folder: u64, name: &OsStr, is_folder: bool, mode: u16) -> u64 {
        self.last_id = self.last_id.max(ROOT) + 1;
        self.nodes.insert(self.last_id, Node { is_folder, mode, ..Node::default() });
        self.names.insert((folder, name.to_owned()), self.last_id);
        self.last_id
    }

    /// Adds a name of an existing file.
    pub(super) fn link(&mut self, id: u64, folder: u64, name: &OsStr) {
        self.names.insert((folder, name.to_owned()), id);
    }

    /// Returns `None` if there is no such name.
    pub(super) fn remove(&mut self, folder: u64, name: &OsStr) -> Option<()> {
        self.names.remove(&(folder, name.to_owned())).map(|_| ())
    }

    /// Returns `None` if there is no such name.
    pub(super) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Option<()> {
        let id = self.names.remove(&(from.0, from.1.to_owned()))?;
        self.link(id, to.0, to.1);
        Some(())
    }

    /// Returns `None` if there is no such file.
    pub(super) fn write(&mut self, id: u64, offset: usize, bytes: &[u8]) -> Option<()> {
        self.node_mut(id)?.write(Write::Bytes { offset, bytes: bytes.to_vec() });
        Some(())
    }

    pub(super) fn set_length(&mut self, id: u64, length: usize) {
        if let Some(node) = self.nodes.get_mut(&id).filter(|node| node.bytes.len() != length) {
            node.write(Write::Length(length));
        }
    }

    pub(super) fn sync(&mut self, id: u64) {
        if self.ignores_sync {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.sync();
        }
        let own = self.names.iter().filter(|(_, named)| **named == id);
        self.durable_names.extend(own.map(|(name, id)| (name.clone(), *id)));
    }

    pub(super) fn sync_folder(&mut self, folder: u64) {
        if self.ignores_sync {
            return;
        }
        self.durable_names.retain(|(parent, _), _| *parent != folder);
        let now = self.names.iter().filter(|((parent, _), _)| *parent == folder);
        self.durable_names.extend(now.map(|(name, id)| (name.clone(), *id)));
    }

    /// A disk reorders writes, so any subset of the unsynced writes may have
    /// reached it, down to a sector.
    pub(super) fn cut_power(&mut self, rng: &mut SmallRng) -> PowerCut {
        self.is_off = true;
        let mut cut = PowerCut::default();
        // The worst case: no unsynced write arrives.
        let arrives = if self.ignores_sync { 0.0 } else { rng.random_range(0.0..1.0) };
        let mut ids: Vec<_> = self.nodes.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            for write in std::mem::take(&mut node.pending) {
                cut.unsynced += 1;
                match torn(write, arrives, rng) {
                    Some(write) => write.apply(&mut node.durable),
                    None => cut.lost += 1,
                }
            }
        }
        cut
    }

    pub(super) fn restore_power(&mut self) {
        self.is_off = false;
        self.names = self.durable_names.clone();
        for node in self.nodes.values_mut() {
            node.pending.clear();
            node.bytes = node.durable.clone();
        }
        let named: std::collections::HashSet<u64> = self.names.values().copied().collect();
        self.nodes.retain(|id, _| named.contains(id));
    }
}

/// The part of a write that reached the disk.
fn torn(write: Write, arrives: f64, rng: &mut impl Rng) -> Option<Write> {
    if !rng.random_bool(arrives) {
        return None;
    }
    match write {
        Write::Bytes { offset, mut bytes } if bytes.len() > SECTOR && rng.random_bool(0.3) => {
            let sectors = rng.random_range(1..=bytes.len() / SECTOR);
            bytes.truncate(sectors * SECTOR);
            Some(Write::Bytes { offset, bytes })
        }
        whole => Some(whole),
    }
}
