//! Each file of `examples/` has a line that is compiled only with the feature `refused`, and the error that the
//! compiler must report. Without that line the program compiles and runs, so none is refused for another reason.
//! `ours-v8` also runs this file.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn cargo(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn each_program_is_refused_for_the_line_that_says_so() {
    let mut expected = BTreeMap::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../ours/examples")).unwrap() {
        let path = entry.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let codes: Vec<_> = source.split("#[cfg(feature = \"refused\")] // ").skip(1).map(|rest| &rest[..5]).collect();
        let &[code] = &codes[..] else { panic!("exactly one line must be refused in {path:?}") };
        expected.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), code.to_owned());
    }
    assert_eq!(expected.len(), 12);

    for name in expected.keys() {
        let example = format!("{name}{}", if env!("CARGO_PKG_NAME") == "ours-v8" { "_v8" } else { "" });
        let (runs, said) = cargo(&["run", "--quiet", "--example", &example]);
        assert!(runs, "{name} must run without its refused line: {said}");
    }

    let check = ["check", "--quiet", "--examples", "--features", "refused", "--keep-going", "--message-format=short"];
    let (_, said) = cargo(&check);
    let mut refused = BTreeMap::new();
    for line in said.lines() {
        let (Some((place, rest)), Some((_, code))) = (line.split_once(".rs:"), line.split_once(": error[")) else {
            assert!(!line.contains(": error: ") || line.contains("could not compile"), "{line}");
            continue;
        };
        let name = place.rsplit(['/', '\\']).next().unwrap().to_owned();
        let earlier = refused.insert(name, code[..5].to_owned());
        assert!(earlier.is_none_or(|earlier| code.starts_with(&earlier)), "one sort of error is wanted: {rest}");
    }
    assert_eq!(refused, expected, "{said}");
}
