//! The layers of the core. A module uses no layer above its own, so unsafe code can be checked together with the layers
//! below it.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers, from the lowest up: their modules, and the types that the crate's root re-exports from them.
const LAYERS: [Layer; 4] = [
    Layer {
        name: "names, errors, events, the system",
        modules: &[
            "budget",
            "class",
            "error",
            "event",
            "finalizer",
            "id",
            "isolate",
            "kind",
            "reason",
            "rejected",
            "script_stack",
            "site",
            "sync",
            "sys",
        ],
        types: &[
            "Budget",
            "Error",
            "ErrorClass",
            "Holder",
            "IsolateId",
            "Length",
            "MapMode",
            "MapProblem",
            "NotUnique",
            "Rejected",
            "ScriptPlace",
            "Sharing",
            "Site",
            "StoreId",
            "StoreKind",
        ],
    },
    Layer { name: "raw", modules: &["raw"], types: &["FrozenOwner", "Owner", "CONTROL_BLOCK_BYTES", "Unfreed"] },
    Layer {
        name: "stores, and what lends them",
        modules: &["cursor", "frozen", "host", "lend", "manual", "mapped", "resizable", "shared", "store", "unique"],
        types: &[
            "AtomicElement",
            "AtomicInteger",
            "AtomicSlice",
            "BackingStore",
            "ReadGuard",
            "WriteGuard",
            "Cells",
            "DeleterCallback",
            "FrozenStore",
            "ManualHeap",
            "ManualMemory",
            "ManualOptions",
            "Mapped",
            "SharedStore",
            "StoreCursor",
            "UniqueStore",
            "WeakStore",
        ],
    },
    Layer {
        name: "adapters and conversions",
        modules: &["adapter", "interop", "lib", "observe", "refused"],
        types: &[],
    },
];

struct Layer {
    name: &'static str,
    modules: &'static [&'static str],
    types: &'static [&'static str],
}

fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.modules.contains(&name) || layer.types.contains(&name))
}

/// The names that follow `crate::` in a file, with or without braces. Comments are left out, since documentation may link
/// anywhere.
fn names_used(source: &str) -> Vec<String> {
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let after = &code[at + "crate::".len()..];
        match after.strip_prefix('{') {
            Some(list) => {
                let list = list.split_once('}').expect("a closed list").0;
                assert!(!list.contains('{'), "lists in lists are not understood: {list}");
                names.extend(list.split(',').map(first_name).filter(|name| !name.is_empty()));
            }
            None => names.push(first_name(after)),
        }
    }
    names
}

fn first_name(path: &str) -> String {
    path.trim_start().chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

/// The number of files, and each use of a higher layer.
fn upward_uses() -> (usize, Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut upward) = (Vec::new(), Vec::new());
    sources(&root, &mut files);
    for file in &files {
        let relative = file.strip_prefix(&root).unwrap();
        let module = relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        let layer = layer_of(module).unwrap_or_else(|| panic!("the module `{module}` is in no layer"));
        for name in names_used(&fs::read_to_string(file).unwrap()) {
            let used = layer_of(&name).unwrap_or_else(|| panic!("{}: `{name}` is in no layer", relative.display()));
            if used > layer {
                upward.push(format!("{} ({}) uses `{name}`", relative.display(), LAYERS[layer].name));
            }
        }
    }
    (files.len(), upward)
}

#[test]
fn no_module_uses_one_above_it() {
    let (file_count, upward) = upward_uses();
    assert!(file_count > 40, "only {file_count} files were found");
    assert_eq!(upward, Vec::<String>::new());
}

#[test]
fn a_use_is_found_however_it_is_written() {
    let source = "use crate::{Error, lend::Hold};\n// crate::ignored\nfn f() { crate::store::g() }\nuse crate::raw;";
    assert_eq!(names_used(source), ["Error", "lend", "store", "raw"]);
}
