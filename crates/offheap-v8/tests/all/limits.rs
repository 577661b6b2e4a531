//! Limits that an embedder sets: on the bytes of script's buffers, and on its time.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use offheap_v8::{Error, Isolate, IsolateBuilder, IsolateExt, Scope, v8};

use crate::common::{in_child, numbered, start};

const LIMIT: usize = 1 << 20;

/// Isolates with a limit of 1 MiB, one for each allocator. The work is told whether the memory is V8's own.
fn with_each_allocator(work: impl Fn(&mut Scope<'_>, bool)) {
    start();
    for (builder, is_v8s) in [
        (Isolate::builder(), false),
        (Isolate::builder().buffer_alignment(64), false),
        (Isolate::builder().v8_allocator(), true),
    ] {
        let mut isolate = builder.max_buffer_bytes(LIMIT).build().unwrap();
        isolate.enter(|scope| work(scope, is_v8s));
    }
}

/// What the expression gives, or the error that it throws, as a string.
fn outcome(scope: &mut Scope<'_>, expression: &str) -> String {
    let source = format!("(() => {{ try {{ return String({expression}) }} catch (error) {{ return error.name }} }})()");
    scope.eval::<String>(&source).unwrap()
}

#[test]
fn whatever_makes_a_buffer_beyond_the_limit_throws_a_range_error() {
    with_each_allocator(|scope, _| {
        for (fits, refused) in [
            ("new ArrayBuffer(2 ** 20).byteLength", "new ArrayBuffer(2 ** 20 + 1)"),
            ("new SharedArrayBuffer(2 ** 20).byteLength", "new SharedArrayBuffer(2 ** 20 + 1)"),
            ("new Float64Array(2 ** 17).byteLength", "new Float64Array(2e9)"),
            ("new Uint8Array(2 ** 19).slice().length * 2", "new Uint8Array(2 ** 19 + 1).slice()"),
            ("new Uint8Array(2 ** 19).map(x => x).length * 2", "new Uint8Array(2 ** 19 + 1).map(x => x)"),
            ("new ArrayBuffer(2 ** 19).slice(0).byteLength * 2", "new ArrayBuffer(2 ** 19 + 1).slice(0)"),
            ("new ArrayBuffer(9).transfer(2 ** 20 - 9).byteLength + 9", "new ArrayBuffer(9).transfer(2 ** 20)"),
            ("Uint8Array.from({ length: 2 ** 20 }).length", "Uint8Array.from({ length: 2 ** 20 + 1 })"),
        ] {
            assert_eq!(outcome(scope, fits), "1048576", "{fits}");
            assert_eq!(outcome(scope, refused), "RangeError", "{refused}");
        }
        // The scope's own buffers are made by V8 too.
        assert!(
            matches!(scope.allocate(LIMIT + 1, None), Err(Error::Script(error)) if error.message().contains("RangeError"))
        );
        assert!(scope.allocate(LIMIT, None).is_ok());
    });
}

#[test]
fn the_sum_counts_and_memory_that_is_freed_counts_no_longer() {
    with_each_allocator(|scope, is_v8s| {
        scope.eval::<()>("globalThis.kept = [new ArrayBuffer(2 ** 19), new Float32Array(2 ** 16)]; 0").unwrap();
        assert_eq!(outcome(scope, "new ArrayBuffer(2 ** 18 + 1)"), "RangeError");
        // What script has dropped is collected, also many times over.
        assert_eq!(outcome(scope, "(() => { for (let n = 0; n < 200; n++) new ArrayBuffer(2 ** 18) })()"), "undefined");
        scope.eval::<()>("kept = null; undefined").unwrap();
        assert_eq!(outcome(scope, "new ArrayBuffer(2 ** 20).byteLength"), "1048576");
        // Native code takes a buffer over: our allocator hands out the memory itself, V8 a reference to its own.
        let taken = scope.eval_buffer("new ArrayBuffer(2 ** 20)").unwrap();
        let store = scope.externalize(&taken).unwrap();
        assert_eq!(outcome(scope, "new ArrayBuffer(1)"), "RangeError");
        scope.detach(&taken, None).unwrap();
        assert_eq!(outcome(scope, "new ArrayBuffer(1).byteLength"), if is_v8s { "RangeError" } else { "1" });
        drop(store);
        assert_eq!(outcome(scope, "new ArrayBuffer(1).byteLength"), "1");
    });
}

#[test]
fn what_does_not_count_is_what_the_docs_say() {
    with_each_allocator(|scope, _| {
        for uncounted in [
            "new ArrayBuffer(2 ** 21, { maxByteLength: 2 ** 22 }).byteLength",
            "new SharedArrayBuffer(2 ** 21, { maxByteLength: 2 ** 22 }).byteLength",
        ] {
            assert_eq!(outcome(scope, uncounted), "2097152", "{uncounted}");
        }
        let store = numbered(2 * LIMIT);
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("exposed", &buffer).unwrap();
        assert_eq!(outcome(scope, "exposed.byteLength + new ArrayBuffer(2 ** 20).byteLength"), "3145728");
    });
}

#[test]
fn webassembly_s_memory_does_not_count() {
    with_each_allocator(|scope, _| {
        assert_eq!(outcome(scope, "new WebAssembly.Memory({ initial: 32 }).buffer.byteLength"), "2097152");
    });
}

#[test]
fn two_isolates_do_not_notice_each_other_s_limits() {
    start();
    let limited = |limit| Isolate::builder().max_buffer_bytes(limit).build().unwrap();
    let (mut none, mut small, mut free) = (limited(0), limited(100), Isolate::new().unwrap());
    small.enter(|small| {
        assert_eq!(outcome(small, "(globalThis.kept = new Uint8Array(100)).length"), "100");
        free.enter(|free| assert_eq!(outcome(free, "new ArrayBuffer(2 ** 24).byteLength"), "16777216"));
        none.enter(|none| {
            assert_eq!(outcome(none, "new ArrayBuffer(1)"), "RangeError");
            assert_eq!(outcome(none, "new ArrayBuffer(0).byteLength"), "0");
        });
        assert_eq!(outcome(small, "new ArrayBuffer(1)"), "RangeError");
    });
}

#[test]
fn a_program_s_own_allocator_cannot_be_limited() {
    start();
    let builder = Isolate::builder().array_buffer_allocator(v8::new_default_allocator());
    assert!(matches!(builder.max_buffer_bytes(1).build(), Err(Error::Unsupported { .. })));
}

/// Loops of different shapes, which only another thread ends.
const ENDLESS: [&str; 9] = [
    "for (;;);",
    "for (;;) new Array(1000).fill(1.5)",
    "const all = []; for (;;) { all.push(1); all.pop() }",
    "(function f(x) { const a = []; for (;;) { a.push(new Array(1000).fill(x)); if (a.length > 1000) a.length = 0 } })(1.5)",
    "let s = ''; for (;;) { s += 'x'; if (s.length > 1000) s = '' }",
    "/(a+)+b/.test('a'.repeat(40))",
    "for (;;) [3, 2, 1].sort((a, b) => a - b)",
    "const f = () => { try { f() } finally { f() } }; f()",
    "const o = { get x() { for (;;); } }; o.x",
];

/// Runs script, which another thread stops after a while. Ends the process if that does not end it.
fn stop(builder: IsolateBuilder, source: &str) -> Error {
    let mut isolate = builder.build().unwrap();
    let handle = isolate.thread_safe_handle();
    let (ended, wait) = channel::<()>();
    let watch = std::thread::spawn(move || {
        assert_eq!(wait.recv_timeout(Duration::from_millis(300)), Err(RecvTimeoutError::Timeout), "it ends by itself");
        handle.terminate_execution();
        let (begin, began) = (benches::process_cpu_nanoseconds(), Instant::now());
        while wait.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
            // Other programs may have the processors, but not for minutes.
            if benches::process_cpu_nanoseconds() - begin > 10e9 || began.elapsed() > Duration::from_secs(300) {
                std::process::exit(NOT_STOPPED);
            }
        }
    });
    let stopped = isolate.enter(|scope| scope.eval::<()>(&format!("{{ {source} }}; undefined"))).unwrap_err();
    drop(ended);
    watch.join().unwrap();
    stopped
}

const NOT_STOPPED: i32 = 9;

#[test]
fn a_thread_stops_endless_loops_of_every_shape() {
    let Some(output) = in_child("limits::a_thread_stops_endless_loops_of_every_shape") else {
        start();
        for source in ENDLESS {
            let stopped = stop(Isolate::builder(), source);
            assert_eq!(stopped.to_string(), "V8: execution was terminated", "{source}");
        }
        return;
    };
    assert!(output.status.success(), "{:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// If this fails, V8 stops loops that it unrolls, and `start` need not switch that off any more.
#[test]
fn v8_still_cannot_stop_a_loop_that_it_unrolls() {
    let Some(output) = in_child("limits::v8_still_cannot_stop_a_loop_that_it_unrolls") else {
        offheap_v8::start("--turboshaft-loop-unrolling").unwrap();
        stop(Isolate::builder(), ENDLESS[1]);
        return;
    };
    assert_eq!(output.status.code(), Some(NOT_STOPPED), "{}", String::from_utf8_lossy(&output.stderr));
}
