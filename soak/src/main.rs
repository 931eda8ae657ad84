//! The soaks as a program.

fn main() {}
