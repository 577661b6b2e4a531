//! No script runs while a slice lives, no matter what native code calls then, and how the call fails.

use std::cell::Cell;

use offheap_quickjs::{Error, Handle, Isolate, IsolateBuilder, JsArrayBuffer, ManuallyExternalizedBuffer, Scope};

thread_local!(static ARMED: Cell<bool> = const { Cell::new(false) });

/// An isolate whose script is interrupted while `ARMED`. QuickJS calls the handler once in 10,000 calls.
fn interruptible() -> IsolateBuilder {
    Isolate::builder().interrupt_handler(|| ARMED.get())
}

/// Script that writes to `target` whenever an error is made, converted, or inspected.
const TRAPS: &str = "
    globalThis.target = new ArrayBuffer(16);
    const write = () => { new Uint8Array(target).fill(255); return 'written' };
    Error.prepareStackTrace = write;
    for (const Kind of [Error, InternalError, TypeError, RangeError]) {
      Kind.prototype.toString = Kind.prototype[Symbol.toPrimitive] = write;
      for (const name of ['name', 'message', 'stack'])
        Object.defineProperty(Kind.prototype, name, { get: write, set: write });
    }
    for (const Buffer of [ArrayBuffer, SharedArrayBuffer])
      for (const name of ['constructor', 'byteLength', 'resize', 'grow'])
        Object.defineProperty(Buffer.prototype, name, { get: write, set: write });
    Function.prototype.call = Function.prototype.apply = Reflect.apply = write;
    WeakRef.prototype.deref = WeakMap.prototype.get = write;
    Object.prototype.toString = Object.prototype.valueOf = write;
    target";

/// The results of this many evaluations of `source`.
fn buffers(scope: &mut Scope<'_>, count: usize, source: &str) -> Vec<Handle<JsArrayBuffer>> {
    (0..count).map(|_| scope.eval_buffer(source).unwrap().into_handle()).collect()
}

const SOURCES: [&str; 4] = [
    "new SharedArrayBuffer(4, { maxByteLength: 64 })",
    "new ArrayBuffer(4, { maxByteLength: 64 })",
    "new ArrayBuffer(4)",
    "new SharedArrayBuffer(4)",
];

#[test]
fn a1_an_interruption_under_a_guard_runs_no_script() {
    for source in SOURCES {
        let mut isolate = interruptible().build().unwrap();
        isolate.enter(|scope| {
            let all = buffers(scope, 24_000, source);
            let target = scope.eval_buffer(TRAPS).unwrap();
            scope.externalize(&target).unwrap();
            let guard = scope.bytes(&target).unwrap();
            ARMED.set(true);
            let mut interrupted = 0;
            for (index, buffer) in all.into_iter().enumerate() {
                scope.state(&buffer).unwrap();
                let result = match index % 2 {
                    0 => scope.bytes(&buffer).map(drop),
                    _ => ManuallyExternalizedBuffer::new(buffer).map(drop).map_err(Error::from),
                };
                interrupted += u32::from(matches!(result, Err(Error::Script { .. })));
            }
            ARMED.set(false);
            assert_eq!(*guard, [0; 16], "{source}");
            assert!(interrupted > 0, "{source}");
        });
    }
}

#[test]
fn a1_a_failure_under_a_guard_runs_no_script() {
    let mut failed = 0;
    for source in SOURCES {
        // The remaining memory decides at which point it fails.
        for left in [1, 64, 256, 512, 1024, 4096] {
            let mut isolate = Isolate::builder().memory_limit(2 << 20).build().unwrap();
            isolate.enter(|scope| {
                let all = buffers(scope, 64, source);
                let target = scope.eval_buffer(TRAPS).unwrap();
                scope.externalize(&target).unwrap();
                let hog = format!(
                    "globalThis.hog = [];
                     for (let length = 1 << 18; length >= {left}; length >>= 1)
                       try {{ for (;;) hog[hog.length] = new ArrayBuffer(length) }} catch {{}}
                     undefined"
                );
                // It may throw, because there is no memory.
                let _ = scope.eval::<()>(&hog);
                scope.bytes_mut(&target).unwrap().fill(0);
                let guard = scope.bytes(&target).unwrap();
                assert_eq!(*guard, [0; 16], "{source}");
                for buffer in all {
                    failed += u32::from(scope.state(&buffer).is_err());
                    failed += u32::from(scope.bytes(&buffer).is_err());
                    failed += u32::from(ManuallyExternalizedBuffer::new(buffer).is_err());
                }
                assert_eq!(*guard, [0; 16], "{source}");
            });
        }
    }
    assert!(failed > 0);
}
