//! Misuse that the compiler rejects. Each program in `compile_fail` has a corrected twin of the same name in
//! `compile_pass`, so that none is rejected for another reason.

#[test]
fn misuse_is_rejected_and_its_corrected_twin_compiles() {
    let names = |folder: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.filter(|name| name.ends_with(".rs")).collect();
        names.sort();
        names
    };
    assert_eq!(names("compile_fail"), names("compile_pass"));
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
    cases.pass("tests/compile_pass/*.rs");
}
