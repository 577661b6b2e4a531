//! The folders of unsafe code can be read from the bottom up: no file uses another one that uses it, directly or
//! through others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[test]
fn the_blocks_of_the_core_have_no_circle() {
    assert_eq!(circle(&Folder::read("offheap/src/raw")), None);
}

#[test]
fn what_lends_the_bytes_of_stores_has_no_circle() {
    assert_eq!(circle(&Folder::read("offheap/src/lend")), None);
}

#[test]
fn what_finds_a_store_by_its_address_has_no_circle() {
    assert_eq!(circle(&Folder::read("offheap-engine/src/memory")), None);
}

#[test]
fn the_calls_into_quickjs_have_no_circle() {
    assert_eq!(circle(&Folder::read("offheap-quickjs/src/sys")), None);
}

#[test]
fn the_calls_into_v8_have_no_circle() {
    assert_eq!(circle(&Folder::read("offheap-v8/src/sys")), None);
}

/// The files of a folder by module name, and its `mod.rs`. A subfolder counts as the file of its name.
struct Folder {
    /// The folder's name in the rest of the crate: `sys`.
    name: String,
    module: String,
    files: BTreeMap<String, String>,
}

impl Folder {
    fn read(path: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of all crates").join(path);
        let mut files = BTreeMap::new();
        collect(&folder, None, &mut files);
        let module = files.remove("mod").expect("a folder has its `mod.rs`");
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(files.len() > 1, "{path} has files");
        Folder { name: name.to_owned(), module, files }
    }

    /// The files that each file refers to.
    fn uses(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let reexported = self.reexported();
        let uses_of = |name: &str, source: &str| {
            let named = named_in(source, &self.name);
            let file = |named: &String| self.files.get_key_value(named).map(|(file, _)| file.as_str());
            let files = named.iter().filter_map(|named| file(named).or_else(|| reexported.get(named).copied()));
            files.filter(|&file| file != name).collect()
        };
        self.files.iter().map(|(name, source)| (name.as_str(), uses_of(name, source))).collect()
    }

    /// The names that `mod.rs` re-exports, with their files.
    fn reexported(&self) -> BTreeMap<String, &str> {
        let tokens = tokens(&self.module);
        let mut reexported = BTreeMap::new();
        for (index, token) in tokens.iter().enumerate() {
            if *token != "use" {
                continue;
            }
            let [file, ":", ":", rest @ ..] = &tokens[index + 1..] else { continue };
            let Some((file, _)) = self.files.get_key_value(*file) else { continue };
            let end = rest.iter().position(|&token| token == ";").expect("a `use` ends");
            reexported.extend(rest[..end].iter().map(|name| ((*name).to_owned(), file.as_str())));
        }
        reexported
    }
}

/// Adds the sources in a folder. Those in subfolders count as the file that `file` names.
fn collect(folder: &Path, file: Option<&str>, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        if stem.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            collect(&path, Some(file.unwrap_or(&stem)), files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source");
            files.entry(file.unwrap_or(&stem).to_owned()).or_default().push_str(&source);
        }
    }
}

/// The names that a source uses from its folder: the first one after `super::` or `crate::FOLDER::`, or the first of
/// each path in braces there.
fn named_in(source: &str, folder: &str) -> BTreeSet<String> {
    let tokens = tokens(source);
    let mut named = BTreeSet::new();
    for index in 0..tokens.len() {
        let names = match &tokens[index..] {
            ["super", ":", ":", names @ ..] => names,
            ["crate", ":", ":", there, ":", ":", names @ ..] if *there == folder => names,
            _ => continue,
        };
        let mut depth = 0;
        let mut is_first = true;
        for &token in names {
            match token {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," => is_first = depth == 1,
                _ if is_first => {
                    named.insert(token.to_owned());
                    is_first = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    named
}

/// The words and signs of a source, without comments and without the tests at its end.
fn tokens(source: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        let is_for_tests = line.starts_with("#[cfg(") && line.contains("test");
        if is_for_tests && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{')) {
            break;
        }
        let mut code = line.split("//").next().unwrap_or_default().trim_start();
        while let Some(first) = code.chars().next() {
            let is_word = |char: char| char.is_alphanumeric() || char == '_';
            let end = match is_word(first) {
                true => code.find(|char| !is_word(char)).unwrap_or(code.len()),
                false => first.len_utf8(),
            };
            tokens.push(&code[..end]);
            code = code[end..].trim_start();
        }
    }
    tokens
}

/// Files that use each other in a circle, if there are any. The first one is repeated at the end.
fn circle(folder: &Folder) -> Option<Vec<String>> {
    let uses = folder.uses();
    let mut done = BTreeSet::new();
    uses.keys().find_map(|file| circle_from(file, &uses, &mut Vec::new(), &mut done))
}

fn circle_from<'a>(
    file: &'a str,
    uses: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(begin) = path.iter().position(|&before| before == file) {
        return Some(path[begin..].iter().chain([&file]).map(|&file| file.to_owned()).collect());
    }
    if done.contains(file) {
        return None;
    }
    path.push(file);
    let found = uses[file].iter().find_map(|used| circle_from(used, uses, path, done));
    path.pop();
    done.insert(file);
    found
}

fn folder(module: &str, files: &[(&str, &str)]) -> Folder {
    let files = files.iter().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect();
    Folder { name: "sys".to_owned(), module: module.to_owned(), files }
}

#[test]
fn a_circle_is_found_however_a_file_names_another() {
    for back in [
        "use super::top;",
        "use super::top::{self, Top};",
        "use super::{\n    other,\n    top::{Top, other},\n};",
        "use crate::sys::top::Top;",
        "fn f() { super::top::call() }",
        // This goes through `mod.rs`.
        "use super::{Other, Top};",
        "#[cfg(test)]\nuse super::Top;",
        "#[cfg(all(test, loom))]\nmod loom_tests;\nuse super::Top;",
    ] {
        let files =
            [("top", "use super::middle::Middle;"), ("middle", "use super::bottom;"), ("bottom", back), ("other", "")];
        let found = circle(&folder("#[cfg(test)]\nmod tests;\nmod top;\npub(crate) use top::{First, Top};", &files));
        assert_eq!(found.unwrap().join(" "), "bottom top middle bottom", "{back}");
    }
}

#[test]
fn what_is_no_circle_is_none() {
    let files = [
        ("top", "use super::{bottom, middle::bottom as other};\n// use super::top;"),
        ("middle", "use super::bottom::{top, Bottom};\nuse crate::script::top;"),
        ("bottom", "use std::top;\n#[cfg(test)]\nmod tests {\n    use super::super::top;\n}"),
    ];
    assert_eq!(circle(&folder("use top::Top;\nuse std::bottom;", &files)), None);
}
