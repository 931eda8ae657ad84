//! Rebuilds the crate when a migration is added: `sqlx::migrate!` watches only the
//! files that it knows.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/sqlite");
}
