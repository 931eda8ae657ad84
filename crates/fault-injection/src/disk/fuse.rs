//! A forgetful disk as the kernel sees it.

use super::platter::{Node, Platter, ROOT};
use fuser::{
    FileAttr, FileType, Filesystem, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
};
use parking_lot::{Mutex, MutexGuard};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the kernel may believe what it was told: nobody else changes it.
const BELIEVED: Duration = Duration::from_secs(60);

/// Answers the kernel out of a platter.
pub(super) struct Disk {
    platter: Arc<Mutex<Platter>>,
}

impl Disk {
    pub(super) fn new(platter: Arc<Mutex<Platter>>) -> Self {
        Self { platter }
    }

    /// The platter, while there is power.
    fn alive(&self) -> Result<MutexGuard<'_, Platter>, i32> {
        let platter = self.platter.lock();
        if platter.dead { Err(Errno::IO.raw_os_error()) } else { Ok(platter) }
    }

    fn found(&self, id: u64) -> Result<FileAttr, i32> {
        let platter = self.alive()?;
        let root = Node::folder();
        let node = if id == ROOT { Some(&root) } else { platter.node(id) };
        node.map(|node| look(id, node)).ok_or(missing())
    }
}

fn missing() -> i32 {
    Errno::NOENT.raw_os_error()
}

fn look(id: u64, node: &Node) -> FileAttr {
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

fn place(offset: i64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// The bits of a mode that are kept.
fn bits(mode: u32, umask: u32) -> u16 {
    u16::try_from(mode & !umask & 0o777).unwrap_or(0o600)
}

fn done(reply: ReplyEmpty, result: Result<bool, i32>) {
    match result {
        Ok(true) => reply.ok(),
        Ok(false) => reply.error(missing()),
        Err(error) => reply.error(error),
    }
}

fn shown(reply: ReplyEntry, result: Result<FileAttr, i32>) {
    match result {
        Ok(attributes) => reply.entry(&BELIEVED, &attributes, 0),
        Err(error) => reply.error(error),
    }
}

#[allow(clippy::too_many_arguments)] // the kernel's own
impl Filesystem for Disk {
    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let id = self.alive().and_then(|platter| platter.find(parent, name).ok_or(missing()));
        shown(reply, id.and_then(|id| self.found(id)));
    }

    fn getattr(&mut self, _: &Request<'_>, id: u64, _: Option<u64>, reply: ReplyAttr) {
        match self.found(id) {
            Ok(attributes) => reply.attr(&BELIEVED, &attributes),
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
        let changed = self.alive().map(|mut platter| {
            if let Some(size) = size.and_then(|size| usize::try_from(size).ok()) {
                platter.set_length(id, size);
            }
            if let (Some(mode), Some(node)) = (mode, platter.node_mut(id)) {
                node.mode = bits(mode, 0);
            }
        });
        match changed.and_then(|()| self.found(id)) {
            Ok(attributes) => reply.attr(&BELIEVED, &attributes),
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
        let made = self.alive().map(|mut p| p.make(parent, name, true, bits(mode, umask)));
        shown(reply, made.and_then(|id| self.found(id)));
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
        let made = self.alive().map(|mut p| p.make(parent, name, false, bits(mode, umask)));
        match made.and_then(|id| self.found(id)) {
            Ok(attributes) => reply.created(&BELIEVED, &attributes, 0, 0, 0),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.alive().map(|mut platter| platter.remove(parent, name));
        done(reply, removed);
    }

    fn rmdir(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.alive().map(|mut platter| platter.remove(parent, name));
        done(reply, removed);
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
        let renamed = self.alive().map(|mut p| p.rename((parent, name), (new_parent, new_name)));
        done(reply, renamed);
    }

    fn link(&mut self, _: &Request<'_>, id: u64, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let linked = self.alive().and_then(|mut platter| match platter.find(parent, name) {
            Some(_) => Err(Errno::EXIST.raw_os_error()),
            None => {
                platter.link(id, parent, name);
                Ok(())
            }
        });
        shown(reply, linked.and_then(|()| self.found(id)));
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
        match self.alive() {
            Err(error) => reply.error(error),
            Ok(platter) => match platter.node(id) {
                None => reply.error(missing()),
                Some(node) => {
                    let from = place(offset).min(node.bytes.len());
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
        match self.alive().map(|mut platter| platter.write(id, place(offset), data)) {
            Ok(true) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Ok(false) => reply.error(missing()),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&mut self, _: &Request<'_>, _: u64, _: u64, _: u64, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&mut self, _: &Request<'_>, id: u64, _: u64, _: bool, reply: ReplyEmpty) {
        done(
            reply,
            self.alive().map(|mut platter| {
                platter.sync(id);
                true
            }),
        );
    }

    fn fsyncdir(&mut self, _: &Request<'_>, id: u64, _: u64, _: bool, reply: ReplyEmpty) {
        done(
            reply,
            self.alive().map(|mut platter| {
                platter.sync_folder(id);
                true
            }),
        );
    }

    fn readdir(
        &mut self,
        _: &Request<'_>,
        id: u64,
        _: u64,
        offset: i64,
        mut reply: ReplyDirectory,
    ) {
        let Ok(platter) = self.alive() else { return reply.error(Errno::IO.raw_os_error()) };
        let own = [(".".into(), id), ("..".into(), ROOT)];
        let all = own.into_iter().chain(platter.list(id));
        for ((name, node), next) in all.zip(1_i64..).skip(place(offset)) {
            let folder = node == ROOT || platter.node(node).is_some_and(|node| node.is_folder);
            let kind = if folder { FileType::Directory } else { FileType::RegularFile };
            if reply.add(node, next, kind, &name) {
                break;
            }
        }
        reply.ok();
    }

    /// Room enough: full disks are another one's business.
    fn statfs(&mut self, _: &Request<'_>, _: u64, reply: ReplyStatfs) {
        reply.statfs(1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096);
    }
}
