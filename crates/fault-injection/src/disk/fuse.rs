//! Serves a crash disk to the kernel.

use super::crash_disk::{DiskState, Node, ROOT};
use fuser::{
    FileAttr, FileType, Filesystem, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
};
use parking_lot::{Mutex, MutexGuard};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the kernel may cache attributes. Only the kernel changes them.
const CACHE_TTL: Duration = Duration::from_secs(60);

pub(super) struct FuseDisk {
    state: Arc<Mutex<DiskState>>,
}

impl FuseDisk {
    pub(super) fn new(state: Arc<Mutex<DiskState>>) -> Self {
        Self { state }
    }

    /// Fails while the power is off.
    fn powered(&self) -> Result<MutexGuard<'_, DiskState>, i32> {
        let state = self.state.lock();
        if state.is_off { Err(Errno::IO.raw_os_error()) } else { Ok(state) }
    }

    fn attributes(&self, id: u64) -> Result<FileAttr, i32> {
        let state = self.powered()?;
        let root = Node::folder();
        let node = if id == ROOT { Some(&root) } else { state.node(id) };
        node.map(|node| file_attr(id, node)).ok_or(not_found())
    }
}

fn not_found() -> i32 {
    Errno::NOENT.raw_os_error()
}

fn file_attr(id: u64, node: &Node) -> FileAttr {
    let size = node.bytes.len() as u64;
    FileAttr {
        ino: id,
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if node.is_folder { FileType::Directory } else { FileType::RegularFile },
        perm: node.mode & 0o777,
        nlink: 1,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn to_usize(offset: i64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn permissions(mode: u32, umask: u32) -> u16 {
    u16::try_from(mode & !umask & 0o777).unwrap_or(0o600)
}

fn send_empty(reply: ReplyEmpty, result: Result<bool, i32>) {
    match result {
        Ok(true) => reply.ok(),
        Ok(false) => reply.error(not_found()),
        Err(error) => reply.error(error),
    }
}

fn send_entry(reply: ReplyEntry, result: Result<FileAttr, i32>) {
    match result {
        Ok(attributes) => reply.entry(&CACHE_TTL, &attributes, 0),
        Err(error) => reply.error(error),
    }
}

#[allow(clippy::too_many_arguments)] // the signatures of fuser
impl Filesystem for FuseDisk {
    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let id = self.powered().and_then(|state| state.find(parent, name).ok_or(not_found()));
        send_entry(reply, id.and_then(|id| self.attributes(id)));
    }

    fn getattr(&mut self, _: &Request<'_>, id: u64, _: Option<u64>, reply: ReplyAttr) {
        match self.attributes(id) {
            Ok(attributes) => reply.attr(&CACHE_TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &mut self,
        _: &Request<'_>,
        id: u64,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<u64>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<u32>,
        reply: ReplyAttr,
    ) {
        let changed = self.powered().map(|mut state| {
            if let Some(size) = size.and_then(|size| usize::try_from(size).ok()) {
                state.set_length(id, size);
            }
            if let (Some(mode), Some(node)) = (mode, state.node_mut(id)) {
                node.mode = permissions(mode, 0);
            }
        });
        match changed.and_then(|()| self.attributes(id)) {
            Ok(attributes) => reply.attr(&CACHE_TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let made =
            self.powered().map(|mut p| p.create(parent, name, true, permissions(mode, umask)));
        send_entry(reply, made.and_then(|id| self.attributes(id)));
    }

    fn create(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let made =
            self.powered().map(|mut p| p.create(parent, name, false, permissions(mode, umask)));
        match made.and_then(|id| self.attributes(id)) {
            Ok(attributes) => reply.created(&CACHE_TTL, &attributes, 0, 0, 0),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.powered().map(|mut state| state.remove(parent, name));
        send_empty(reply, removed);
    }

    fn rmdir(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.powered().map(|mut state| state.remove(parent, name));
        send_empty(reply, removed);
    }

    fn rename(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        new_parent: u64,
        new_name: &OsStr,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let renamed = self.powered().map(|mut p| p.rename((parent, name), (new_parent, new_name)));
        send_empty(reply, renamed);
    }

    fn link(&mut self, _: &Request<'_>, id: u64, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let linked = self.powered().and_then(|mut state| match state.find(parent, name) {
            Some(_) => Err(Errno::EXIST.raw_os_error()),
            None => {
                state.link(id, parent, name);
                Ok(())
            }
        });
        send_entry(reply, linked.and_then(|()| self.attributes(id)));
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        id: u64,
        _: u64,
        offset: i64,
        size: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyData,
    ) {
        match self.powered() {
            Err(error) => reply.error(error),
            Ok(state) => match state.node(id) {
                None => reply.error(not_found()),
                Some(node) => {
                    let from = to_usize(offset).min(node.bytes.len());
                    let to = from.saturating_add(size as usize).min(node.bytes.len());
                    reply.data(&node.bytes[from..to]);
                }
            },
        }
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        id: u64,
        _: u64,
        offset: i64,
        data: &[u8],
        _: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyWrite,
    ) {
        match self.powered().map(|mut state| state.write(id, to_usize(offset), data)) {
            Ok(true) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Ok(false) => reply.error(not_found()),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&mut self, _: &Request<'_>, _: u64, _: u64, _: u64, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&mut self, _: &Request<'_>, id: u64, _: u64, _: bool, reply: ReplyEmpty) {
        send_empty(reply, self.powered().map(|mut state| state.sync(id)).map(|()| true));
    }

    fn fsyncdir(&mut self, _: &Request<'_>, id: u64, _: u64, _: bool, reply: ReplyEmpty) {
        send_empty(reply, self.powered().map(|mut state| state.sync_folder(id)).map(|()| true));
    }

    fn readdir(
        &mut self,
        _: &Request<'_>,
        id: u64,
        _: u64,
        offset: i64,
        mut reply: ReplyDirectory,
    ) {
        let Ok(state) = self.powered() else { return reply.error(Errno::IO.raw_os_error()) };
        let own = [(".".into(), id), ("..".into(), ROOT)];
        let all = own.into_iter().chain(state.list(id));
        for ((name, node), next) in all.zip(1_i64..).skip(to_usize(offset)) {
            let folder = node == ROOT || state.node(node).is_some_and(|node| node.is_folder);
            let kind = if folder { FileType::Directory } else { FileType::RegularFile };
            if reply.add(node, next, kind, &name) {
                break;
            }
        }
        reply.ok();
    }

    /// Reports plenty of free space: `SmallDisk` covers full disks.
    fn statfs(&mut self, _: &Request<'_>, _: u64, reply: ReplyStatfs) {
        reply.statfs(1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096);
    }
}
