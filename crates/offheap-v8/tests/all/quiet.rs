//! Functions that run no script: all that take `&self` of a scope, or a handle. Hooks of a program in V8 wait until
//! they return.

use std::cell::Cell;
use std::ffi::c_void;

use offheap_v8::offheap::FrozenStore;
use offheap_v8::{Error, Handle, JsArrayBuffer, ManuallyExternalizedBuffer, Scope, ScopeExt, v8};

use crate::common::{isolate, run, set};

thread_local! {
    /// Counts calls of the program's own code.
    static RAN: Cell<usize> = const { Cell::new(0) };
}

fn note() {
    RAN.set(RAN.get() + 1);
}

fn write(_: &mut v8::PinScope<'_, '_>, _: v8::FunctionCallbackArguments<'_>, _: v8::ReturnValue<'_>) {
    note();
}

fn describe<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _: v8::Local<'s, v8::Value>,
    _: v8::Local<'s, v8::Array>,
) -> v8::Local<'s, v8::Value> {
    note();
    v8::undefined(scope).into()
}

extern "C" fn interrupt(_: v8::UnsafeRawIsolatePtr, _: *mut c_void) {
    note();
}

extern "C" fn collecting(_: v8::UnsafeRawIsolatePtr, _: v8::GCType, _: v8::GCCallbackFlags, _: *mut c_void) {
    note();
}

extern "C" fn promise(_: v8::PromiseHookType, _: v8::Local<'_, v8::Promise>, _: v8::Local<'_, v8::Value>) {
    note();
}

/// Installs script and native code in every place where V8 accepts a hook.
const HOOKS: &str = "
    globalThis.b = new Uint8Array([1, 2, 3, 4]).buffer;
    const getter = { get() { write(); return 1 } };
    for (const name of ['byteLength', 'maxByteLength', 'detached', 'resizable', 'immutable', 'constructor']) {
        Object.defineProperty(ArrayBuffer.prototype, name, { ...getter, configurable: true });
    }
    for (const name of ['valueOf', 'toString', 'maxByteLength', 'message', 'stack', 'then', 'name']) {
        Object.defineProperty(Object.prototype, name, { ...getter, configurable: true });
    }
    Object.defineProperty(b, 'byteLength', getter);
    Error.prepareStackTrace = TypeError.prototype.toString = Error.prototype.toString = () => { write(); return '' };
    Object.defineProperty(Error, 'stackTraceLimit', getter);
    Promise.resolve().then(write); undefined";

fn hook(scope: &mut Scope<'_>) -> v8::Weak<v8::Object> {
    scope.with_v8(|scope| {
        let function = v8::Function::new(scope, write).unwrap();
        set(scope, "write", function.into());
        run(scope, HOOKS);
        scope.set_prepare_stack_trace_callback(describe);
        scope.add_gc_prologue_callback(collecting, std::ptr::null_mut(), v8::GCType::kGCTypeAll);
        scope.set_promise_hook(promise);
        scope.set_microtasks_policy(v8::MicrotasksPolicy::Auto);
        let dead = v8::Object::new(scope);
        assert!(scope.thread_safe_handle().request_interrupt(interrupt, std::ptr::null_mut()));
        v8::Weak::with_finalizer(scope, dead, Box::new(|_: &mut v8::Isolate| note()))
    })
}

fn only_what_guards_allow(scope: &Scope<'_>, buffers: &[Handle<JsArrayBuffer>], other: &Handle<JsArrayBuffer>) {
    for buffer in buffers {
        let length = scope.state(buffer).unwrap().byte_length;
        let held = ManuallyExternalizedBuffer::new(buffer.clone()).unwrap();
        assert_eq!(held.store().byte_length(), length);
        match scope.bytes(buffer) {
            Ok(bytes) => assert_eq!(bytes.len(), length),
            Err(Error::Detached { .. }) => assert!(scope.state(buffer).unwrap().detached),
            Err(error) => assert!(matches!(error, Error::Memory(_) | Error::NotLent { .. }), "{error}"),
        }
        drop(scope.store_bytes(held.store()));
        drop(scope.open(buffer.clone()).unwrap());
    }
    assert!(matches!(scope.state(other), Err(Error::WrongIsolate { .. })));
    assert!(matches!(scope.bytes(other), Err(Error::WrongIsolate { .. })));
}

#[test]
fn a1_nothing_of_a_program_runs_while_a_guard_lives() {
    let (mut isolate, mut second) = (isolate(), isolate());
    let other = second.enter(|scope| scope.eval_buffer("new ArrayBuffer(1)").unwrap().into_handle());
    isolate.enter(|scope| {
        let sources = [
            "new ArrayBuffer(8)",
            "new ArrayBuffer(8, { maxByteLength: 16 })",
            "new SharedArrayBuffer(8)",
            "new SharedArrayBuffer(8, { maxByteLength: 16 })",
            "new ArrayBuffer(8).transferToImmutable()",
            "(() => { const gone = new ArrayBuffer(8); gone.transfer(0); return gone })()",
            "new Uint8Array(4)",
        ];
        let mut buffers: Vec<_> =
            sources.iter().map(|source| scope.eval_buffer(source).unwrap().into_handle()).collect();
        let frozen = FrozenStore::from_owner(&[7_u64; 4][..]).unwrap();
        buffers.push(scope.expose_or_copy(&frozen.clone().into()).unwrap().0.into_handle());
        let _dead = hook(scope);
        let buffer = scope.eval_buffer("b").unwrap().into_handle();
        let guard = scope.bytes(&buffer).unwrap();
        RAN.set(0);
        only_what_guards_allow(scope, &buffers, &other);
        buffers.clear();
        assert_eq!((RAN.get(), &guard[..]), (0, &[1, 2, 3, 4][..]));
        drop(guard);
        let mut guard = scope.bytes_mut(&buffer).unwrap();
        RAN.set(0);
        // Only handles are left then.
        let held = ManuallyExternalizedBuffer::new(buffer.clone()).unwrap();
        guard.fill(9);
        drop((held, buffer.clone()));
        assert_eq!(RAN.get(), 0);
        drop(guard);
        // The hooks were installed: all of them run where they may.
        scope.collect();
        assert!(scope.eval::<()>("null.x").is_err());
        assert!(RAN.get() >= 4, "{}", RAN.get());
    });
}
