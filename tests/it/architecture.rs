//! The rules of the house that a glance over the sources can keep.

use std::fs;
use std::path::{Path, PathBuf};

/// The ladder: a module imports only from lower rungs, and siblings do not import each other.
const LADDER: [&[&str]; 8] = [
    &["error", "clock", "checksum"],
    &["reference"],
    &["literal"],
    &["value", "query", "fingerprint"],
    &["serializer", "storage"],
    &["store"],
    &["result", "conformance", "snippet"],
    &["cli"],
];
/// Modules of rung 0 that `error` may not use, but that may use `error`.
const USE_ERROR: [&str; 2] = ["clock", "checksum"];
const LONGEST_FILE: usize = 600;

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 50, "{} sources are too few to be all", found.len());
    found
}

/// The module below `src` that a file belongs to; none for `lib.rs` and `main.rs`.
fn module_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    let name = first.trim_end_matches(".rs");
    (name != "lib" && name != "main").then(|| name.to_owned())
}

fn rung(module: &str) -> usize {
    LADDER
        .iter()
        .position(|rung| rung.contains(&module))
        .unwrap_or_else(|| panic!("`{module}` stands on no rung of the ladder"))
}

/// The code of a file, without comments and the tests at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_import_only_from_lower_rungs() {
    let mut wrong = Vec::new();
    for path in sources() {
        let Some(module) = module_of(&path) else { continue };
        for imported in code(&path).split("crate::").skip(1) {
            let name: String = imported.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name == module || name.is_empty() || name.chars().next().unwrap().is_uppercase() {
                continue;
            }
            let allowed = rung(&name) < rung(&module) || (name == "error" && USE_ERROR.contains(&module.as_str()));
            if !allowed {
                wrong.push(format!("{}: {module} imports {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_small() {
    let long = sources().into_iter().filter(|path| code(path).lines().count() > LONGEST_FILE).collect::<Vec<_>>();
    assert!(long.is_empty(), "over {LONGEST_FILE} lines: {long:?}");
}

#[test]
fn some_things_have_one_place() {
    let only = |what: &str, places: &[&str]| {
        let found = sources().into_iter().filter(|path| code(path).contains(what));
        let strangers: Vec<PathBuf> = found.filter(|path| !places.iter().any(|place| path.ends_with(place))).collect();
        assert!(strangers.is_empty(), "`{what}` belongs into {places:?}, and stands in {strangers:?}");
    };
    only("PutMode::Create", &["src/storage/sequence.rs", "src/storage/local.rs"]);
    only("format!(\"{REFERENCES}", &["src/store/layout.rs"]);
    only("vars_os()", &["src/storage/configuration.rs"]);
    only("Utc::now()", &["src/clock.rs"]);
    only("cfg(feature", &["src/lib.rs", "src/storage/cloud.rs"]);
}

#[test]
fn a_serializer_never_sees_an_object_store() {
    for path in sources().into_iter().filter(|path| module_of(path).is_some_and(|module| module == "serializer")) {
        assert!(!code(&path).contains("object_store"), "{}", path.display());
    }
}
