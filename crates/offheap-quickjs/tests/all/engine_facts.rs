//! Facts of QuickJS-NG 0.16.2 that the adapter relies on. If an upgrade changes one, a test fails here, and no user
//! has to find out.

use std::ffi::c_void;
use std::ptr;

use offheap_quickjs::rquickjs::{Context, Ctx, Runtime, Value, qjs};
use offheap_quickjs::{Isolate, QUICKJS_VERSION};

use crate::common::{in_own_context, run};

/// The calls of the callback, in order.
#[derive(Default)]
struct Asked {
    sizes: Vec<usize>,
    /// The callback's result for sizes other than 0; null refuses.
    answer: Option<*mut u8>,
}

unsafe extern "C" fn callback(
    _rt: *mut qjs::JSRuntime,
    opaque: *mut c_void,
    data: *mut c_void,
    size: qjs::size_t,
) -> *mut c_void {
    // SAFETY: the opaque of the buffers below, which outlives them.
    let asked = unsafe { &mut *opaque.cast::<Asked>() };
    asked.sizes.push(size as usize);
    match size {
        0 => ptr::null_mut(),
        _ => asked.answer.map_or(data, |answer| answer.cast()),
    }
}

/// Makes a buffer over `memory` the global `b`.
fn expose<'js>(ctx: &Ctx<'js>, memory: &mut [u64], max_byte_length: usize, asked: &mut Asked) -> Value<'js> {
    let byte_length = size_of_val(memory) / if max_byte_length == 0 { 1 } else { 2 };
    // SAFETY: the memory and the opaque outlive the runtime.
    let value = unsafe {
        qjs::JS_NewArrayBuffer(
            ctx.as_raw().as_ptr(),
            memory.as_mut_ptr().cast(),
            byte_length as qjs::size_t,
            max_byte_length as qjs::size_t,
            Some(callback),
            ptr::from_mut(asked).cast(),
            false,
        )
    };
    // SAFETY: the call above returned an owned value.
    let value = unsafe { Value::from_raw(ctx.clone(), value) };
    ctx.globals().set("b", value.clone()).unwrap();
    value
}

/// The sizes that the callback is asked for while `source` runs with `b`, a buffer of 16 bytes, and after that at
/// the end of the runtime.
fn asked_by(source: &str, max_byte_length: usize) -> (Vec<usize>, Vec<usize>) {
    let mut memory = [0_u64; 4];
    let mut asked = Asked::default();
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    let memory = if max_byte_length == 0 { &mut memory[..2] } else { &mut memory[..] };
    context.with(|ctx| {
        expose(&ctx, memory, max_byte_length, &mut asked);
        run(&ctx, source);
    });
    runtime.run_gc();
    let during = std::mem::take(&mut asked.sizes);
    drop(context);
    drop(runtime);
    (during, asked.sizes)
}

#[test]
fn the_library_says_that_it_is_the_version_that_was_measured() {
    // SAFETY: returns a constant string.
    let version = unsafe { qjs::JS_GetVersion() };
    // SAFETY: the string ends with NUL.
    let version = unsafe { std::ffi::CStr::from_ptr(version) };
    assert_eq!(version.to_str().unwrap(), QUICKJS_VERSION);
}

#[test]
fn a_buffer_that_loses_its_last_reference_asks_for_0_once() {
    assert_eq!(asked_by("delete globalThis.b", 0), (vec![0], vec![]));
}

#[test]
fn a_buffer_in_a_cycle_asks_for_0_once_when_it_is_collected() {
    assert_eq!(asked_by("b.self = { b }; delete globalThis.b", 0), (vec![0], vec![]));
}

#[test]
fn a_buffer_that_lives_asks_for_0_once_when_its_runtime_ends() {
    assert_eq!(asked_by("", 0), (vec![], vec![0]));
    assert_eq!(asked_by("b.self = { b }", 0), (vec![], vec![0]));
}

#[test]
fn detaching_asks_for_0_once() {
    let mut memory = [0_u64; 2];
    let mut asked = Asked::default();
    in_own_context(|ctx| {
        let value = expose(ctx, &mut memory, 0, &mut asked);
        for _ in 0..2 {
            // SAFETY: a live buffer.
            unsafe { qjs::JS_DetachArrayBuffer(ctx.as_raw().as_ptr(), value.as_raw()) };
        }
        run(ctx, "if (!b.detached || b.byteLength !== 0) throw 1");
    });
    assert_eq!(asked.sizes, [0]);
}

#[test]
fn a_transfer_to_the_same_length_moves_the_memory_and_asks_nothing() {
    for transfer in ["transfer()", "transfer(16)", "transferToFixedLength()", "transferToImmutable()"] {
        let source =
            format!("new Uint8Array(b)[3] = 7; globalThis.b = b.{transfer}; if (new Uint8Array(b)[3] !== 7) throw 1");
        assert_eq!(asked_by(&source, 0), (vec![], vec![0]), "{transfer}");
    }
}

#[test]
fn a_transfer_to_another_length_asks_for_it() {
    assert_eq!(asked_by("globalThis.b = b.transfer(8)", 0), (vec![8], vec![0]));
    assert_eq!(asked_by("new Uint8Array(b).fill(1); globalThis.b = b.transfer(8)", 32), (vec![8], vec![0]));
}

#[test]
fn a_transfer_to_0_lets_go_and_makes_a_buffer_of_the_engines_own() {
    assert_eq!(
        asked_by("globalThis.b = b.transfer(0); if (b.byteLength !== 0 || b.detached) throw 1", 0),
        (vec![0], vec![])
    );
}

#[test]
fn a_resize_asks_for_the_length_and_for_one_byte_where_it_is_0() {
    assert_eq!(asked_by("b.resize(32); b.resize(0); b.resize(1)", 32), (vec![32, 1, 1], vec![0]));
}

#[test]
fn what_a_buffer_grows_by_is_zeroed_by_the_engine() {
    let mut memory = [u64::MAX; 4];
    let mut asked = Asked::default();
    in_own_context(|ctx| {
        expose(ctx, &mut memory, 32, &mut asked);
        run(ctx, "b.resize(32); if (new Uint8Array(b)[15] !== 255 || new Uint8Array(b)[16] !== 0) throw 1");
    });
    assert_eq!(memory[2..], [0, 0]);
}

#[test]
fn a_refused_transfer_throws_and_the_buffer_stays() {
    let mut memory = [5_u64; 2];
    let mut asked = Asked { answer: Some(ptr::null_mut()), ..Asked::default() };
    in_own_context(|ctx| {
        expose(ctx, &mut memory, 0, &mut asked);
        run(ctx, "try { b.transfer(8); throw 1 } catch (e) { if (!/out of memory/.test(e)) throw e }");
        run(ctx, "if (b.detached || new BigUint64Array(b)[1] !== 5n) throw 1");
    });
    assert_eq!(asked.sizes, [8, 0]);
}

#[test]
fn null_data_would_silently_replace_the_callback() {
    let mut asked = Asked::default();
    in_own_context(|ctx| {
        // SAFETY: length 0 at null; the opaque outlives the runtime.
        let value = unsafe {
            let opaque = ptr::from_mut(&mut asked).cast();
            qjs::JS_NewArrayBuffer(ctx.as_raw().as_ptr(), ptr::null_mut(), 0, 0, Some(callback), opaque, false)
        };
        // SAFETY: the call above returned an owned value.
        drop(unsafe { Value::from_raw(ctx.clone(), value) });
    });
    assert_eq!(asked.sizes, [0; 0], "why the adapter never passes null");
}

#[test]
fn a_buffer_that_was_not_made_is_not_freed() {
    let mut memory = [0_u64; 2];
    let mut asked = Asked::default();
    in_own_context(|ctx| {
        // SAFETY: the length is refused before the memory is accessed.
        let value = unsafe {
            let (data, opaque) = (memory.as_mut_ptr().cast(), ptr::from_mut(&mut asked).cast());
            qjs::JS_NewArrayBuffer(ctx.as_raw().as_ptr(), data, 1 << 31, 0, Some(callback), opaque, false)
        };
        // SAFETY: only reads the tag.
        assert!(unsafe { qjs::JS_IsException(value) });
        assert!(ctx.catch().is_error());
    });
    assert_eq!(asked.sizes, [0; 0]);
}

#[test]
fn a_finalization_registry_is_told_of_a_buffer_over_foreign_memory_by_a_microtask() {
    let mut memory = [0_u64; 2];
    let mut asked = Asked::default();
    in_own_context(|ctx| {
        expose(ctx, &mut memory, 0, &mut asked);
        run(ctx, "globalThis.told = 0; globalThis.r = new FinalizationRegistry((by) => told += by); r.register(b, 3)");
        run(ctx, "delete globalThis.b; if (told !== 0) throw 1");
        assert_eq!(asked.sizes, [0], "the memory goes first");
        while ctx.execute_pending_job() {}
        run(ctx, "if (told !== 3) throw told");
    });
}

#[test]
fn the_layout_of_this_version_is_known() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(3)").unwrap();
        scope.externalize(&buffer).unwrap();
    });
}
