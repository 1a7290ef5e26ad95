//! `cargo xtask rule`: holds the workspace to its dependency rule (ARCHITECTURE.md) and its limits.
//!
//! Every judgement is a function of text, so that each has a test with an example that breaks it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

/// Crates of ours and those of ours that each may depend on.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("brownout-core", &[]),
    ("brownout-flow", &["brownout-core"]),
    ("brownout-formats", &["brownout-core"]),
    ("brownout-probe", &["brownout-core"]),
    ("brownout-store", &["brownout-core"]),
    ("brownout-cluster", &["brownout-core", "brownout-store"]),
    ("brownout-web", &["brownout-core", "brownout-store"]),
    (
        "brownout-lab",
        &["brownout-core", "brownout-flow", "brownout-formats", "brownout-probe", "brownout-store"],
    ),
    (
        "brownout",
        &[
            "brownout-core",
            "brownout-formats",
            "brownout-flow",
            "brownout-probe",
            "brownout-store",
            "brownout-cluster",
            "brownout-web",
            "brownout-lab",
        ],
    ),
    ("xtask", &["brownout-core", "brownout-flow", "brownout-store"]),
];

/// Crates that are functions of their inputs.
const PURE: &[&str] = &["brownout-core", "brownout-flow", "brownout-formats"];

/// What a pure crate must not reach, not even through others: sockets, threads of a runtime, chance.
const IMPURE: &[&str] =
    &["async-std", "futures", "getrandom", "hyper", "mio", "rand", "smol", "socket2", "tokio", "ureq"];

/// Packages in the product without the cluster adapters; fewer than this.
const PACKAGES_LIMIT: usize = 300;

/// Lines of a source file without its tests; at most this. The aim is 500.
const LINES_MAX: usize = 700;
const LINES_AIM: usize = 500;

/// Checks everything and prints what breaks the rule.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    let metadata: Value =
        serde_json::from_str(&cargo(root, &["metadata", "--no-deps", "--format-version", "1"])?)?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();

    let mut broken = edges(&packages);
    for name in PURE.iter().filter(|name| names.contains(name)) {
        let tree = cargo(root, &["tree", "-p", name, "-e", "normal", "--prefix", "none"])?;
        broken.extend(impurities(name, &tree));
        let rules = std::fs::read_to_string(root.join("clippy.toml"))?;
        let own = std::fs::read_to_string(root.join("crates").join(name).join("clippy.toml"));
        broken.extend(unrepeated(name, &rules, &own.unwrap_or_default()));
    }
    for package in &packages {
        broken.extend(unguarded(package)?);
    }
    let tree = cargo(root, &["tree", "-p", "brownout", "-e", "normal", "--prefix", "none"])?;
    let count = unique(&tree).len();
    if count >= PACKAGES_LIMIT {
        broken.push(format!("brownout: {count} packages; fewer than {PACKAGES_LIMIT} are allowed"));
    }
    for file in sources(root)? {
        let text = std::fs::read_to_string(&file)?;
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        match own_lines(&text) {
            lines if lines > LINES_MAX => {
                broken.push(format!("{name}: {lines} lines without tests; at most {LINES_MAX}"));
            }
            lines if lines > LINES_AIM => println!("note: {name}: {lines} lines; the aim is {LINES_AIM}"),
            _ => {}
        }
    }
    for line in &broken {
        println!("rule: {line}");
    }
    match broken.len() {
        0 => {
            println!("the dependency rule holds; {count} packages under brownout");
            Ok(())
        }
        many => Err(format!("the dependency rule is broken in {many} place(s)").into()),
    }
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program).args(arguments).arg("--locked").current_dir(root).output()?;
    if !output.status.success() {
        return Err(
            format!("cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Dependencies between crates of ours that the table does not allow. Tests may depend on anything.
fn edges(packages: &[Value]) -> Vec<String> {
    let mut broken = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(known, _)| *known == name) else {
            broken.push(format!("{name}: a crate that the dependency rule does not know"));
            continue;
        };
        let needed = package["dependencies"].as_array().into_iter().flatten();
        for dependency in needed.filter(|dependency| dependency["kind"] != "dev") {
            let on = dependency["name"].as_str().unwrap_or_default();
            let ours = MAY_DEPEND_ON.iter().any(|(known, _)| *known == on);
            if ours && !allowed.contains(&on) {
                broken.push(format!("{name} depends on {on}"));
            }
        }
    }
    broken
}

/// The packages of a tree, each once.
fn unique(tree: &str) -> BTreeSet<&str> {
    tree.lines().map(|line| line.trim().trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect()
}

fn impurities(name: &str, tree: &str) -> Vec<String> {
    let reached: BTreeSet<&str> =
        unique(tree).into_iter().filter_map(|line| line.split(' ').next()).collect();
    let impure = IMPURE.iter().filter(|package| reached.contains(**package));
    impure
        .map(|package| format!("{name} reaches {package}; see `cargo tree -p {name} -i {package}`"))
        .collect()
}

/// A crate's own clippy.toml replaces the root's, so each line of the root's must be in it again.
fn unrepeated(name: &str, root: &str, own: &str) -> Vec<String> {
    let own: BTreeSet<&str> = own.lines().map(str::trim).collect();
    let settings = root.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    settings
        .filter(|line| !own.contains(line))
        .map(|line| format!("crates/{name}/clippy.toml does not repeat `{line}` of the root's"))
        .collect()
}

/// Crate roots without `forbid(unsafe_code)`, and manifests without the workspace's lints.
fn unguarded(package: &Value) -> Result<Vec<String>, Failure> {
    let mut broken = Vec::new();
    for target in package["targets"].as_array().into_iter().flatten() {
        let kinds = target["kind"].as_array().cloned().unwrap_or_default();
        let path = target["src_path"].as_str().unwrap_or_default();
        if kinds.iter().any(|kind| kind == "lib" || kind == "bin")
            && !forbids_unsafe(&std::fs::read_to_string(path)?)
        {
            broken.push(format!("{path}: the crate root lacks #![forbid(unsafe_code)]"));
        }
    }
    let manifest = package["manifest_path"].as_str().unwrap_or_default();
    if !inherits_lints(&std::fs::read_to_string(manifest)?) {
        broken.push(format!("{manifest}: lacks [lints] workspace = true"));
    }
    Ok(broken)
}

fn forbids_unsafe(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]")
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.next() == Some("workspace = true")
}

/// All Rust sources that are not only tests.
fn sources(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut folders = vec![root.join("crates"), root.join("xtask")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !matches!(name.as_str(), "target" | "tests" | "benches") {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Lines before the test module, which stands last in a file.
fn own_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|two| two[0] == "#[cfg(test)]" && two[1].starts_with("mod "));
    tests.unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, on: &str, kind: Value) -> Vec<Value> {
        vec![json!({ "name": name, "dependencies": [{ "name": on, "kind": kind }] })]
    }

    #[test]
    fn this_workspace_keeps_to_the_rule() {
        run(&crate::root()).unwrap_or_else(|failure| panic!("{failure}"));
    }

    #[test]
    fn a_forbidden_edge_is_found() {
        assert_eq!(
            edges(&package("brownout-core", "brownout-store", Value::Null)),
            ["brownout-core depends on brownout-store"]
        );
        assert_eq!(edges(&package("brownout-store", "brownout-web", json!("build"))).len(), 1);
        assert_eq!(edges(&package("brownout-web", "brownout", Value::Null)).len(), 1);
        assert_eq!(edges(&package("brownout-new", "serde", Value::Null)).len(), 1);
    }

    #[test]
    fn an_allowed_edge_is_not() {
        assert!(edges(&package("brownout-web", "brownout-store", Value::Null)).is_empty());
        assert!(edges(&package("brownout-store", "brownout-lab", json!("dev"))).is_empty());
        assert!(edges(&package("brownout-core", "serde", Value::Null)).is_empty());
    }

    #[test]
    fn a_runtime_under_core_is_found_however_deep() {
        let tree =
            "brownout-core v0.1.0 (/x)\nserde v1.0.0\nnice v1.0.0\ngetrandom v0.3.1\ngetrandom v0.3.1 (*)\n";
        let broken = impurities("brownout-core", tree);
        assert_eq!(broken.len(), 1);
        assert!(broken[0].starts_with("brownout-core reaches getrandom"));
        assert!(impurities("brownout-core", "rand_xorshift v0.5.0\nmio-not v1.0.0\n").is_empty());
    }

    #[test]
    fn packages_are_counted_once() {
        assert_eq!(unique("a v1\nb v1\nb v1 (*)\nb v2\n\n").len(), 3);
    }

    #[test]
    fn a_rule_of_the_root_must_be_repeated() {
        let root = "# why\na = true\nb = 6\n";
        assert_eq!(unrepeated("core", root, "a = true\n").len(), 1);
        assert!(unrepeated("core", root, "b = 6\na = true\nmore = []\n").is_empty());
    }

    #[test]
    fn a_crate_without_its_guards_is_found() {
        assert!(forbids_unsafe("//! Doc.\n\n#![forbid(unsafe_code)]\n"));
        assert!(!forbids_unsafe("// #![forbid(unsafe_code)]\n#![deny(unsafe_code)]\n"));
        assert!(inherits_lints("[package]\n\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[lints.rust]\nworkspace = true\n"));
    }

    #[test]
    fn tests_do_not_count_as_lines() {
        assert_eq!(own_lines("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(own_lines("a\n#[cfg(test)]\nfn b() {}\nc\n"), 4);
    }
}
