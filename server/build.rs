//! With the feature `embed-site`: lists the files of the finished site, so
//! that `site.rs` takes them into the binary. Without it there is nothing to
//! do, and nothing is watched.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_EMBED_SITE").is_none() {
        return Ok(());
    }
    println!("cargo::rerun-if-env-changed=REHEARSAL_EMBED_SITE");
    let site: PathBuf = std::env::var_os("REHEARSAL_EMBED_SITE")
        .ok_or(
            "REHEARSAL_EMBED_SITE must name the finished site: use `cargo xtask build --release`",
        )?
        .into();
    println!("cargo::rerun-if-changed={}", site.join("site.json").display());

    let mut list = String::from("&[\n");
    for (name, path) in files(&site)? {
        writeln!(list, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    list.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("embedded_site.rs"), list)?;
    Ok(())
}

/// Every file below the site, by its name there.
fn files(site: &Path) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    let mut found = Vec::new();
    let mut folders = vec![site.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(site)?.to_string_lossy().replace('\\', "/");
                found.push((name, path));
            }
        }
    }
    found.sort();
    Ok(found)
}
