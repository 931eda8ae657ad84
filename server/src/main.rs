//! Rehearsal.
fn main() {}
