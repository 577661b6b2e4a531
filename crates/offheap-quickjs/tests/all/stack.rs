//! Threads with a smaller stack than QuickJS assumes.

use std::process::Command;
use std::thread;

use offheap_quickjs::{Isolate, is_module};

const CHILD: &str = "OFFHEAP_QUICKJS_STACK_CHILD";

/// Scripts that exhaust the stack in several ways. Each throws a `RangeError`, and script works afterwards.
const ENDLESS: [&str; 6] = [
    "const again = () => again() + 1; again()",
    "const again = (...all) => all.map(() => again(1, 2, 3)); again(1)",
    "let again = []; for (let n = 0; n < 1e5; n++) again = [again]; String(again)",
    "const again = () => new Uint8Array(9).sort(again); again()",
    "let again = [1].values(); for (let n = 0; n < 1e5; n++) again = again.map((x) => x); again.next()",
    "let again = Iterator.from({ __proto__: null, next: () => ({ done: true }) });
     const { next } = Object.getPrototypeOf(again);
     const own = (iterator) => Object.assign(Object.setPrototypeOf(iterator, null), { next });
     for (let n = 0; n < 1e5; n++) again = Iterator.from(own(again));
     again.next()",
];

fn recurse() {
    assert!(!is_module(&"[".repeat(200_000)));
    assert!(is_module("export default [[[[]]]]"));
    let mut isolate = Isolate::new().unwrap();
    for source in ENDLESS {
        let ended = isolate.enter(|scope| {
            scope.eval::<String>(&format!("(() => {{ try {{ {source} }} catch (e) {{ return e.name }} }})()"))
        });
        assert_eq!(ended.unwrap(), "RangeError", "{source}");
    }
    assert_eq!(isolate.enter(|scope| scope.eval::<u32>("6 * 7")).unwrap(), 42);
}

#[test]
fn b14_endless_recursion_ends_before_a_small_stack_does() {
    if std::env::var_os(CHILD).is_some() {
        for kib in [256, 400, 800, 1000, 2048] {
            thread::Builder::new().stack_size(kib << 10).spawn(recurse).unwrap().join().unwrap();
        }
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let test = "stack::b14_endless_recursion_ends_before_a_small_stack_does";
    let output = child.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("running 1 test"));
}
