//! The site: what the server sends besides pages.
//!
//! ```text
//! <target>/site/site.json                          {"output_name": "rehearsal.3f2a…", …}
//! <target>/site/pkg/rehearsal.3f2a….js             each with .br and .gz beside it
//!                   rehearsal.3f2a…_bg.wasm
//!                   rehearsal.3f2a…_split.js       fetches the next, when they are needed
//!                   rehearsal.3f2a…_write.wasm     the pages where one writes
//!                   rehearsal.3f2a…_set_up.wasm    those where one sets something up
//!                   rehearsal.3f2a…_shared.wasm    what both need
//!                   rehearsal.3f2a….css
//! <target>/site/favicon.svg                        style/public/*, under their own names
//! ```
//!
//! One hash over all contents stands in every name, so all of `pkg/` may be
//! cached for ever, and a page never mixes files of two builds. The server
//! reads `output_name` once at its start and puts it into `LeptosOptions`;
//! `HydrationScripts` and `HashedStylesheet` then name these files without
//! reading a file for each page (`hash_files` would, and beside the binary).

use crate::command::say;
use crate::compress::{brotli, gzip};
use crate::sizes;
use crate::stamp::{Fingerprint, files_below};
use crate::wasm::{self, Bundle, LOADER, NAME, PIECES};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A file of the site before it is compressed.
struct Asset {
    /// Its path below the site's folder, with `/`.
    name: String,
    bytes: Vec<u8>,
}

/// Builds what changed; answers with the number of warnings of the browser
/// half (`show_warnings`: see [`wasm::ensure`]).
pub(crate) fn ensure(workspace: &Workspace, show_warnings: bool) -> Result<u64> {
    let bundle = wasm::ensure(workspace, show_warnings)?;
    let (hash, assets) = assets(&workspace.root, &bundle)?;
    let output_name = format!("{NAME}.{hash}");
    let site = workspace.site();
    let record = match finished(&site, &output_name) {
        Some(record) => {
            say("site", "nothing changed");
            record
        }
        None => write(&site, &output_name, assets, bundle.optimised)?,
    };
    sizes::judge(&record)?;
    Ok(bundle.warnings)
}

/// All files under the names they are served by, and the hash in them.
fn assets(root: &Path, bundle: &Bundle) -> Result<(String, Vec<Asset>)> {
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let js = read(&bundle.folder.join(format!("{NAME}.js")))?;
    let wasm = read(&bundle.folder.join(format!("{NAME}_bg.wasm")))?;
    let loader = read(&bundle.folder.join(LOADER))?;
    let pieces = PIECES
        .iter()
        .map(|piece| Ok((piece, read(&bundle.folder.join(piece.file))?)))
        .collect::<Result<Vec<_>>>()?;
    let css = stylesheet(&root.join("style"))?;
    // Under their own names: a snippet's folder has a hash in its name
    // already, by which the JavaScript asks for it; the others are asked for
    // by people and programs that know no hash (`/favicon.svg`).
    let mut others = Vec::new();
    for (folder, below, prefix) in [
        (bundle.folder.join("snippets"), bundle.folder.clone(), "pkg/"),
        (root.join("style/public"), root.join("style/public"), ""),
    ] {
        for path in files_below(&folder)? {
            let name = path.strip_prefix(&below).unwrap_or(&path).to_string_lossy();
            others.push(Asset { name: format!("{prefix}{name}"), bytes: read(&path)? });
        }
    }

    let mut fingerprint = Fingerprint::default();
    fingerprint.bytes("js", &js);
    fingerprint.bytes("wasm", &wasm);
    fingerprint.bytes("loader", &loader);
    for (piece, bytes) in &pieces {
        fingerprint.bytes(piece.served, bytes);
    }
    fingerprint.bytes("css", &css);
    for other in &others {
        fingerprint.bytes(&other.name, &other.bytes);
    }
    fingerprint.bytes("pipeline", include_bytes!("site.rs"));
    let mut hash = fingerprint.finish();
    hash.truncate(16);

    // The two scripts name each other, and one the pieces.
    let served = |ending: &str| format!("{NAME}.{hash}{ending}");
    let js = renamed(js, "from ", LOADER, &served("_split.js"))?;
    let loader = renamed(loader, "from ", &format!("{NAME}.js"), &served(".js"))?;
    let loader = pieces.iter().try_fold(loader, |loader, (piece, _)| {
        renamed(loader, "new URL(", piece.file, &served(piece.served))
    })?;

    let mut assets = vec![
        Asset { name: format!("pkg/{NAME}.{hash}.js"), bytes: js },
        Asset { name: format!("pkg/{NAME}.{hash}_bg.wasm"), bytes: wasm },
        Asset { name: format!("pkg/{NAME}.{hash}_split.js"), bytes: loader },
        Asset { name: format!("pkg/{NAME}.{hash}.css"), bytes: css },
    ];
    assets.extend(
        pieces
            .into_iter()
            .map(|(piece, bytes)| Asset { name: format!("pkg/{}", served(piece.served)), bytes }),
    );
    assets.append(&mut others);
    Ok((hash, assets))
}

/// A script that asks for `new` where it asked for `old`; `asks` is what stands
/// before the name. (The name that WebAssembly itself imports by stays.)
fn renamed(script: Vec<u8>, asks: &str, old: &str, new: &str) -> Result<Vec<u8>> {
    let script = String::from_utf8(script).context("a script is not UTF-8")?;
    let old = format!("{asks}\"./{old}\"");
    if !script.contains(&old) {
        bail!("a script of the site does not say {old}");
    }
    Ok(script.replace(&old, &format!("{asks}\"./{new}\"")).into_bytes())
}

/// `style/*.css` one after the other, by name.
fn stylesheet(folder: &Path) -> Result<Vec<u8>> {
    let mut css = Vec::new();
    for path in files_below(folder)? {
        if path.parent() == Some(folder) && path.extension().is_some_and(|e| e == "css") {
            css.extend(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
            css.push(b'\n');
        }
    }
    Ok(css)
}

/// What `site.json` says, if it is of this very site.
fn finished(site: &Path, output_name: &str) -> Option<Value> {
    let text = fs::read_to_string(site.join("site.json")).ok()?;
    let record: Value = serde_json::from_str(&text).ok()?;
    (record["output_name"] == output_name).then_some(record)
}

/// Writes everything beside the old site, then puts it into its place: a
/// broken build leaves the old one whole.
fn write(site: &Path, output_name: &str, assets: Vec<Asset>, optimised: bool) -> Result<Value> {
    let new = site.with_extension("new");
    remove(&new)?;
    let files = std::thread::scope(|scope| {
        let threads: Vec<_> =
            assets.iter().map(|asset| scope.spawn(|| write_asset(&new, asset))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect::<Result<Vec<Value>>>()
    })?;
    let record = json!({ "output_name": output_name, "optimised": optimised, "files": files });
    fs::write(new.join("site.json"), format!("{record:#}\n")).context("cannot write site.json")?;
    remove(site)?;
    fs::rename(&new, site).with_context(|| format!("cannot put {} there", site.display()))?;
    say("site", format!("written to {}", site.display()));
    Ok(record)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// One file, its compressed neighbours, and its sizes in bytes.
fn write_asset(site: &Path, asset: &Asset) -> Result<Value> {
    let br = brotli(&asset.bytes)?;
    let gz = gzip(&asset.bytes)?;
    let path = site.join(&asset.name);
    let folder = path.parent().unwrap_or(site);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (ending, bytes) in [("", &asset.bytes), (".br", &br), (".gz", &gz)] {
        let path = site.join(format!("{}{ending}", asset.name));
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(json!({
        "name": asset.name, "raw": asset.bytes.len(), "gzip": gz.len(), "brotli": br.len(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::Piece;

    fn bundle(folder: &Path, js: &str) -> Bundle {
        fs::create_dir_all(folder.join("snippets/x-1")).unwrap();
        let js = format!("import * as split from \"./__wasm_split.js\" // {js}");
        fs::write(folder.join("rehearsal.js"), js).unwrap();
        fs::write(folder.join("rehearsal_bg.wasm"), "wasm").unwrap();
        let mut loader = String::from("import { initSync } from \"./rehearsal.js\";\n");
        for Piece { file, .. } in PIECES {
            loader += &format!("new URL(\"./{file}\", here);\n");
            fs::write(folder.join(file), file).unwrap();
        }
        fs::write(folder.join("__wasm_split.js"), loader).unwrap();
        fs::write(folder.join("snippets/x-1/inline0.js"), "snippet").unwrap();
        Bundle { folder: folder.to_path_buf(), optimised: true, warnings: 0 }
    }

    #[test]
    fn stylesheets_stand_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["20-parts.css", "10-tokens.css", "notes.md"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let css = String::from_utf8(stylesheet(folder.path()).unwrap()).unwrap();
        assert_eq!(css, "10-tokens.css\n20-parts.css\n");
        assert!(stylesheet(&folder.path().join("absent")).unwrap().is_empty());
    }

    #[test]
    fn a_changed_file_changes_every_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("style/public")).unwrap();
        fs::write(folder.path().join("style/public/favicon.svg"), "<svg/>").unwrap();
        let (first, assets_of_first) =
            assets(folder.path(), &bundle(folder.path(), "one")).unwrap();
        let (again, _) = assets(folder.path(), &bundle(folder.path(), "one")).unwrap();
        let (second, _) = assets(folder.path(), &bundle(folder.path(), "two")).unwrap();
        assert_eq!(first, again);
        assert_ne!(first, second);
        let names: Vec<_> = assets_of_first.iter().map(|asset| asset.name.as_str()).collect();
        let pieces = PIECES.map(|piece| piece.served);
        let endings = [".js", "_bg.wasm", "_split.js", ".css"].into_iter().chain(pieces);
        let hashed: Vec<_> = endings.map(|end| format!("pkg/rehearsal.{first}{end}")).collect();
        assert_eq!(names[..7], hashed);
        assert_eq!(names[7..], ["pkg/snippets/x-1/inline0.js", "favicon.svg"]);
        // Each asks for the others by the names they are served by.
        let text = |at: usize| String::from_utf8(assets_of_first[at].bytes.clone()).unwrap();
        assert!(text(0).contains(&format!("from \"./rehearsal.{first}_split.js\"")));
        assert!(text(2).contains(&format!("from \"./rehearsal.{first}.js\"")));
        for ending in pieces {
            assert!(text(2).contains(&format!("URL(\"./rehearsal.{first}{ending}\"")));
        }
    }

    #[test]
    fn a_script_that_asks_for_nothing_known_is_no_site() {
        assert!(renamed(b"import \"./other.js\"".to_vec(), "from ", LOADER, "x").is_err());
    }

    #[test]
    fn a_new_site_replaces_the_old_one_whole() {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("site");
        for name in ["pkg/old.js", "pkg/new.js"] {
            let asset = Asset { name: name.into(), bytes: b"text".to_vec() };
            write(&site, name, vec![asset], true).unwrap();
        }
        let names: Vec<_> = files_below(&site)
            .unwrap()
            .iter()
            .map(|path| path.strip_prefix(&site).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["pkg/new.js", "pkg/new.js.br", "pkg/new.js.gz", "site.json"]);
        assert!(finished(&site, "pkg/new.js").is_some() && finished(&site, "pkg/old.js").is_none());
        assert!(!site.with_extension("new").exists());
    }
}
