//! A full heap of V8.

use offheap_v8::{Error, Isolate, IsolateBuilder, Scope, ScopeExt, heap_limit_error, v8};

use crate::common::{counted, in_child, start};

const MIB: usize = 1 << 20;
const LIMIT: usize = 32 * MIB;

/// Different scripts that need more memory than the heap has.
const GREEDY: [&str; 9] = [
    "const all = []; for (;;) all.push({ all })",
    "const all = []; for (;;) all.push(new Array(10_000).fill(1.5))",
    // So short a loop that V8 would unroll it, and stop it no more.
    "const all = []; for (;;) all.push(new Array(1000))",
    // Two objects, each larger than the heap.
    "new Array(2 ** 23).fill(1.5); new Array(2 ** 23).fill(1.5); for (;;);",
    "Array.from({ length: 1e9 }, (_, n) => ({ n }))",
    "const all = new Map(); for (let n = 0;; n++) all.set(n, { n })",
    "const all = []; for (let n = 0;; n++) all.push(`${n}`.repeat(100).toUpperCase())",
    "let all = 'x'; for (;;) { all += all + Math.random(); all = all.split('').join('') }",
    "const grow = () => Promise.all(Array.from({ length: 1000 }, grow)); grow()",
];

fn is_full(scope: &mut Scope<'_>, source: &str) -> bool {
    matches!(scope.eval::<()>(source), Err(Error::HeapLimit { keeps_too_much: false, .. }))
}

#[test]
fn b14_a_full_heap_is_an_error_and_all_goes_on() {
    let Some(output) = in_child("heap::b14_a_full_heap_is_an_error_and_all_goes_on") else {
        start();
        let (store, dropped) = counted(vec![7; 64]);
        let mut isolate = Isolate::builder().heap_limits(MIB, LIMIT).build().unwrap();
        isolate.enter(|scope| {
            let buffer = scope.expose(&store).unwrap();
            scope.set_global("buffer", &buffer).unwrap();
            for source in GREEDY {
                let source =
                    format!("(() => {{ try {{ {source} }} catch (e) {{ return e }} finally {{ 1 }} }})(); undefined");
                assert!(is_full(scope, &source), "{source}");
                assert_eq!(scope.eval::<u32>("new Uint8Array(buffer)[63]").unwrap(), 7);
            }
        });
        drop((isolate, store));
        assert_eq!(dropped.get(), 1);
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn b14_script_may_fill_the_heap_again_and_again_in_one_scope_of_the_crate_v8() {
    let Some(output) = in_child("heap::b14_script_may_fill_the_heap_again_and_again_in_one_scope_of_the_crate_v8")
    else {
        start();
        let mut isolate = Isolate::builder().heap_limits(MIB, LIMIT).build().unwrap();
        isolate.enter(|scope| {
            scope.with_v8(|scope| {
                for round in 0..4 {
                    let source = v8::String::new(scope, "(() => { const all = []; for (;;) all.push({}) })()").unwrap();
                    let result = v8::Script::compile(scope, source, None).unwrap().run(scope);
                    assert!(result.is_none() && heap_limit_error(scope).is_some(), "{round}");
                }
                // Nothing is kept, so each round ended near the limit, and not where V8 was given more room.
                assert!(scope.get_heap_statistics().total_heap_size() < 8 * LIMIT);
            });
        });
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn b14_what_fills_the_heap_and_stays_makes_each_call_an_error_until_it_goes() {
    let Some(output) = in_child("heap::b14_what_fills_the_heap_and_stays_makes_each_call_an_error_until_it_goes")
    else {
        start();
        let mut isolate = Isolate::builder().heap_limits(MIB, LIMIT).build().unwrap();
        isolate.enter(|scope| {
            let more = "globalThis.all ??= []; for (;;) all.push({ all })";
            let mut lengths = Vec::new();
            for _ in 0..3 {
                assert!(is_full(scope, more));
                lengths.push(scope.eval::<u32>("all.length").unwrap());
            }
            // The heap does not grow from one time to the next: it stays at about the limit, plus the room to stop.
            assert!(lengths[2] < 8 * lengths[0], "{lengths:?}");
            scope.eval::<()>("all = null; undefined").unwrap();
            scope.collect();
            let made = "Array.from({ length: 100_000 }, (_, n) => ({ n })).length";
            assert_eq!(scope.eval::<u32>(made).unwrap(), 100_000);
            // A scope of the crate `v8` can be left as after any other terminated script.
            scope.with_v8(|scope| {
                assert!(heap_limit_error(scope).is_none());
                let source = offheap_v8::v8::String::new(scope, more).unwrap();
                let script = offheap_v8::v8::Script::compile(scope, source, None).unwrap();
                assert!(script.run(scope).is_none());
                let error = heap_limit_error(scope);
                assert!(matches!(error, Some(Error::HeapLimit { limit: LIMIT, keeps_too_much: false, .. })));
            });
            assert_eq!(scope.eval::<u32>("6 * 7").unwrap(), 42);
        });
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn b14_a_buffer_that_there_is_no_memory_for_is_a_range_error_and_no_full_heap() {
    let Some(output) = in_child("heap::b14_a_buffer_that_there_is_no_memory_for_is_a_range_error_and_no_full_heap")
    else {
        start();
        for builder in [Isolate::builder(), Isolate::builder().v8_allocator()] {
            let mut isolate = builder.heap_limits(MIB, LIMIT).build().unwrap();
            isolate.enter(|scope| {
                let refused = "(() => { try { return new ArrayBuffer(2 ** 40) } catch (e) { for (let n = 0; n < 1e5; n++); return e.name } })()";
                for _ in 0..3 {
                    assert_eq!(scope.eval::<String>(refused).unwrap(), "RangeError");
                }
                for source in GREEDY {
                    let source = format!("(() => {{ {source} }})()");
                    assert!(is_full(scope, &source), "{source}");
                    assert_eq!(scope.eval::<String>(refused).unwrap(), "RangeError");
                    assert!(is_full(scope, &format!("{refused}; {source}")), "{source}");
                }
            });
        }
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn b14_script_that_keeps_what_fills_the_heap_is_run_no_more_before_the_process_ends() {
    let Some(output) =
        in_child("heap::b14_script_that_keeps_what_fills_the_heap_is_run_no_more_before_the_process_ends")
    else {
        start();
        let mut isolate = Isolate::builder().heap_limits(MIB, 16 * MIB).build().unwrap();
        isolate.enter(|scope| {
            let more = "globalThis.all ??= []; for (;;) all.push({ all })";
            for _ in 0..30 {
                assert!(matches!(scope.eval::<()>(more), Err(Error::HeapLimit { .. })));
            }
            let refused = scope.eval::<u32>("6 * 7").unwrap_err().to_string();
            assert!(refused.contains("no more script runs"), "{refused}");
            assert!(matches!(scope.run_microtasks(), Err(Error::HeapLimit { keeps_too_much: true, .. })));
            // This stays so until the program frees memory.
            scope.with_v8(|scope| {
                let source = offheap_v8::v8::String::new(scope, "all = null").unwrap();
                offheap_v8::v8::Script::compile(scope, source, None).unwrap().run(scope).unwrap();
            });
            assert_eq!(scope.eval::<u32>("6 * 7").unwrap(), 42);
        });
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn b14_one_step_that_needs_two_of_the_largest_arrays_is_an_error() {
    let Some(output) = in_child("heap::b14_one_step_that_needs_two_of_the_largest_arrays_is_an_error") else {
        start();
        let mut isolate = Isolate::builder().heap_limits(MIB, LIMIT).build().unwrap();
        isolate.enter(|scope| {
            // V8 copies the array several times while it fills it. It stops nothing before it is done.
            assert!(is_full(scope, "{ const all = new Array(1e8).fill(0); for (;;) all[0] = 1; }"));
            assert_eq!(scope.eval::<u32>("6 * 7").unwrap(), 42);
        });
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The largest size of the memory in which V8 makes objects and moves them once, while script makes many that live for a while.
fn most_for_new_objects(builder: IsolateBuilder) -> usize {
    builder.build().unwrap().enter(|scope| {
        scope.eval::<()>("globalThis.kept = []; undefined").unwrap();
        let sizes = (0..100).map(|_| {
            scope.eval::<()>("for (let n = 0; n < 20_000; n++) kept[n] = { n, x: [n] }; undefined").unwrap();
            scope.with_v8(|scope| {
                let spaces = 0..scope.number_of_heap_spaces();
                let spaces = spaces.map(|index| scope.get_heap_space_statistics(index).unwrap());
                spaces.filter(|space| space.space_name() == c"new_space").map(|space| space.space_size()).sum::<usize>()
            })
        });
        sizes.max().unwrap()
    })
}

#[test]
fn the_young_generation_grows_to_its_limit() {
    start();
    let limited = || Isolate::builder().max_young_bytes(12 * MIB);
    assert!(most_for_new_objects(Isolate::builder()) > 24 * MIB);
    for builder in [limited(), limited().heap_limits(0, 256 * MIB), Isolate::builder().heap_limits(0, 128 * MIB)] {
        let most = most_for_new_objects(builder);
        assert!((4 * MIB..=12 * MIB).contains(&most), "{most}");
    }
}

#[test]
fn any_size_of_the_young_generation_is_accepted() {
    let Some(output) = in_child("heap::any_size_of_the_young_generation_is_accepted") else {
        start();
        for byte_limit in [0, 1, 4096, 300_000, 200 * MIB, 1 << 33, 1 << 40, usize::MAX - 1, usize::MAX] {
            for builder in [Isolate::builder(), Isolate::builder().heap_limits(0, LIMIT)] {
                eprintln!("{byte_limit}");
                let mut isolate = builder.max_young_bytes(byte_limit).build().unwrap();
                let source = "for (let n = 0, kept = []; n < 1e6; n++) kept[n % 20_000] = { n, x: [n] }; 6 * 7";
                assert_eq!(isolate.enter(|scope| scope.eval::<u32>(source)).unwrap(), 42, "{byte_limit}");
            }
        }
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
