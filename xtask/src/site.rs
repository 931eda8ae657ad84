//! Assembles the static files that the server sends besides pages.
//!
//! ```text
//! site/site.json                          {"output_name": "rehearsal.3f2a…", "chunks": …}
//! site/pkg/rehearsal.3f2a….js
//!          rehearsal.3f2a…_bg.wasm
//!          rehearsal.3f2a…_split.js       loads the next files on demand
//!          rehearsal.3f2a…_agents.wasm    what only the lazy chunk `agents` needs
//!          rehearsal.3f2a…_agents_setup.wasm  what two of them need
//!          rehearsal.3f2a….css
//! site/favicon.svg                        style/public/*, with unchanged names
//! ```
//!
//! An optimized site has `FILE.br` and `FILE.gz` next to every file.
//!
//! A hash over all contents is part of every name in `pkg/`. Caches may keep these
//! files forever, and a page never mixes files of two builds. The server reads
//! `output_name` once when it starts and passes it to `LeptosOptions`, from which
//! `HydrationScripts` and `HashedStylesheet` derive the names. (`hash_files` would
//! read a file for every page.) `chunks` lists the files of each lazy chunk, so that pages
//! can preload them.

use crate::command::say;
use crate::files::{self, files_below};
use crate::site_tools::Source;
use crate::sizes;
use crate::stamp::Fingerprint;
use crate::timings;
use crate::wasm::{self, Bundle, Chunk, LOADER, NAME, Variant};
use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the site.
struct Asset {
    /// The path below the folder of the site, with `/`.
    name: String,
    bytes: Vec<u8>,
}

/// Builds the site if its inputs changed. Returns the number of compiler warnings of
/// the WebAssembly (for `show_warnings`, see [`wasm::ensure`]). Fails if an optimized
/// site is too large.
pub(crate) fn ensure(
    workspace: &Workspace,
    variant: Variant,
    show_warnings: bool,
    tools: &mut Source<'_>,
) -> Result<u64> {
    let bundle = wasm::ensure(workspace, variant, show_warnings, tools)?;
    let (hash, assets) = assets(&workspace.root, &bundle)?;
    let output_name = format!("{NAME}.{hash}");
    let site = workspace.site(variant);
    let record = match finished(&site, &output_name) {
        Some(record) => {
            say("site", "unchanged");
            record
        }
        None => timings::measure("site: write", || {
            let record = json!({
                "output_name": output_name,
                "optimized": bundle.optimized,
                "chunks": files_of_chunks(&bundle.chunks),
            });
            write(&site, record, &assets, |folder| match variant {
                Variant::Development => Ok(()),
                Variant::Optimized => tools.get()?.compress(folder),
            })
        })?,
    };
    if variant == Variant::Optimized {
        sizes::check(&record)?;
    }
    Ok(bundle.warnings)
}

/// Writes a site without scripts, whose pages work as they do without JavaScript. The
/// first `run` serves it while the WebAssembly compiles. Returns its folder.
pub(crate) fn without_scripts(workspace: &Workspace) -> Result<PathBuf> {
    let css = stylesheet(&workspace.root.join("style"))?;
    let mut fingerprint = Fingerprint::default();
    fingerprint.bytes("css", &css);
    let name = format!("{NAME}.{}", short_hash(fingerprint));
    let mut assets = vec![Asset { name: format!("pkg/{name}.css"), bytes: css }];
    assets.append(&mut public_files(&workspace.root)?);
    let site = workspace.target.join("site-without-scripts");
    write(&site, json!({ "output_name": name, "optimized": false }), &assets, |_| Ok(()))?;
    Ok(site)
}

/// The suffixes of the files that each chunk needs.
fn files_of_chunks(chunks: &[Chunk]) -> BTreeMap<&str, Vec<String>> {
    let mut files = BTreeMap::<&str, Vec<String>>::new();
    for chunk in chunks {
        for user in &chunk.users {
            files.entry(user).or_default().push(chunk.served());
        }
    }
    files
}

/// All files with their names in the site, and the hash in the names.
fn assets(root: &Path, bundle: &Bundle) -> Result<(String, Vec<Asset>)> {
    let mut hashed = vec![
        (".js".to_owned(), files::read(&bundle.folder.join(format!("{NAME}.js")))?),
        ("_bg.wasm".to_owned(), files::read(&bundle.folder.join(format!("{NAME}_bg.wasm")))?),
        ("_split.js".to_owned(), files::read(&bundle.folder.join(LOADER))?),
        (".css".to_owned(), stylesheet(&root.join("style"))?),
    ];
    for chunk in &bundle.chunks {
        hashed.push((chunk.served(), files::read(&bundle.folder.join(&chunk.file))?));
    }
    // These keep their names: the folder of a snippet already has a hash in its name,
    // and clients request `/favicon.svg` without a hash.
    let mut others = files_of(&bundle.folder.join("snippets"), &bundle.folder, "pkg/")?;
    others.append(&mut public_files(root)?);

    let mut fingerprint = Fingerprint::default();
    for (ending, bytes) in &hashed {
        fingerprint.bytes(ending, bytes);
    }
    for other in &others {
        fingerprint.bytes(&other.name, &other.bytes);
    }
    fingerprint.bytes("pipeline", include_bytes!("site.rs"));
    let hash = short_hash(fingerprint);

    // The two scripts import each other, and the loader names the chunks.
    let served = |ending: &str| format!("{NAME}.{hash}{ending}");
    rename(&mut hashed[0].1, "from ", LOADER, &served("_split.js"))?;
    let loader = &mut hashed[2].1;
    rename(loader, "from ", &format!("{NAME}.js"), &served(".js"))?;
    for chunk in &bundle.chunks {
        rename(loader, "new URL(", &chunk.file, &served(&chunk.served()))?;
    }

    let asset =
        |(ending, bytes): (String, _)| Asset { name: format!("pkg/{}", served(&ending)), bytes };
    let mut assets: Vec<_> = hashed.into_iter().map(asset).collect();
    assets.append(&mut others);
    Ok((hash, assets))
}

fn short_hash(fingerprint: Fingerprint) -> String {
    let mut hash = fingerprint.finish();
    hash.truncate(16);
    hash
}

/// The files of `style/public`, which are served from `/`.
fn public_files(root: &Path) -> Result<Vec<Asset>> {
    let folder = root.join("style/public");
    files_of(&folder, &folder, "")
}

/// The files of `folder`, with names that are relative to `base`.
fn files_of(folder: &Path, base: &Path, prefix: &str) -> Result<Vec<Asset>> {
    let asset = |path: &PathBuf| {
        let name = path.strip_prefix(base).unwrap_or(path).to_string_lossy();
        Ok(Asset { name: format!("{prefix}{name}"), bytes: files::read(path)? })
    };
    files_below(folder)?.iter().map(asset).collect()
}

/// Replaces a file name in a script where it follows `prefix`. The module name by
/// which WebAssembly imports stays the same.
fn rename(script: &mut Vec<u8>, prefix: &str, old: &str, new: &str) -> Result<()> {
    let text = std::str::from_utf8(script).context("a script is not UTF-8")?;
    let old = format!("{prefix}\"./{old}\"");
    ensure!(text.contains(&old), "a script of the site does not contain {old}");
    *script = text.replace(&old, &format!("{prefix}\"./{new}\"")).into_bytes();
    Ok(())
}

/// Concatenates `style/*.css` in the order of their names.
fn stylesheet(folder: &Path) -> Result<Vec<u8>> {
    let mut css = Vec::new();
    for path in files_below(folder)? {
        if path.parent() == Some(folder) && path.extension().is_some_and(|e| e == "css") {
            css.extend(files::read(&path)?);
            css.push(b'\n');
        }
    }
    Ok(css)
}

/// The contents of `site.json`, if the site has this name.
fn finished(site: &Path, output_name: &str) -> Option<Value> {
    let text = fs::read_to_string(site.join("site.json")).ok()?;
    let record: Value = serde_json::from_str(&text).ok()?;
    (record["output_name"] == output_name).then_some(record)
}

/// Writes a new folder, calls `compress` with it, and then replaces the old one. A
/// failed build leaves the old site unchanged. Adds the sizes of the files to the record.
fn write(
    site: &Path,
    mut record: Value,
    assets: &[Asset],
    compress: impl FnOnce(&Path) -> Result<()>,
) -> Result<Value> {
    let new = site.with_extension("new");
    files::remove_folder(&new)?;
    for asset in assets {
        let path = new.join(&asset.name);
        files::create_folder(path.parent().unwrap_or(&new))?;
        files::write(&path, &asset.bytes)?;
    }
    compress(&new)?;
    record["files"] = assets.iter().map(|asset| sizes_of(&new, &asset.name)).collect();
    files::write(&new.join("site.json"), format!("{record:#}\n"))?;
    files::remove_folder(site)?;
    fs::rename(&new, site).with_context(|| format!("cannot replace {}", site.display()))?;
    say("site", format!("written to {}", site.display()));
    Ok(record)
}

/// The sizes of a file in bytes. Compressed sizes are null if there is no such file.
fn sizes_of(site: &Path, name: &str) -> Value {
    let size = |extension: &str| {
        fs::metadata(site.join(format!("{name}{extension}"))).map(|file| file.len()).ok()
    };
    json!({ "name": name, "raw": size(""), "gzip": size(".gz"), "brotli": size(".br") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(folder: &Path, js: &str) -> Bundle {
        fs::create_dir_all(folder.join("snippets/x-1")).unwrap();
        let js = format!("import * as split from \"./__wasm_split.js\" // {js}");
        fs::write(folder.join("rehearsal.js"), js).unwrap();
        fs::write(folder.join("rehearsal_bg.wasm"), "wasm").unwrap();
        let mut loader = String::from("import { initSync } from \"./rehearsal.js\";\n");
        let chunks = chunks();
        for Chunk { file, .. } in &chunks {
            loader += &format!("new URL(\"./{file}\", here);\n");
            fs::write(folder.join(file), file).unwrap();
        }
        fs::write(folder.join("__wasm_split.js"), loader).unwrap();
        fs::write(folder.join("snippets/x-1/inline0.js"), "snippet").unwrap();
        Bundle { folder: folder.to_path_buf(), chunks, optimized: true, warnings: 0 }
    }

    fn chunks() -> Vec<Chunk> {
        let chunk = |file: &str, users: &[&str]| Chunk {
            file: file.to_owned(),
            users: users.iter().map(|user| (*user).to_owned()).collect(),
        };
        vec![
            chunk("chunk_4.wasm", &["agents", "setup"]),
            chunk("split_agents.wasm", &["agents"]),
            chunk("split_setup.wasm", &["setup"]),
        ]
    }

    #[test]
    fn each_chunk_lists_its_own_file_and_the_shared_ones() {
        let chunks = chunks();
        let files = files_of_chunks(&chunks);
        assert_eq!(files["agents"], ["_agents_setup.wasm", "_agents.wasm"]);
        assert_eq!(files["setup"], ["_agents_setup.wasm", "_setup.wasm"]);
    }

    #[test]
    fn stylesheets_are_concatenated_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["20-parts.css", "10-tokens.css", "notes.md"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let css = String::from_utf8(stylesheet(folder.path()).unwrap()).unwrap();
        assert_eq!(css, "10-tokens.css\n20-parts.css\n");
        assert!(stylesheet(&folder.path().join("absent")).unwrap().is_empty());
    }

    #[test]
    fn changed_file_changes_every_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("style/public")).unwrap();
        fs::write(folder.path().join("style/public/favicon.svg"), "<svg/>").unwrap();
        let (first, assets_of_first) =
            assets(folder.path(), &bundle(folder.path(), "one")).unwrap();
        let (unchanged, _) = assets(folder.path(), &bundle(folder.path(), "one")).unwrap();
        let (second, _) = assets(folder.path(), &bundle(folder.path(), "two")).unwrap();
        assert_eq!(first, unchanged);
        assert_ne!(first, second);
        let names: Vec<_> = assets_of_first.iter().map(|asset| asset.name.as_str()).collect();
        let chunks: Vec<String> = chunks().iter().map(Chunk::served).collect();
        let endings = [".js", "_bg.wasm", "_split.js", ".css"].into_iter();
        let endings = endings.chain(chunks.iter().map(String::as_str));
        let hashed: Vec<_> = endings.map(|end| format!("pkg/rehearsal.{first}{end}")).collect();
        assert_eq!(names[..hashed.len()], hashed);
        assert_eq!(names[hashed.len()..], ["pkg/snippets/x-1/inline0.js", "favicon.svg"]);
        // The scripts use the names in the site.
        let text = |at: usize| String::from_utf8(assets_of_first[at].bytes.clone()).unwrap();
        assert!(text(0).contains(&format!("from \"./rehearsal.{first}_split.js\"")));
        assert!(text(2).contains(&format!("from \"./rehearsal.{first}.js\"")));
        for ending in &chunks {
            assert!(text(2).contains(&format!("URL(\"./rehearsal.{first}{ending}\"")));
        }
    }

    #[test]
    fn script_without_expected_import_is_rejected() {
        let mut script = b"import \"./other.js\"".to_vec();
        assert!(rename(&mut script, "from ", LOADER, "x").is_err());
    }

    #[test]
    fn new_site_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("site");
        for name in ["pkg/old.js", "pkg/new.js"] {
            let asset = Asset { name: name.into(), bytes: b"text".to_vec() };
            write(&site, json!({ "output_name": name }), &[asset], |new| {
                fs::write(new.join(name).with_added_extension("br"), "br").context("br")
            })
            .unwrap();
        }
        let names: Vec<_> = files_below(&site)
            .unwrap()
            .iter()
            .map(|path| path.strip_prefix(&site).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["pkg/new.js", "pkg/new.js.br", "site.json"]);
        assert!(finished(&site, "pkg/new.js").is_some() && finished(&site, "pkg/old.js").is_none());
        assert!(!site.with_extension("new").exists());
    }
}
