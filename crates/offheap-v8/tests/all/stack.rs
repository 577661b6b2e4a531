//! Threads with less stack than V8 takes for granted.

use std::thread;

use offheap_v8::{Error, Isolate};

use crate::common::in_child;

/// Script that ends the stack, in several ways; each is a `RangeError`, after which all goes on.
const ENDLESS: [&str; 6] = [
    "const again = () => again() + 1; again()",
    "const again = (...all) => all.map(() => again(1, 2, 3)); again(1)",
    "const again = { get again() { return `${this.again}` } }; again.again",
    "eval('('.repeat(1e6))",
    "const again = () => new Uint8Array(9).sort(again); again()",
    "let again = []; for (let n = 0; n < 1e5; n++) again = [again]; String(again)",
];

fn recurse_on_a_thread_of(stack_size: usize) -> Result<(), Error> {
    let thread = thread::Builder::new().stack_size(stack_size).spawn(|| {
        let mut isolate = Isolate::new()?;
        for source in ENDLESS {
            let ended = isolate.enter(|scope| {
                scope.eval::<String>(&format!("(() => {{ try {{ {source} }} catch (e) {{ return e.name }} }})()"))
            })?;
            assert_eq!(ended, "RangeError", "{source}");
        }
        isolate.enter(|scope| scope.eval::<u32>("6 * 7")).map(|answer| assert_eq!(answer, 42))
    });
    thread.unwrap().join().unwrap()
}

#[test]
fn b14_endless_recursion_ends_before_a_small_stack_does() {
    let Some(output) = in_child("stack::b14_endless_recursion_ends_before_a_small_stack_does") else {
        offheap_v8::start("").unwrap();
        for kib in [208, 224, 256, 320, 400, 512, 800, 1000, 1100, 1200, 8192] {
            recurse_on_a_thread_of(kib << 10).unwrap();
            eprintln!("{kib} KiB done");
        }
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn b14_a_thread_with_too_little_stack_has_no_isolate() {
    let Some(output) = in_child("stack::b14_a_thread_with_too_little_stack_has_no_isolate") else {
        offheap_v8::start("").unwrap();
        for kib in [64, 128] {
            let refused = recurse_on_a_thread_of(kib << 10);
            assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
        }
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
