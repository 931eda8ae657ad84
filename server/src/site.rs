//! Locates the static files that `cargo xtask build` creates for the browser.
//!
//! The server uses the directory `REHEARSAL_SITE_DIR`, else the files embedded in the
//! binary (feature `embed-site`, used by releases), which it unpacks once, else the
//! directory `site` in the target directory of the binary.

use app::pages::lazy_routes::ChunkFiles;
use leptos::config::LeptosOptions;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Relative path and content.
type File = (&'static str, &'static [u8]);

/// Files embedded by `cargo xtask build --release`.
#[cfg(feature = "embed-site")]
const EMBEDDED: &[File] = include!(env!("REHEARSAL_EMBED_SITE"));
#[cfg(not(feature = "embed-site"))]
const EMBEDDED: &[File] = &[];

/// A complete site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Contains `pkg/` and the files of `/` (`favicon.svg`), each also compressed as `.br`
    /// and `.gz`.
    pub dir: PathBuf,
    /// Prefix of the names of script, WASM and stylesheet: `rehearsal.<content hash>`.
    /// The hash makes the files of `pkg/` immutable.
    pub output_name: String,
    /// The files of each lazy chunk. Empty if the WebAssembly is not split.
    pub chunks: ChunkFiles,
}

/// What the server reads of `site.json`.
#[derive(serde::Deserialize)]
struct Record {
    output_name: String,
    #[serde(default)]
    chunks: BTreeMap<String, Vec<String>>,
}

impl Record {
    fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    fn site(self, dir: PathBuf) -> Site {
        let Self { output_name, chunks } = self;
        Site { dir, output_name, chunks: ChunkFiles(Arc::new(chunks)) }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    #[error("no site in {}: build it with `cargo xtask build`", .0.display())]
    Absent(PathBuf),
    #[error("cannot unpack the site into {}: {source}", dir.display())]
    Unpack { dir: PathBuf, source: io::Error },
}

impl Site {
    /// Finds the site. `configured` is `REHEARSAL_SITE_DIR`. A release unpacks its files into
    /// `unpack_into`.
    ///
    /// # Errors
    /// [`SiteError`]
    pub fn find(configured: Option<&Path>, unpack_into: &Path) -> Result<Self, SiteError> {
        if let Some(dir) = configured {
            return Self::read(dir);
        }
        if !EMBEDDED.is_empty() {
            return Self::unpack(EMBEDDED, unpack_into);
        }
        let target = std::env::current_exe().ok().and_then(|binary| {
            // <target>/debug/rehearsal and <target>/site
            Some(binary.parent()?.parent()?.join("site"))
        });
        Self::read(&target.unwrap_or_else(|| PathBuf::from("site")))
    }

    /// Options for `HydrationScripts` and `HashedStylesheet`.
    #[must_use]
    pub fn leptos_options(&self, address: SocketAddr) -> LeptosOptions {
        LeptosOptions::builder()
            .output_name(self.output_name.as_str())
            .site_root(self.dir.to_string_lossy().as_ref())
            .site_pkg_dir("pkg")
            .site_addr(address)
            .build()
    }

    fn read(dir: &Path) -> Result<Self, SiteError> {
        fs::read_to_string(dir.join("site.json"))
            .ok()
            .and_then(|text| Record::parse(text.as_bytes()))
            .map(|record| record.site(dir.to_path_buf()))
            .ok_or_else(|| SiteError::Absent(dir.to_path_buf()))
    }

    /// Writes the files to a directory in `into`, unless it exists. The directory gets its
    /// name after all files are written, so that it is always complete.
    fn unpack(files: &[File], into: &Path) -> Result<Self, SiteError> {
        let record = files
            .iter()
            .find(|(name, _)| *name == "site.json")
            .and_then(|(_, bytes)| Record::parse(bytes))
            .ok_or_else(|| SiteError::Absent(into.to_path_buf()))?;
        let dir = into.join(&record.output_name);
        if Self::read(&dir).is_err() {
            write(files, &dir).map_err(|source| SiteError::Unpack { dir: dir.clone(), source })?;
        }
        Ok(record.site(dir))
    }
}

fn write(files: &[File], dir: &Path) -> io::Result<()> {
    let unfinished = dir.with_added_extension(format!("{}.new", std::process::id()));
    for (name, bytes) in files {
        let path = unfinished.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
    }
    match fs::rename(&unfinished, dir) {
        // Another process created the directory first.
        Err(_) if dir.join("site.json").is_file() => fs::remove_dir_all(&unfinished),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::pages::lazy_routes::LazyChunk;

    const FILES: &[File] = &[
        ("pkg/rehearsal.0f3a_bg.wasm", b"wasm"),
        (
            "site.json",
            br#"{"output_name": "rehearsal.0f3a", "chunks": {"agents": ["_agents.wasm"]}}"#,
        ),
    ];

    #[test]
    fn release_unpacks_its_site_once() {
        let data = tempfile::tempdir().unwrap();
        let site = Site::unpack(FILES, data.path()).unwrap();
        assert_eq!(site.output_name, "rehearsal.0f3a");
        assert_eq!(site.chunks.of(LazyChunk::Agents), ["_agents.wasm"]);
        assert!(site.chunks.of(LazyChunk::Setup).is_empty());
        let wasm = site.dir.join("pkg/rehearsal.0f3a_bg.wasm");
        assert_eq!(fs::read(&wasm).unwrap(), b"wasm");

        fs::write(&wasm, "kept").unwrap();
        assert_eq!(Site::unpack(FILES, data.path()).unwrap(), site);
        assert_eq!(fs::read(&wasm).unwrap(), b"kept", "a complete site is not written again");
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1, "no temporary directory remains");
    }

    #[test]
    fn concurrent_unpacking_leaves_one_complete_site() {
        let data = tempfile::tempdir().unwrap();
        let dir = data.path().join("rehearsal.0f3a");
        write(FILES, &dir).unwrap();
        write(FILES, &dir).unwrap();
        assert!(Site::read(&dir).is_ok());
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1);
    }

    #[test]
    fn configured_directory_must_contain_a_site() {
        let dir = tempfile::tempdir().unwrap();
        let error = Site::find(Some(dir.path()), dir.path()).unwrap_err().to_string();
        assert!(error.contains("cargo xtask build"), "{error}");

        fs::write(dir.path().join("site.json"), FILES[1].1).unwrap();
        let site = Site::find(Some(dir.path()), Path::new("unused")).unwrap();
        assert_eq!(site.dir, dir.path());
        let options = site.leptos_options(([127, 0, 0, 1], 3000).into());
        assert_eq!(&*options.output_name, "rehearsal.0f3a");
        assert!(!options.hash_files, "the name already contains the hash");
    }
}
