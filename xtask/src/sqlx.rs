//! `cargo xtask sqlx`: regenerates the data in `.sqlx` that the macros of sqlx read
//! when no database is at hand.
//!
//! It migrates a temporary database, compiles the crate with access to it, and keeps
//! what the macros write. The migrations have a program of their own, because the
//! crate does not compile while its data is missing, and because xtask itself must
//! start without compiling sqlx.

use crate::command::{cargo, command, run, say};
use crate::files::{self, files_below};
use crate::stamp::{self, Fingerprint};
use crate::test::WORKSPACE;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

const CRATE: &str = "crates/store-sqlite";
const SOURCE: &str = "crates/store-sqlite/src/lib.rs";
const MIGRATIONS: &str = "migrations/sqlite";
/// The program that migrates a database.
const SCHEMA: &str = "store-sqlite-schema";
/// As in `sqlx.toml` of the crate.
const URL_VARIABLE: &str = "STORE_SQLITE_DATABASE_URL";

/// Regenerates the data and writes what changed.
pub(crate) fn update(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    if let Some(arg) = args.first() {
        bail!("`sqlx` takes no arguments, not `{arg}`");
    }
    let mut check = cargo(&workspace.root);
    check.args(["check", "--package", "store-sqlite", "--all-targets"]);
    let generated = generate(workspace, &mut check)?;
    let target = workspace.root.join(CRATE).join(".sqlx");
    let differences = differences(&generated, &target)?;
    if !differences.is_empty() {
        replace(&generated, &target)?;
        // Cargo does not know that the crate depends on the data.
        set_modified(&workspace.root.join(SOURCE), SystemTime::now())?;
    }
    say("sqlx", format!("{} files changed in {}", differences.len(), target.display()));
    Ok(ExitCode::SUCCESS)
}

/// Runs a command that compiles the crate, and compares the data that its macros
/// write with the data in the repository. If nothing changed since the last
/// successful comparison, it only runs the command.
pub(crate) fn check(workspace: &Workspace, compile: &mut Command) -> Result<()> {
    let mut inputs = Fingerprint::default();
    for path in [CRATE, MIGRATIONS, "Cargo.lock"] {
        inputs.path(&workspace.root, path)?;
    }
    let (inputs, stamp) = (inputs.finish(), folder(workspace).join("stamp"));
    if stamp::is_done(&stamp, &inputs) {
        return run(compile);
    }
    let generated = generate(workspace, compile)?;
    fail_if_stale(&generated, &workspace.root.join(CRATE).join(".sqlx"))?;
    stamp::finish(&stamp, &inputs)
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("sqlx")
}

/// Returns the folder with the data that the macros write while `compile` runs.
fn generate(workspace: &Workspace, compile: &mut Command) -> Result<PathBuf> {
    let folder = folder(workspace);
    files::remove_folder(&folder)?;
    let data = folder.join("data");
    files::create_folder(&data)?;
    let database = folder.join("database.db");
    migrate(workspace, &database)?;
    compile.env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", &data);
    compile.env(URL_VARIABLE, url(&database));
    // Cargo compiles the crate again only if a source file is newer.
    let source = workspace.root.join(SOURCE);
    let modified = fs::metadata(&source).and_then(|file| file.modified());
    let modified = modified.with_context(|| format!("cannot read {}", source.display()))?;
    set_modified(&source, SystemTime::now())?;
    let result = run(compile);
    // Restored, so that the next build does not compile everything that depends on it.
    set_modified(&source, modified)?;
    result.map(|()| data)
}

/// Creates a database with the newest schema.
fn migrate(workspace: &Workspace, database: &Path) -> Result<()> {
    let mut build = cargo(&workspace.root);
    run(build.arg("build").args(WORKSPACE).args(["--bin", SCHEMA]))?;
    run(command(workspace.binary("debug", SCHEMA), &workspace.root).arg(database))
}

fn url(database: &Path) -> String {
    let path = database.display().to_string();
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("sqlite:{path}")
}

fn set_modified(path: &Path, time: SystemTime) -> Result<()> {
    let file = File::options().append(true).open(path);
    file.and_then(|file| file.set_modified(time))
        .with_context(|| format!("cannot set the time of {}", path.display()))
}

fn fail_if_stale(generated: &Path, committed: &Path) -> Result<()> {
    let differences = differences(generated, committed)?;
    if differences.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = differences.iter().map(|(name, why)| format!("{why}: {name}")).collect();
    bail!("the SQL data is stale; run `cargo xtask sqlx` and commit it\n{}", list.join("\n"))
}

/// The files that differ between two folders, with the kind of difference.
fn differences(generated: &Path, committed: &Path) -> Result<BTreeMap<String, &'static str>> {
    let (generated, mut committed) = (contents(generated)?, contents(committed)?);
    let mut differences = BTreeMap::new();
    for (name, text) in generated {
        match committed.remove(&name) {
            Some(known) if known == text => {}
            Some(_) => drop(differences.insert(name, "changed")),
            None => drop(differences.insert(name, "missing")),
        }
    }
    differences.extend(committed.into_keys().map(|name| (name, "unused")));
    Ok(differences)
}

/// The texts of the files of a folder, by name.
fn contents(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut contents = BTreeMap::new();
    for file in files_below(folder)? {
        let name = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        // Git may change line ends.
        contents.insert(name, files::read_text(&file)?.replace("\r\n", "\n"));
    }
    Ok(contents)
}

/// Replaces the contents of a folder.
fn replace(generated: &Path, target: &Path) -> Result<()> {
    files::empty_folder(target)?;
    contents(generated)?.iter().try_for_each(|(name, text)| files::write(&target.join(name), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_sql_data_fails() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let committed = root.join(CRATE).join(".sqlx");
        let folder = tempfile::tempdir().unwrap();
        let generated = folder.path().join("data");
        replace(&committed, &generated).unwrap();
        fail_if_stale(&generated, &committed).unwrap();

        let files = files_below(&generated).unwrap();
        assert!(files.len() > 100, "{}", files.len());
        let [changed, unused] = [&files[0], &files[1]];
        fs::write(changed, fs::read_to_string(changed).unwrap().replace("false", "true") + "\n")
            .unwrap();
        fs::remove_file(unused).unwrap();
        fs::write(generated.join("query-new.json"), "{}").unwrap();
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let expected = BTreeMap::from([
            (name(changed), "changed"),
            (name(unused), "unused"),
            ("query-new.json".to_owned(), "missing"),
        ]);
        assert_eq!(differences(&generated, &committed).unwrap(), expected);
        let error = fail_if_stale(&generated, &committed).unwrap_err().to_string();
        assert!(error.contains("cargo xtask sqlx") && error.contains("query-new.json"), "{error}");

        replace(&committed, &generated).unwrap();
        fail_if_stale(&generated, &committed).unwrap();
    }
}
