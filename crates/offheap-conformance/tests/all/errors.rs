//! The JavaScript class and the code of each error, on every engine.

use std::collections::HashSet;
use std::mem::discriminant;

use offheap_conformance::one_of_each_error;
use offheap_engine::Error;
use offheap_quickjs::Throw;
use offheap_quickjs::rquickjs::{Context, Runtime};

#[test]
fn there_is_one_error_of_each_sort() {
    let errors = one_of_each_error();
    let mut seen = HashSet::new();
    for error in &errors {
        let is_new = match error {
            Error::Memory(core) => seen.insert(format!("{:?}", discriminant(core))),
            error => seen.insert(format!("engine's {:?}", discriminant(error))),
        };
        assert!(is_new, "two of {error:?}");
    }
    // The number of errors. A new error must be added to this list, too.
    assert_eq!(errors.len(), 36 + 23);
}

#[test]
fn a_code_is_a_word_in_capitals_and_has_one_class() {
    let mut classes = std::collections::HashMap::new();
    for error in one_of_each_error() {
        let code = error.code();
        assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
        let class = *classes.entry(code).or_insert(error.class());
        assert_eq!(class, error.class(), "errors of code {code} have different classes: {error}");
    }
}

#[test]
fn quickjs_throws_each_error_in_its_class() {
    Context::full(&Runtime::new().unwrap()).unwrap().with(|ctx| {
        for error in one_of_each_error() {
            let (class, message, code) = (error.class(), error.to_string(), error.code());
            let _ = error.throw(&ctx);
            let thrown = ctx.catch();
            let thrown = thrown.as_object().unwrap();
            let (name, said): (String, String) = (thrown.get("name").unwrap(), thrown.get("message").unwrap());
            assert_eq!((name.as_str(), said), (class.name(), message));
            assert_eq!(thrown.get::<_, String>("code").unwrap(), code);
        }
    });
}
