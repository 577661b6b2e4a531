//! README.md and the pages: their commands are run and the output compared, their code is compiled, their links lead
//! somewhere.
//!
//! In a block marked `console`, a line `$ command` is a command. The lines up to the next command are its output, from both
//! streams. Addresses differ from run to run, so pages write them as `0x…`.
//!
//! A block marked `text,report` has lines of what the command before it prints.
//!
//! A block marked `rust` is compiled by the doctests of the crate that includes its page. One marked `rust,ignore` is a part
//! of a program in the repository, letter for letter.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Commands that are not run here, because they start the tests or take long.
const NOT_RUN: &[&str] = &[
    "cargo test",
    "cargo test -p offheap-v8",
    "bash .ci/run",
    "bash .ci/v8-150",
    "bash .ci/datafusion",
    r#"cargo run --release --manifest-path integrations/datafusion/Cargo.toml --bin offheap-sql -- "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT AS 'x => x * 2 + 1'" "SELECT sum(f(value)) AS s FROM generate_series(1, 1000000) AS t(value)""#,
    "cargo run --release --manifest-path integrations/datafusion/Cargo.toml --bin offheap-sql -- \"SELECT 6 * 7\"",
    "cargo run --release --manifest-path integrations/datafusion/Cargo.toml --example geomean",
    "cargo run --release --manifest-path integrations/datafusion/Cargo.toml --example speed",
    "cargo run --release --manifest-path integrations/datafusion/Cargo.toml --features ballista --example two_executors",
    "cargo update -p v8@152.2.0 --precise 150.4.0",
    "cargo run --manifest-path examples/deno/Cargo.toml",
    "bash peers-unsound/check",
    "bash peers-unsound/check rquickjs ours",
    "bash peers-unsound/check v8",
    "cargo bench -p benches --bench peers",
    "cargo bench -p benches --bench ledger",
    "cargo test -p offheap-ledger",
    "cargo bench -p offheap-v8 --bench peers",
    "cargo bench -p offheap-cli --features v8 --bench map",
    "cargo run -p offheap-arrow --features v8 --example functions",
    "cargo bench -p offheap-arrow --features v8 --bench peers",
    "cargo bench --manifest-path peers-arrow/Cargo.toml",
    "cd crates/offheap-node && npm run bench",
    "cd crates/offheap-npm && npm run bench",
];

/// Whether a command needs V8, and this test was built without it. CI builds it with the feature if V8 is at hand.
fn lacks_v8(command: &str) -> bool {
    let needs = command.contains("--features v8") || command.contains("-p offheap-v8");
    needs && !cfg!(feature = "v8")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace's root")
}

struct Shown {
    command: String,
    output: String,
}

fn commands(document: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            shown.push(Shown { command: command.to_owned(), output: String::new() });
        } else if inside {
            let last = shown.last_mut().expect("a console block begins with a command");
            last.output.push_str(line);
            last.output.push('\n');
        }
    }
    shown
}

/// Each command ends with status 0, except those that show a mistake.
fn expected_status(command: &str) -> i32 {
    match command.rsplit('/').next() {
        Some("leak.js" | "leak.jsonl" | "grows.jsonl" | "double_free.js") => 3,
        Some("wrong_constructor.js") => 1,
        _ => 0,
    }
}

/// The command without cargo, on the binaries of this test run.
fn direct(command: &str) -> String {
    // `NAME=VALUE cargo run ..`
    if let Some((variable, rest)) = command.split_once(' ').filter(|(word, _)| word.contains('=')) {
        return format!("{variable} {}", direct(rest));
    }
    let offheap = env!("CARGO_BIN_EXE_offheap");
    for run in ["cargo run --release -- ", "cargo run --release --features v8 -- "] {
        if let Some(arguments) = command.strip_prefix(run) {
            return format!("'{offheap}' {arguments}");
        }
    }
    for package in ["offheap-quickjs", "offheap-v8", "offheap-conformance"] {
        if let Some(name) = command.strip_prefix(&format!("cargo run --release -p {package} --example ")) {
            return format!("'{}'", example(package, name).display());
        }
    }
    assert!(command.starts_with("printf "), "this test does not know how to run: {command}");
    command.to_owned()
}

fn example(package: &str, name: &str) -> PathBuf {
    let profile = Path::new(env!("CARGO_BIN_EXE_offheap")).parent().expect("a folder of binaries");
    let path = profile.join("examples").join(name);
    // `cargo test` in the root has just built it, `cargo test -p offheap-cli` has not.
    if modified(&path) < newest_source() {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "-p", package, "--example", name]).status();
        assert!(built.expect("cargo runs").success());
    }
    path
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

/// When a source file of a crate or of an example was last written.
fn newest_source() -> Option<SystemTime> {
    let sources = files("crates", "").into_iter().flat_map(|package| files_below(&package));
    sources.filter(|file| file.ends_with(".rs")).map(|file| modified(&root().join(file))).max().flatten()
}

fn mask_addresses(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("0x") {
        let (before, address) = rest.split_at(at);
        masked.push_str(before);
        masked.push_str("0x…");
        rest = address[2..].trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '…');
    }
    masked + rest
}

fn run(page: &str, command: &str) -> String {
    let root = root();
    fs::create_dir_all(root.join("target")).expect("the folder that commands write to");
    let name = format!("offheap-{}-{}", std::process::id(), page.replace('/', "-"));
    let output = std::env::temp_dir().join(name);
    let file = File::create(&output).expect("a file for the output");
    let status = Command::new("sh")
        .args(["-c", &direct(command)])
        .current_dir(root)
        .stdout(file.try_clone().expect("one file for both streams"))
        .stderr(file)
        .status()
        .expect("the command runs");
    assert_eq!(status.code(), Some(expected_status(command)), "{page}: $ {command}");
    let text = fs::read_to_string(&output).expect("its output");
    fs::remove_file(output).expect("its output can be removed");
    text
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The names in a folder that end so, as paths from the root.
fn files(folder: &str, end: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name is text"));
    let names = names.filter(|name| name.ends_with(end));
    let mut paths: Vec<String> =
        names.map(|name| if folder == "." { name } else { format!("{folder}/{name}") }).collect();
    paths.sort();
    paths
}

/// README.md and all pages in docs/.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    pages.extend(files("docs", ".md"));
    assert!(pages.len() > 1, "docs/ has no page");
    pages
}

fn run_commands_of(page: &str) {
    for Shown { command, output } in commands(&read(page)) {
        if NOT_RUN.iter().any(|not_run| command.split(" #").next().map(str::trim) == Some(not_run)) {
            continue;
        }
        if lacks_v8(&command) {
            println!("left out, without the feature v8: {command}");
            continue;
        }
        let seen = run(page, &command);
        // A command that is shown without output is only run.
        if !output.is_empty() || command.starts_with("printf ") {
            assert_eq!(mask_addresses(&seen), mask_addresses(&output), "{page}: $ {command}");
        }
        for line in parts_of_report(&read(page), &command) {
            assert!(seen.contains(line), "{page}: $ {command}\nhas no\n{line}\nbut\n{seen}");
        }
    }
}

#[test]
fn commands_print_what_their_pages_show() {
    for page in pages() {
        run_commands_of(&page);
    }
}

/// The lines of the blocks that are marked `text,report` and follow this command: parts of what it prints. Times differ from
/// run to run, so no such line has one.
fn parts_of_report<'a>(page: &'a str, command: &str) -> Vec<&'a str> {
    let (mut last, mut mark, mut parts) = ("", "", Vec::new());
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(new) => mark = new,
            None if mark == "console" => last = line.strip_prefix("$ ").unwrap_or(last),
            None if mark == "text,report" && last == command => parts.push(line.trim_end()),
            None => {}
        }
    }
    parts
}

/// The blocks of a page that are marked `rust`, each with its whole mark.
fn rust_blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let text = read(page);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(mark) = line.strip_prefix("```").filter(|mark| !mark.is_empty()) {
            let code: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if mark.split(',').next() == Some("rust") {
                blocks.push((mark.to_owned(), code.join("\n")));
            }
        }
    }
    blocks
}

/// Code without the indentation of its lines, since a page shows a part of a function from its left edge.
fn without_indentation(code: &str) -> String {
    code.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

/// The programs that pages may show parts of.
fn programs() -> Vec<String> {
    let folders = [
        "crates/offheap-quickjs/examples",
        "crates/offheap-v8/examples",
        "crates/offheap-arrow/examples",
        "crates/offheap-conformance/examples",
        "crates/offheap-node/examples/addon/src",
        "examples/deno/src",
        "integrations/datafusion/examples",
        "peers-unsound/rquickjs/src",
        "peers-unsound/v8/src",
    ];
    folders.iter().flat_map(|folder| files(folder, ".rs")).map(|file| without_indentation(&read(&file))).collect()
}

#[test]
fn code_on_pages_is_compiled() {
    let programs = programs();
    let crates: Vec<String> = files("crates", "")
        .iter()
        .filter_map(|name| fs::read_to_string(root().join(name).join("src/lib.rs")).ok())
        .collect();
    for page in pages() {
        let included = format!("include_str!(\"../../../{page}\")");
        let doctested = crates.iter().filter(|source| source.contains(&included)).count();
        for (mark, code) in rust_blocks(&page) {
            if mark == "rust,ignore" {
                let code = without_indentation(&code);
                assert!(
                    programs.iter().any(|program| program.contains(&code)),
                    "{page}: not a part of a program:\n{code}"
                );
            } else {
                assert_eq!(doctested, 1, "{page}: one crate includes the page in its doctests");
            }
        }
    }
}

/// The anchors that GitHub makes of a page's headings.
fn anchors(text: &str) -> HashSet<String> {
    let mut anchors = HashSet::new();
    let mut inside = false;
    for line in text.lines() {
        inside ^= line.starts_with("```");
        if let (false, Some((marks, heading))) = (inside, line.split_once(' '))
            && !marks.is_empty()
            && marks.chars().all(|mark| mark == '#')
        {
            let kept = heading.to_lowercase().replace(' ', "-");
            anchors.insert(kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect());
        }
    }
    anchors
}

/// The targets of `[text](target)`, outside of code blocks.
fn links(text: &str) -> Vec<String> {
    let mut inside = false;
    let prose = text.lines().filter(|line| {
        let mark = line.starts_with("```");
        inside ^= mark;
        !mark && !inside
    });
    let prose = prose.collect::<Vec<_>>().join("\n");
    prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

#[test]
fn links_lead_somewhere() {
    let pages = files(".", ".md").into_iter().chain(files("docs", ".md")).chain(["peers-unsound/README.md".to_owned()]);
    for page in pages {
        let text = read(&page);
        for link in links(&text).iter().filter(|link| !link.starts_with("https://")) {
            let (file, anchor) = link.split_once('#').map_or((&link[..], None), |(file, anchor)| (file, Some(anchor)));
            let target = Path::new(&page).parent().expect("a folder").join(file);
            let target = if file.is_empty() { PathBuf::from(&page) } else { target };
            assert!(root().join(&target).exists(), "{page}: {link} leads nowhere");
            if let Some(anchor) = anchor {
                let target = read(target.to_str().expect("a path is text"));
                assert!(anchors(&target).contains(anchor), "{page}: {link} has no such heading");
            }
        }
    }
}

/// The files in a folder and in its folders, as paths from the root.
fn files_below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}")) {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("a name is text"));
        match entry.file_type().expect("a type").is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

/// The parts of a text between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn unsafe_code_is_where_safety_says() {
    let safety = read("SAFETY.md");
    let (_, table) = safety.split_once("## Where unsafe code is").expect("the table");
    let mut listed = Vec::new();
    let mut package = "";
    for line in table.lines().skip(4).take_while(|line| line.starts_with('|')) {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        package = cells.next().and_then(|cell| quoted(cell).next()).unwrap_or(package);
        let folder = format!("crates/{package}");
        listed.extend(quoted(cells.next().expect("a second cell")).map(|path| format!("{folder}/{path}")));
    }
    listed.retain(|path| path.contains("/src/"));
    for path in &listed {
        assert!(root().join(path).exists(), "SAFETY.md: {path} is not there");
    }
    for package in files("crates", "") {
        for file in files_below(&format!("{package}/src")) {
            if file.ends_with(".rs") && read(&file).contains("allow(unsafe_code") {
                assert!(listed.iter().any(|path| file.starts_with(path)), "SAFETY.md does not list {file}");
            }
        }
    }
}

#[test]
fn files_that_documents_name_are_there() {
    for document in ["ARCHITECTURE.md", "SAFETY.md", "CONTRIBUTING.md"] {
        for path in quoted(&read(document)) {
            if path.starts_with("crates/") || path.starts_with(".ci/") || path.starts_with("peers-unsound/") {
                assert!(root().join(path).exists(), "{document}: {path} is not there");
            }
        }
    }
}
