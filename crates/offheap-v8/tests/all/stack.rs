//! Threads with less stack than V8 assumes.

use std::hint::black_box;
use std::thread;

use offheap_v8::{Error, Isolate};

use crate::common::in_child;

/// Different scripts that exhaust the stack. Each gets a `RangeError`, and the isolate stays usable.
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

/// Calls `work` with the stack `byte_length` bytes deeper than `from`.
fn deep_by(from: usize, byte_length: usize, work: &mut dyn FnMut()) {
    let used = [0_u8; 4 << 10];
    match from - black_box(&used).as_ptr().addr() >= byte_length {
        true => work(),
        false => deep_by(from, byte_length, work),
    }
    black_box(&used);
}

/// The depth to which script can call itself: more than a thousand calls in V8's stack for script.
fn depth(isolate: &mut Isolate) -> u32 {
    let source =
        "(() => { let depth = 0; const again = () => { depth++; again() }; try { again() } catch { return depth } })()";
    isolate.enter(|scope| scope.eval::<u32>(source)).unwrap()
}

#[test]
fn b14_an_isolate_runs_script_wherever_on_the_stack_it_is_made_and_entered() {
    let test = "stack::b14_an_isolate_runs_script_wherever_on_the_stack_it_is_made_and_entered";
    let Some(output) = in_child(test) else {
        offheap_v8::start("").unwrap();
        let thread = thread::Builder::new().stack_size(16 << 20).spawn(|| {
            let mut first = Isolate::new().unwrap();
            let here = [0_u8];
            let here = black_box(&here).as_ptr().addr();
            for kib in [0, 500, 1000, 2000, 8000, 15000] {
                deep_by(here, kib << 10, &mut || {
                    assert!(depth(&mut first) > 1000, "entered after {kib} KiB");
                    assert!(depth(&mut Isolate::new().unwrap()) > 1000, "made after {kib} KiB");
                });
            }
            assert!(depth(&mut first) > 1000);
        });
        return thread.unwrap().join().unwrap();
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn b14_where_no_stack_is_left_the_error_says_so() {
    let Some(output) = in_child("stack::b14_where_no_stack_is_left_the_error_says_so") else {
        offheap_v8::start("").unwrap();
        let thread = thread::Builder::new().stack_size(2 << 20).spawn(|| {
            let mut isolate = Isolate::new().unwrap();
            let here = [0_u8];
            deep_by(black_box(&here).as_ptr().addr(), (2 << 20) - (96 << 10), &mut || {
                let error = isolate.enter(|scope| scope.eval::<u32>("6 * 7")).unwrap_err().to_string();
                assert!(error.contains("Maximum call stack size exceeded"), "{error}");
            });
        });
        return thread.unwrap().join().unwrap();
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
