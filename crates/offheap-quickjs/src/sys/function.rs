//! Native functions that script calls.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::rc::Rc;

use offheap::adapter;
use offheap_engine::{FromScript, NativeFunction, PassedArguments};
use rquickjs::{Ctx, Exception, Value, qjs};

use super::own::{Own, Root};
use super::state::with_script_stack;
use super::value::{from_script, to_script};
use crate::Error;
use crate::script::caught;
use crate::throw::Throw;

/// What a function of script has: the opaque of QuickJS's closure.
struct Entry {
    native: NativeFunction<Root>,
    own: Rc<Own>,
}

/// A function of script that calls `native`.
pub(crate) fn new_function<'js>(
    ctx: &Ctx<'js>,
    name: &str,
    native: NativeFunction<Root>,
    own: &Rc<Own>,
) -> Result<Value<'js>, Error> {
    let entry = Rc::into_raw(Rc::new(Entry { native, own: Rc::clone(own) }));
    let raw_ctx = ctx.as_raw().as_ptr();
    // QuickJS makes the closure without a name: if there were no memory for the name, it would have freed the opaque.
    // SAFETY: a live context; the functions take the entry, and do not unwind.
    let function = unsafe {
        qjs::JS_NewCClosure(raw_ctx, Some(call_entry), ptr::null(), Some(free_entry), 0, 0, entry.cast_mut().cast())
    };
    // SAFETY: only reads the tag.
    if unsafe { qjs::JS_IsException(function) } {
        // SAFETY: I-FREE-ONCE: made above, and no closure has it.
        drop(unsafe { Rc::from_raw(entry) });
        return Err(caught(ctx));
    }
    // SAFETY: the call above returned an owned value of the runtime of `ctx`.
    let function = unsafe { Value::from_raw(ctx.clone(), function) };
    // SAFETY: a live context, and a text of this length.
    let text = unsafe { qjs::JS_NewStringLen(raw_ctx, name.as_ptr().cast(), name.len() as qjs::size_t) };
    let flags = qjs::JS_PROP_CONFIGURABLE as c_int;
    // SAFETY: only reads the tag.
    if unsafe { qjs::JS_IsException(text) } {
        return Err(caught(ctx));
    }
    // SAFETY: a live object of a class with ordinary properties; the call takes `text`.
    let defined = unsafe { qjs::JS_DefinePropertyValueStr(raw_ctx, function.as_raw(), c"name".as_ptr(), text, flags) };
    if defined < 0 { Err(caught(ctx)) } else { Ok(function) }
}

/// The arguments of a call, in the context of the caller.
struct Passed<'a> {
    ctx: Ctx<'a>,
    values: &'a [qjs::JSValue],
}

impl PassedArguments<Root> for Passed<'_> {
    fn count(&self) -> usize {
        self.values.len()
    }

    #[inline]
    fn get(&self, index: usize) -> Result<FromScript<Root>, Error> {
        // SAFETY: adds a reference, which the `Value` frees.
        let value = unsafe { qjs::JS_DupValue(self.ctx.as_raw().as_ptr(), self.values[index]) };
        // SAFETY: the call above returned an owned value of the runtime of the context.
        from_script(&self.ctx, &unsafe { Value::from_raw(self.ctx.clone(), value) })
    }
}

unsafe extern "C" fn call_entry(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    argc: c_int,
    argv: *mut qjs::JSValue,
    _magic: c_int,
    opaque: *mut c_void,
) -> qjs::JSValue {
    let entry = opaque.cast_const().cast::<Entry>();
    // The function may lose its last reference during the call.
    // SAFETY: I-FREE-ONCE: the opaque of a live closure is an entry that it has not freed.
    unsafe { Rc::increment_strong_count(entry) };
    // SAFETY: I-FREE-ONCE: takes the reference that was just added.
    let entry = unsafe { Rc::from_raw(entry) };
    let ctx = NonNull::new(ctx).expect("a function is called in a context");
    // SAFETY: a live context, which this thread has: script runs in it.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    if entry.own.is_stack_full() {
        drop(Exception::throw_range(&ctx, "Maximum call stack size exceeded"));
        return qjs::JS_EXCEPTION;
    }
    let values = match usize::try_from(argc) {
        // SAFETY: QuickJS passes this many live values, which the caller keeps during the call.
        Ok(count @ 1..) => unsafe { std::slice::from_raw_parts(argv, count) },
        _ => &[],
    };
    // No guard lives here: script was running. It still counts as a call of QuickJS.
    let _script = with_script_stack(&ctx, adapter::wants_script_stack_of_call());
    let in_function = entry.own.enter_function(ctx.as_raw());
    let passed = Passed { ctx: ctx.clone(), values };
    let returned = entry.native.call(&passed, |returned| {
        match returned.and_then(|value| to_script(&ctx, value)) {
            // SAFETY: adds a reference, which the caller of the function frees.
            Ok(value) => unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), value.as_raw()) },
            Err(error) => {
                match in_function.thrown_as(&ctx, &error) {
                    Some(thrown) => drop(ctx.throw(thrown)),
                    None => drop(error.throw(&ctx)),
                }
                qjs::JS_EXCEPTION
            }
        }
    });
    drop(in_function);
    returned
}

/// QuickJS frees the closure. The program's function is dropped later.
unsafe extern "C" fn free_entry(opaque: *mut c_void) {
    // SAFETY: I-FREE-ONCE: the closure owned the entry, and is freed once.
    drop(unsafe { Rc::from_raw(opaque.cast_const().cast::<Entry>()) });
}
