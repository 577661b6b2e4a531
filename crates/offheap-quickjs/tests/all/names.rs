//! Names of isolates.

use offheap_quickjs::Isolate;

#[test]
fn an_isolate_has_the_name_that_its_builder_gave() {
    let isolate = Isolate::builder().name("worker").build().unwrap();
    let id = isolate.id();
    assert_eq!(id.name().as_deref(), Some("worker"));
    let shown = id.to_string();
    assert!(shown.starts_with("QuickJS isolate ") && shown.ends_with(" \"worker\""), "{shown}");
    let other = Isolate::new().unwrap();
    assert_eq!(other.id().name(), None);
}

#[test]
fn an_error_shows_the_name_of_an_isolate() {
    let mut first = Isolate::builder().name("first").build().unwrap();
    let mut second = Isolate::builder().name("second").build().unwrap();
    let buffer = first.enter(|scope| scope.allocate(8, None).unwrap().into_handle());
    let refused = second.enter(|scope| scope.externalize(&buffer).map(drop).unwrap_err().to_string());
    assert!(refused.contains("\"first\"") && refused.contains("\"second\""), "{refused}");
}
