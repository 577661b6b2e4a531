//! The commands of README.md and of the documents, run as they stand there, with their output compared.
//!
//! A line `$ command` in a block marked `console` is a command, and what follows up to the next one is its output, of
//! both streams. Addresses differ from run to run, so the documents write them as `0x…`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Commands that are not run here: they are this test run, or take long. CI runs them.
const NOT_RUN: &[&str] = &[
    "cargo test",
    "cargo test -p offheap-v8",
    "bash .ci/run",
    "cargo bench -p benches --bench peers",
    "cargo bench -p offheap-v8 --bench peers",
    "cargo bench -p offheap-cli --features v8 --bench map",
];

/// What needs V8 is run where this test has it: with the feature, as CI does where V8 is at hand.
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

/// The documents say which commands end with another status than 0.
fn expected_status(command: &str) -> i32 {
    match command.rsplit('/').next() {
        Some("leak.js" | "double_free.js") => 3,
        Some("wrong_constructor.js") => 1,
        _ => 0,
    }
}

/// The same command without cargo around it, and with the binaries of this test run.
fn direct(command: &str) -> String {
    let offheap = env!("CARGO_BIN_EXE_offheap");
    for run in ["cargo run --release -- ", "cargo run --release --features v8 -- "] {
        if let Some(arguments) = command.strip_prefix(run) {
            return format!("'{offheap}' {arguments}");
        }
    }
    for package in ["offheap-quickjs", "offheap-v8"] {
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
    if !path.exists() {
        // `cargo test` in the root builds it; `cargo test -p offheap-cli` does not.
        let built = Command::new(env!("CARGO")).args(["build", "-p", package, "--example", name]).status();
        assert!(built.expect("cargo runs").success());
    }
    path
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

fn run(document: &str, command: &str) -> String {
    let root = root();
    fs::create_dir_all(root.join("target")).expect("the folder that the documents write to");
    let name = format!("offheap-{}-{}", std::process::id(), document.replace('/', "-"));
    let output = std::env::temp_dir().join(name);
    let file = File::create(&output).expect("a file for the output");
    let status = Command::new("sh")
        .args(["-c", &direct(command)])
        .current_dir(root)
        .stdout(file.try_clone().expect("one file for both streams"))
        .stderr(file)
        .status()
        .expect("the command runs");
    assert_eq!(status.code(), Some(expected_status(command)), "{document}: $ {command}");
    let text = fs::read_to_string(&output).expect("its output");
    fs::remove_file(output).expect("its output can go");
    text
}

fn check(document: &str) {
    let text = fs::read_to_string(root().join(document)).expect("the document");
    let shown = commands(&text);
    assert!(!shown.is_empty(), "{document} shows no command");
    for Shown { command, output } in shown {
        if NOT_RUN.iter().any(|not_run| command.split(" #").next().map(str::trim) == Some(not_run)) {
            continue;
        }
        if lacks_v8(&command) {
            println!("left out, without the feature v8: {command}");
            continue;
        }
        let seen = run(document, &command);
        // A command that is shown without output is only run.
        if !output.is_empty() || command.starts_with("printf ") {
            assert_eq!(mask_addresses(&seen), mask_addresses(&output), "{document}: $ {command}");
        }
    }
}

#[test]
fn what_the_readme_shows_is_what_happens() {
    check("README.md");
}

#[test]
fn the_readme_shows_the_whole_example() {
    let example = root().join("crates/offheap-quickjs/examples/round_trip.rs");
    let example = fs::read_to_string(example).expect("the example");
    let (_, code) = example.split_once("\n\n").expect("a comment first");
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    assert!(readme.contains(&format!("```rust\n{code}```")), "the README's first program is not that of the example");
}

#[test]
fn what_the_document_on_the_buffer_shows_is_what_happens() {
    check("docs/manually-externalized-buffer.md");
}
