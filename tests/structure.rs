//! The structure of the workspace is what ARCHITECTURE.md says it is.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Direct normal dependencies of each workspace package.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let normal = |dependency: &&Value| dependency["kind"].is_null();
            let names = package["dependencies"].as_array().unwrap().iter().filter(normal);
            (text(&package["name"]), names.map(|d| text(&d["name"])).collect())
        })
        .collect()
}

/// The table «package | may use | home of» of ARCHITECTURE.md.
fn table() -> Vec<[Vec<String>; 3]> {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines: Vec<&str> = page
        .lines()
        .skip_while(|line| !line.starts_with("| package |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let names = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    lines
        .iter()
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            assert_eq!(cells.len(), 3, "{line}");
            [names(cells[0]), names(cells[1]), names(cells[2])]
        })
        .collect()
}

#[test]
fn packages_depend_along_the_one_arrow() {
    let dependencies = dependencies();
    let table = table();
    let described: BTreeSet<&String> = table.iter().flat_map(|row| &row[0]).collect();
    assert_eq!(described, dependencies.keys().collect(), "packages in the table and in Cargo.toml");
    for [packages, allowed, _] in &table {
        for package in packages {
            let ours = dependencies[package].iter().filter(|name| dependencies.contains_key(*name));
            for used in ours {
                assert!(
                    allowed.contains(used),
                    "{package} uses {used}, which the table does not allow"
                );
            }
        }
    }
}

#[test]
fn each_dependency_has_one_home() {
    let dependencies = dependencies();
    for [home, _, homed] in table() {
        for dependency in homed {
            let users: Vec<&String> = dependencies
                .iter()
                .filter(|(_, uses)| uses.contains(&dependency))
                .map(|(package, _)| package)
                .collect();
            assert_eq!(users, home.iter().collect::<Vec<_>>(), "users of {dependency}");
        }
    }
}

/// Only `segments` opens files; everything else below the faces goes through its `Vfs`.
#[test]
fn only_segments_touches_the_file_system() {
    for package in ["index", "query", "engine"] {
        let mut folders = vec![root().join(package).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let text = std::fs::read_to_string(entry.path()).unwrap();
                for call in ["std::fs", "File::open", "File::create", "OpenOptions"] {
                    assert!(!text.contains(call), "{}: {call}", entry.path().display());
                }
            }
        }
    }
}
