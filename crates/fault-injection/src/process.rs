//! Signals to a process that was started here, by its id.

use rustix::process::{Pid, Signal, kill_process};
use std::process::Child;

/// What a process can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// SIGKILL: ends at once, with no chance to tidy up.
    Die,
    /// SIGTERM: asks it to end.
    Stop,
    /// SIGSTOP: it does not run any more, and does not know.
    Pause,
    /// SIGCONT: it runs on from where it stood.
    Resume,
}

/// Tells a child. A child that has been waited for is told nothing: its id may
/// be somebody else's by now.
///
/// # Panics
/// When the child has ended.
pub fn tell(child: &mut Child, what: Tell) {
    let ended = child.try_wait().expect("a child that can be asked");
    assert!(ended.is_none(), "the process has ended by itself: {ended:?}");
    let pid = Pid::from_child(child);
    let signal = match what {
        Tell::Die => Signal::KILL,
        Tell::Stop => Signal::TERM,
        Tell::Pause => Signal::STOP,
        Tell::Resume => Signal::CONT,
    };
    kill_process(pid, signal).expect("a signal to a process of ours");
}
