//! A scope ends with the call that lent it.
use offheap_quickjs::{Isolate, Scope};

fn main() {
    let mut isolate = Isolate::new().unwrap();
    let mut kept: Option<&mut Scope<'_>> = None;
    isolate.enter(|scope| kept = Some(scope));
    kept.unwrap().eval::<u32>("1").unwrap();
}
