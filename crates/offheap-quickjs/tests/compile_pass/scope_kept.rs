//! A scope ends with the call that lent it.
use offheap_quickjs::{Isolate, Scope};

fn main() {
    let mut isolate = Isolate::new().unwrap();
    let work = |scope: &mut Scope<'_>| scope.eval::<u32>("1").unwrap();
    assert_eq!(isolate.enter(work) + isolate.enter(work), 2);
}
