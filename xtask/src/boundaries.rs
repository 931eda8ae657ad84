//! The allowed dependencies between crates, and a test that enforces them.

use crate::command;
use crate::workspace::Workspace;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The names of crates, separated by spaces, for each name.
type Table = &'static [(&'static str, &'static str)];

/// Which workspace crates each crate may depend on, apart from dev-dependencies. Add a
/// comment with the reason to each new edge.
const ALLOWED: Table = &[
    // Types and rules without I/O.
    ("domain", ""),
    ("llm-types", "domain"),
    ("conversation", "domain llm-types"),
    ("judge", "conversation domain llm-types"),
    ("http-agent", "domain llm-types"),
    ("demo-model", "conversation domain judge llm-types"),
    ("importers", "domain"),
    ("statistics", ""),
    // Reports show the statistics of suites.
    ("reports", "domain statistics"),
    // Pages.
    ("app", "domain"),
    ("frontend", "app"),
    // Infrastructure.
    ("clock", "domain"),
    ("telemetry", ""),
    // The adapter of deployed agents reads their responses with `http-agent`.
    ("llm", "clock domain http-agent llm-types telemetry"),
    ("store", "clock domain telemetry"),
    ("store-sqlite", "clock domain store store-sqlite-schema telemetry"),
    ("store-sqlite-schema", ""),
    // Execution and use cases.
    // The engine renders the requests to deployed agents with `http-agent`.
    ("engine", "clock conversation domain http-agent judge llm llm-types store telemetry"),
    // `services` converts the files of an import with `importers`, and renders the requests of
    // a chat with a deployed agent with `http-agent`.
    (
        "services",
        "clock conversation domain engine http-agent importers judge llm llm-types store \
         telemetry",
    ),
    // The binary. No crate depends on it. It writes suites as files with `reports`.
    (
        "server",
        "app clock conversation demo-model domain engine judge llm llm-types reports services \
         store store-sqlite telemetry",
    ),
    // Test harness. No crate above depends on it, except for its tests.
    ("mock-provider", ""),
    ("fault-injection", "mock-provider"),
    ("store-bench", "clock domain store store-sqlite store-sqlite-schema"),
    // Build tools.
    ("xtask", ""),
    ("site-tools", ""),
];

/// Libraries that a crate must not depend on, not even through other crates.
const FORBIDDEN: Table = &[
    ("domain", "tokio sqlx reqwest axum leptos"),
    ("llm-types", "tokio sqlx reqwest axum leptos"),
    ("conversation", "tokio sqlx reqwest axum leptos"),
    ("http-agent", "tokio sqlx reqwest axum leptos"),
    ("judge", "tokio sqlx reqwest axum leptos"),
    ("importers", "tokio sqlx reqwest axum leptos"),
    ("statistics", "tokio sqlx reqwest axum leptos"),
    ("reports", "tokio sqlx reqwest axum leptos"),
    // It waits for its artificial delays with tokio.
    ("demo-model", "sqlx reqwest axum leptos"),
    ("clock", "sqlx reqwest axum leptos"),
    ("app", "sqlx reqwest"),
    ("llm", "sqlx axum leptos"),
    ("store", "sqlx reqwest axum leptos"),
    ("store-sqlite", "reqwest axum leptos"),
    ("engine", "sqlx axum leptos"),
    ("services", "sqlx axum leptos"),
];

/// Libraries that only these crates may depend on directly, apart from
/// dev-dependencies.
const EXCLUSIVE: Table = &[
    ("sqlx", "store-sqlite store-sqlite-schema fault-injection store-bench"),
    // `app` reaches axum and tokio through `leptos_axum` only.
    ("axum", "server mock-provider"),
    ("leptos", "app frontend server"),
    ("reqwest", "llm services server fault-injection"),
    (
        "tokio",
        "clock demo-model engine fault-injection llm mock-provider server services store \
         store-bench store-sqlite store-sqlite-schema telemetry",
    ),
];

/// A package in the dependency graph.
#[derive(Debug)]
struct Package {
    name: String,
    is_member: bool,
    /// The names of all declared dependencies, also optional ones.
    declared: BTreeSet<String>,
    /// The IDs of the resolved dependencies.
    resolved: Vec<String>,
}

/// Packages by ID, without dev-dependencies and build dependencies.
type Graph = BTreeMap<String, Package>;

/// Reads the output of `cargo metadata --format-version 1`.
fn parse(metadata: &Value) -> Option<Graph> {
    let members = strings(&metadata["workspace_members"])?;
    let mut graph = Graph::new();
    for package in metadata["packages"].as_array()? {
        let dependencies = package["dependencies"].as_array()?.iter();
        let declared = dependencies
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned));
        let id = package["id"].as_str()?;
        let value = Package {
            name: package["name"].as_str()?.to_owned(),
            is_member: members.iter().any(|member| member == id),
            declared: declared.collect(),
            resolved: Vec::new(),
        };
        graph.insert(id.to_owned(), value);
    }
    for node in metadata["resolve"]["nodes"].as_array()? {
        let resolved = node["deps"].as_array()?.iter().filter(|dependency| {
            let kinds = dependency["dep_kinds"].as_array().into_iter().flatten();
            kinds.into_iter().any(|kind| kind["kind"].is_null())
        });
        let resolved = resolved.filter_map(|dependency| dependency["pkg"].as_str());
        graph.get_mut(node["id"].as_str()?)?.resolved = resolved.map(str::to_owned).collect();
    }
    Some(graph)
}

fn strings(array: &Value) -> Option<Vec<String>> {
    array.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

/// All violations, one sentence each.
fn violations(graph: &Graph) -> Vec<String> {
    let members = || graph.iter().filter(|(_, package)| package.is_member);
    let names: BTreeSet<&str> = members().map(|(_, package)| package.name.as_str()).collect();
    let mut found = Vec::new();
    for (id, Package { name, declared, .. }) in members() {
        let Some(allowed) = entry(ALLOWED, name) else {
            found.push(format!("`{name}` is not in the table ALLOWED in xtask/src/boundaries.rs"));
            continue;
        };
        for dependency in declared {
            let dependency = dependency.as_str();
            if names.contains(dependency) && !allowed.contains(&dependency) {
                found.push(format!(
                    "`{name}` depends on `{dependency}`, which ALLOWED in \
                     xtask/src/boundaries.rs does not allow"
                ));
            }
            if entry(EXCLUSIVE, dependency).is_some_and(|users| !users.contains(&name.as_str())) {
                found.push(format!(
                    "`{name}` depends on `{dependency}`, which EXCLUSIVE in \
                     xtask/src/boundaries.rs reserves for other crates"
                ));
            }
        }
        for forbidden in entry(FORBIDDEN, name).unwrap_or_default() {
            if let Some(path) = path_to(graph, id, forbidden) {
                found.push(format!(
                    "`{name}` must not depend on `{forbidden}`, not even through other crates: {}",
                    path.join(" → ")
                ));
            }
        }
    }
    found
}

fn entry(table: Table, name: &str) -> Option<Vec<&'static str>> {
    let (_, names) = table.iter().find(|(key, _)| *key == name)?;
    Some(names.split_whitespace().collect())
}

/// A path of package names from a package to one with this name, if there is one.
fn path_to<'a>(graph: &'a Graph, from: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::from([from]);
    let mut paths = vec![vec![from]];
    while let Some(path) = paths.pop() {
        let package = graph.get(*path.last()?)?;
        if package.name == name {
            return path.iter().map(|id| Some(graph.get(*id)?.name.as_str())).collect();
        }
        for dependency in &package.resolved {
            if seen.insert(dependency) {
                paths.push([path.as_slice(), &[dependency.as_str()]].concat());
            }
        }
    }
    None
}

fn workspace_graph() -> Graph {
    let root = Workspace::find().unwrap().root;
    let mut cargo = command::cargo(&root);
    cargo.args(["metadata", "--format-version", "1"]);
    let metadata = serde_json::from_str(&command::capture(&mut cargo).unwrap()).unwrap();
    parse(&metadata).unwrap()
}

#[test]
fn crates_depend_only_on_what_the_table_allows() {
    let graph = workspace_graph();
    for expected in ["domain", "server", "app"] {
        let is_member = |package: &Package| package.is_member && package.name == expected;
        assert!(graph.values().any(is_member), "`{expected}` is missing from the graph");
    }
    let violations = violations(&graph);
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// A graph of `(name, dependencies)`. Names that are not in [`ALLOWED`] are libraries,
/// except for `new-crate`.
fn graph(packages: &[(&str, &[&str])]) -> Graph {
    let package = |&(name, dependencies): &(&str, &[&str])| {
        let value = Package {
            name: name.to_owned(),
            is_member: entry(ALLOWED, name).is_some() || name == "new-crate",
            declared: dependencies.iter().map(ToString::to_string).collect(),
            resolved: dependencies.iter().map(ToString::to_string).collect(),
        };
        (name.to_owned(), value)
    };
    packages.iter().map(package).collect()
}

#[test]
fn forbidden_edges_are_reported() {
    let allowed = graph(&[("domain", &["serde"]), ("engine", &["domain"]), ("serde", &[])]);
    assert_eq!(violations(&allowed), [""; 0]);

    for (packages, expected) in [
        (
            &[("engine", &["services"][..]), ("services", &[])][..],
            "`engine` depends on `services`, which ALLOWED",
        ),
        (&[("store", &["server"]), ("server", &[])], "`store` depends on `server`, which ALLOWED"),
        (
            &[("llm", &["mock-provider"]), ("mock-provider", &[])],
            "`llm` depends on `mock-provider`, which ALLOWED",
        ),
        (&[("server", &["sqlx"]), ("sqlx", &[])], "`server` depends on `sqlx`, which EXCLUSIVE"),
        (
            &[("domain", &["hyper"]), ("hyper", &["tokio"]), ("tokio", &[])],
            "not even through other crates: domain → hyper → tokio",
        ),
        (&[("new-crate", &[])], "`new-crate` is not in the table ALLOWED"),
    ] {
        let violations = violations(&graph(packages));
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(violations[0].contains(expected), "{}", violations[0]);
    }
}

#[test]
fn dev_dependencies_are_ignored() {
    let kind = |kind: Value| serde_json::json!([{ "kind": kind }]);
    let metadata = serde_json::json!({
        "workspace_members": ["a"],
        "packages": [
            { "id": "a", "name": "llm", "dependencies": [
                { "name": "domain", "kind": null }, { "name": "mock-provider", "kind": "dev" },
            ] },
            { "id": "b", "name": "domain", "dependencies": [] },
            { "id": "c", "name": "mock-provider", "dependencies": [] },
        ],
        "resolve": { "nodes": [
            { "id": "a", "deps": [
                { "pkg": "b", "dep_kinds": kind(Value::Null) },
                { "pkg": "c", "dep_kinds": kind("dev".into()) },
            ] },
            { "id": "b", "deps": [] },
            { "id": "c", "deps": [] },
        ] },
    });
    let graph = parse(&metadata).unwrap();
    assert_eq!(graph["a"].resolved, ["b"]);
    assert_eq!(graph["a"].declared, BTreeSet::from(["domain".to_owned()]));
    assert!(graph["a"].is_member && !graph["b"].is_member);
}
