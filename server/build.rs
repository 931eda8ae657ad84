//! Migrations are compiled in: a new file must build the crate anew.
fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
