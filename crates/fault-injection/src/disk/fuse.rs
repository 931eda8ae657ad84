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

    fn create_node(
        &self,
        parent: u64,
        name: &OsStr,
        is_folder: bool,
        mode: u32,
    ) -> Result<FileAttr, i32> {
        let id = self.powered()?.create(parent, name, is_folder, permissions(mode));
        self.attributes(id)
    }

    fn remove(&self, parent: u64, name: &OsStr) -> Result<(), i32> {
        self.powered()?.remove(parent, name).ok_or(not_found())
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

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o777).unwrap_or(0o600)
}

/// Replies with the value or with the error.
macro_rules! send {
    ($reply:ident, $result:expr, $value:pat => $send:expr) => {
        match $result {
            Ok($value) => $send,
            Err(error) => $reply.error(error),
        }
    };
}

#[allow(clippy::too_many_arguments)] // the signatures of fuser
impl Filesystem for FuseDisk {
    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let id = self.powered().and_then(|state| state.find(parent, name).ok_or(not_found()));
        let found = id.and_then(|id| self.attributes(id));
        send!(reply, found, attributes => reply.entry(&CACHE_TTL, &attributes, 0));
    }

    fn getattr(&mut self, _: &Request<'_>, id: u64, _: Option<u64>, reply: ReplyAttr) {
        send!(reply, self.attributes(id), attributes => reply.attr(&CACHE_TTL, &attributes));
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
                node.mode = permissions(mode);
            }
        });
        let changed = changed.and_then(|()| self.attributes(id));
        send!(reply, changed, attributes => reply.attr(&CACHE_TTL, &attributes));
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
        let created = self.create_node(parent, name, true, mode & !umask);
        send!(reply, created, attributes => reply.entry(&CACHE_TTL, &attributes, 0));
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
        let created = self.create_node(parent, name, false, mode & !umask);
        send!(reply, created, attributes => reply.created(&CACHE_TTL, &attributes, 0, 0, 0));
    }

    fn unlink(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        send!(reply, self.remove(parent, name), () => reply.ok());
    }

    fn rmdir(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        send!(reply, self.remove(parent, name), () => reply.ok());
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
        let renamed = self.powered().and_then(|mut state| {
            state.rename((parent, name), (new_parent, new_name)).ok_or(not_found())
        });
        send!(reply, renamed, () => reply.ok());
    }

    fn link(&mut self, _: &Request<'_>, id: u64, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let linked = self.powered().and_then(|mut state| match state.find(parent, name) {
            Some(_) => Err(Errno::EXIST.raw_os_error()),
            None => {
                state.link(id, parent, name);
                Ok(())
            }
        });
        let linked = linked.and_then(|()| self.attributes(id));
        send!(reply, linked, attributes => reply.entry(&CACHE_TTL, &attributes, 0));
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
        let read = self.powered().and_then(|state| {
            let bytes = &state.node(id).ok_or(not_found())?.bytes;
            let from = to_usize(offset).min(bytes.len());
            Ok(bytes[from..from.saturating_add(size as usize).min(bytes.len())].to_vec())
        });
        send!(reply, read, bytes => reply.data(&bytes));
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
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let written = self
            .powered()
            .and_then(|mut state| state.write(id, to_usize(offset), data).ok_or(not_found()));
        send!(reply, written, () => reply.written(length));
    }

    fn flush(&mut self, _: &Request<'_>, _: u64, _: u64, _: u64, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&mut self, _: &Request<'_>, id: u64, _: u64, _: bool, reply: ReplyEmpty) {
        send!(reply, self.powered().map(|mut state| state.sync(id)), () => reply.ok());
    }

    fn fsyncdir(&mut self, _: &Request<'_>, id: u64, _: u64, _: bool, reply: ReplyEmpty) {
        send!(reply, self.powered().map(|mut state| state.sync_folder(id)), () => reply.ok());
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
