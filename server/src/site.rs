//! The site: the files that `cargo xtask build` made for the browser, and the
//! name they carry.
//!
//! It is looked for in this order: the folder that `REHEARSAL_SITE_DIR` names;
//! inside the binary (feature `embed-site`, as in a release), from where it is
//! unpacked once; the folder `site` of the target folder that the binary
//! stands in, so that a plain `cargo run` finds it too.

use leptos::config::LeptosOptions;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A name below the site's folder, and the contents.
type File = (&'static str, &'static [u8]);

/// The files inside this binary: `cargo xtask build --release` writes the list
/// and names it here.
#[cfg(feature = "embed-site")]
const EMBEDDED: &[File] = include!(env!("REHEARSAL_EMBED_SITE"));
#[cfg(not(feature = "embed-site"))]
const EMBEDDED: &[File] = &[];

/// A site that is there and whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Holds `pkg/` and what is served from `/` itself (`favicon.svg`), each
    /// file with `.br` and `.gz` beside it.
    pub folder: PathBuf,
    /// `rehearsal.<hash>`: what the names of script, WASM and stylesheet begin
    /// with. The hash is of their contents, so `pkg/` may be cached for ever.
    pub output_name: String,
}

/// Why there is no site.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// It was never built, or something else stands there.
    #[error("there is no site in {}: build it with `cargo xtask build`", .0.display())]
    Absent(PathBuf),
    /// The one inside the binary could not be unpacked.
    #[error("cannot unpack the site into {}: {source}", folder.display())]
    Unpack {
        /// Where to.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Site {
    /// Finds the site. `named` is `REHEARSAL_SITE_DIR`; `unpack_into` is a
    /// folder of our own (below the data folder), used by a release only.
    ///
    /// # Errors
    /// [`SiteError`], with a sentence that says what to do.
    pub fn find(named: Option<&Path>, unpack_into: &Path) -> Result<Self, SiteError> {
        if let Some(folder) = named {
            return Self::read(folder);
        }
        if !EMBEDDED.is_empty() {
            return Self::unpack(EMBEDDED, unpack_into);
        }
        let beside = std::env::current_exe().ok().and_then(|binary| {
            // <target>/debug/rehearsal and <target>/site
            Some(binary.parent()?.parent()?.join("site"))
        });
        Self::read(&beside.unwrap_or_else(|| PathBuf::from("site")))
    }

    /// The names of the files, for `HydrationScripts` and `HashedStylesheet`.
    #[must_use]
    pub fn leptos_options(&self, address: SocketAddr) -> LeptosOptions {
        LeptosOptions::builder()
            .output_name(self.output_name.as_str())
            .site_root(self.folder.to_string_lossy().as_ref())
            .site_pkg_dir("pkg")
            .site_addr(address)
            .build()
    }

    /// The site in a folder.
    fn read(folder: &Path) -> Result<Self, SiteError> {
        fs::read_to_string(folder.join("site.json"))
            .ok()
            .and_then(|text| output_name(text.as_bytes()))
            .map(|output_name| Self { folder: folder.to_path_buf(), output_name })
            .ok_or_else(|| SiteError::Absent(folder.to_path_buf()))
    }

    /// Writes these files below `into`, unless they are there: written beside
    /// and then renamed, so that a folder of this name is always whole.
    fn unpack(files: &[File], into: &Path) -> Result<Self, SiteError> {
        let output_name = files
            .iter()
            .find(|(name, _)| *name == "site.json")
            .and_then(|(_, bytes)| output_name(bytes))
            .ok_or_else(|| SiteError::Absent(into.to_path_buf()))?;
        let folder = into.join(&output_name);
        if Self::read(&folder).is_err() {
            write(files, &folder)
                .map_err(|source| SiteError::Unpack { folder: folder.clone(), source })?;
        }
        Ok(Self { folder, output_name })
    }
}

/// What `site.json` calls the files.
fn output_name(json: &[u8]) -> Option<String> {
    let record: serde_json::Value = serde_json::from_slice(json).ok()?;
    record.get("output_name")?.as_str().map(str::to_owned)
}

/// Writes all files, then gives their folder its name.
fn write(files: &[File], folder: &Path) -> io::Result<()> {
    let unfinished = folder.with_added_extension(format!("{}.new", std::process::id()));
    for (name, bytes) in files {
        let path = unfinished.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
    }
    match fs::rename(&unfinished, folder) {
        // Another process of the same release was quicker.
        Err(_) if folder.join("site.json").is_file() => fs::remove_dir_all(&unfinished),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[File] = &[
        ("pkg/rehearsal.0f3a_bg.wasm", b"wasm"),
        ("site.json", br#"{"output_name": "rehearsal.0f3a"}"#),
    ];

    #[test]
    fn a_release_unpacks_itself_once() {
        let data = tempfile::tempdir().unwrap();
        let site = Site::unpack(FILES, data.path()).unwrap();
        assert_eq!(site.output_name, "rehearsal.0f3a");
        let wasm = site.folder.join("pkg/rehearsal.0f3a_bg.wasm");
        assert_eq!(fs::read(&wasm).unwrap(), b"wasm");

        fs::write(&wasm, "kept").unwrap();
        assert_eq!(Site::unpack(FILES, data.path()).unwrap(), site);
        assert_eq!(fs::read(&wasm).unwrap(), b"kept", "a whole site is not written again");
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn of_two_that_unpack_at_once_both_have_a_whole_site() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("rehearsal.0f3a");
        write(FILES, &folder).unwrap();
        write(FILES, &folder).unwrap();
        assert!(Site::read(&folder).is_ok());
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_named_folder_must_hold_a_site() {
        let folder = tempfile::tempdir().unwrap();
        let error = Site::find(Some(folder.path()), folder.path()).unwrap_err().to_string();
        assert!(error.contains("cargo xtask build"), "{error}");

        fs::write(folder.path().join("site.json"), FILES[1].1).unwrap();
        let site = Site::find(Some(folder.path()), Path::new("unused")).unwrap();
        assert_eq!(site.folder, folder.path());
        let options = site.leptos_options(([127, 0, 0, 1], 3000).into());
        assert_eq!(&*options.output_name, "rehearsal.0f3a");
        assert!(!options.hash_files, "the name carries the hash already");
    }
}
