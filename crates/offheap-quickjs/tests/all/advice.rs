//! What the compiler says about a type that does not fit: it names the types that do. Doc tests can check only the code
//! of an error, so this test calls the compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The libraries `name` that cargo has built next to this test, the newest first. A library of another set of features may
/// be among them.
fn libraries(name: &str) -> Vec<PathBuf> {
    let this = std::env::current_exe().unwrap();
    let found = fs::read_dir(this.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = found
        .filter(|path| {
            let file = path.file_name().unwrap().to_string_lossy();
            file.starts_with(&format!("lib{name}-")) && file.ends_with(".rlib")
        })
        .collect();
    found.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().modified().unwrap()));
    found
}

/// What the compiler prints for a program that uses this crate.
fn compiled(source: &str, library: &Path, name: &str) -> String {
    let folder = std::env::temp_dir().join(format!("offheap-advice-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("program.rs");
    fs::write(&file, source).unwrap();
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args(["--edition", "2024", "--emit", "metadata", "--crate-type", "lib", "--diagnostic-width", "400"])
        .arg("-L")
        .arg(format!("dependency={}", library.parent().unwrap().display()))
        .arg("--extern")
        .arg(format!("offheap_quickjs={}", library.display()))
        .args(flags.split_whitespace())
        .arg("--out-dir")
        .arg(&folder)
        .arg(&file)
        .output()
        .expect("the compiler runs");
    fs::remove_dir_all(folder).unwrap();
    assert!(!output.status.success(), "this compiles:\n{source}");
    String::from_utf8(output.stderr).unwrap()
}

/// Checks that the compiler refuses the body of a function, and says all of these.
fn says(name: &str, body: &str, expected: &[&str]) {
    let source = format!(
        "#![allow(unused)]\nuse offheap_quickjs::offheap::*;\nuse offheap_quickjs::prelude::*;\n\
         use offheap_quickjs::rquickjs::*;\npub fn program(ctx: Ctx<'_>, store: BackingStore) {{ {body} }}\n"
    );
    let said: Vec<String> =
        libraries("offheap_quickjs").iter().map(|library| compiled(&source, library, name)).collect();
    let is_there = said.iter().any(|said| expected.iter().all(|text| said.contains(text)));
    assert!(
        is_there,
        "{expected:?} is not in what the compiler says:\n{}",
        said.first().expect("the library was built")
    );
}

#[test]
fn a_borrowed_or_shared_owner_is_told_what_to_do() {
    says(
        "owner",
        "UniqueStore::from_owner(std::sync::Arc::<[u8]>::from([1])).unwrap();",
        &["`Arc<[u8]>` cannot be the owner of a store that is written", "use `FrozenStore::from_owner`"],
    );
    says(
        "frozen",
        "let bytes = [1_u8]; FrozenStore::from_owner(std::rc::Rc::<str>::from(\"a\")).unwrap();",
        &["`Rc<str>` cannot be the owner of a frozen store", "an `Arc<[T]>`"],
    );
}

#[test]
fn a_type_that_is_no_element_is_told_which_ones_are() {
    says(
        "element",
        "store.expose_typed::<char>(&ctx, 0, 1).unwrap();",
        &["`char` is not an element of a typed array", "`i64` and `u64` are for arrays of BigInts"],
    );
    says(
        "newtype",
        "Function::new(ctx, |_: Copied<bool>| ()).unwrap();",
        &["`bool` is not an element of a typed array"],
    );
}

#[test]
fn a_type_that_is_no_value_of_script_is_told_which_ones_are() {
    says(
        "value",
        "offheap_quickjs::Isolate::new().unwrap().enter(|scope| scope.eval::<Vec<u8>>(\"1\").unwrap());",
        &["a value of script does not convert to `Vec<u8>`", "`Local<JsArrayBuffer>`"],
    );
}

#[test]
fn an_error_of_another_library_is_told_how_to_throw() {
    says(
        "throw",
        "\"x\".parse::<u32>().or_throw(&ctx).unwrap();",
        &["`ParseIntError` is not an error that offheap throws into script", "Exception::throw_message(&ctx"],
    );
}
