//! Native functions that script calls.
//!
//! V8 gives a callback one word of data: an `External` with the address of the function's [`Entry`]. The isolate keeps
//! the entries, and removes one when V8 has collected its `External`. While a callback runs, its data is alive. V8 does
//! not collect the functions of an isolate that ends, and the isolate drops what is left.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use offheap::adapter;
use offheap_engine::{FromScript, NativeFunction, PassedArguments, ScriptError};

use super::natives;
use super::root::Root;
use super::running::Running;
use super::state;
use super::value::{passed_by_script, to_script};
use crate::Error;
use crate::script::{Throw, catching, with_script_stack};

/// The native functions of one isolate.
#[derive(Default)]
pub(super) struct Functions {
    entries: RefCell<HashMap<usize, Rc<Entry>>>,
    /// The number of calls that are running.
    depth: Cell<u32>,
    /// Whether script that a native function called was stopped. The script that called the function has to stop too.
    stopped: Cell<bool>,
    /// The exception that the innermost native function got from script last.
    thrown: RefCell<Option<Thrown>>,
}

struct Entry {
    native: NativeFunction<Root>,
    functions: Rc<Functions>,
    /// Reports when V8 has collected the `External`.
    watch: RefCell<Option<v8::Weak<v8::External>>>,
}

/// An exception, and the error that was made of it.
struct Thrown {
    exception: v8::Global<v8::Value>,
    error: ScriptError,
}

impl Functions {
    /// Whether script is calling a native function, so it is on the stack.
    #[inline]
    pub(super) fn is_in_call(&self) -> bool {
        self.depth.get() != 0
    }

    /// Notes that script was stopped. V8 forgets it when the call that ran the script returns to a native function.
    pub(super) fn note_stopped(&self) {
        if self.is_in_call() {
            self.stopped.set(true);
        }
    }

    /// Whether script that called a native function is being stopped, so that the function may run no more of it.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopped.get()
    }

    /// Forgets that script was stopped: none is on the stack any more. Returns whether it was.
    #[inline]
    pub(super) fn has_stopped(&self) -> bool {
        self.stopped.take()
    }

    /// Notes an exception of script and the error for it, so that a native function can throw it again.
    pub(super) fn note_thrown(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        exception: v8::Local<'_, v8::Value>,
        error: &Error,
    ) {
        if let Error::Script(error) = error
            && self.is_in_call()
        {
            let exception = v8::Global::new(scope, exception);
            *self.thrown.borrow_mut() = Some(Thrown { exception, error: error.clone() });
        }
    }

    /// Drops all functions, at the end of the isolate.
    pub(super) fn end(&self) {
        let entries = self.entries.take();
        drop(entries);
    }

    /// Throws an error of a native function.
    fn throw(&self, scope: &mut v8::PinScope<'_, '_>, error: Error) {
        let thrown = self.thrown.take();
        if let (Some(thrown), Error::Script(error)) = (thrown, &error)
            && thrown.error == *error
        {
            let exception = v8::Local::new(scope, thrown.exception);
            scope.throw_exception(exception);
        } else {
            error.throw(scope);
        }
    }
}

/// A function of script that calls `native`.
pub(super) fn new_function<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    native: NativeFunction<Root>,
    functions: &Rc<Functions>,
) -> Result<v8::Local<'s, v8::Function>, Error> {
    let entry = Rc::new(Entry { native, functions: Rc::clone(functions), watch: RefCell::default() });
    let address = Rc::as_ptr(&entry);
    let data = v8::External::new(scope, address.cast_mut().cast());
    let function = catching(scope, |scope| {
        let function = v8::Function::builder(call_entry)
            .data(data.into())
            .constructor_behavior(v8::ConstructorBehavior::Throw)
            .build(scope)?;
        function.set_name(v8::String::new(scope, name)?);
        Some(function)
    })?;
    let list = Rc::downgrade(functions);
    let watch = v8::Weak::with_finalizer(
        scope,
        data,
        Box::new(move |_| {
            if let Some(functions) = list.upgrade() {
                // A separate statement, which ends the borrow.
                let entry = functions.entries.borrow_mut().remove(&address.addr());
                drop(entry);
            }
        }),
    );
    *entry.watch.borrow_mut() = Some(watch);
    functions.entries.borrow_mut().insert(address.addr(), entry);
    Ok(function)
}

/// The arguments of a call.
struct Passed<'a, 's, 'i> {
    scope: RefCell<&'a mut v8::PinScope<'s, 'i>>,
    arguments: &'a v8::FunctionCallbackArguments<'s>,
}

impl PassedArguments<Root> for Passed<'_, '_, '_> {
    fn count(&self) -> usize {
        self.arguments.length() as usize
    }

    #[inline]
    fn get(&self, index: usize) -> Result<FromScript<Root>, Error> {
        let scope = &mut **self.scope.borrow_mut();
        // Another isolate may be entered.
        let _entered = (!natives::is_current(scope)).then(|| state::enter(scope));
        passed_by_script(scope, self.arguments.get(index as i32))
    }
}

/// The callback of every function.
fn call_entry<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    // SAFETY: I-LAYOUT: `new_function` gave the function an `External`, which nobody can replace.
    let data = unsafe { v8::Local::<v8::External>::cast_unchecked(arguments.data()) };
    let address = data.value().cast_const().cast::<Entry>();
    // The function may be collected during the call.
    // SAFETY: I-FREE-ONCE: the isolate has the entry until V8 has collected `data`.
    unsafe { Rc::increment_strong_count(address) };
    // SAFETY: I-FREE-ONCE: takes the reference that was just added.
    let entry = unsafe { Rc::from_raw(address) };
    let _running = Running::program();
    // No guard lives here: script was running.
    let _script = with_script_stack(scope, adapter::wants_script_stack_of_call());
    let functions = &entry.functions;
    functions.depth.set(functions.depth.get() + 1);
    let outer = functions.thrown.take();
    let passed = Passed { scope: RefCell::new(scope), arguments: &arguments };
    entry.native.call(&passed, |returned| {
        let scope = &mut **passed.scope.borrow_mut();
        match returned.and_then(|value| to_script(scope, value)) {
            Ok(value) => result.set(value),
            // An exception would take the place of the stop, and script could catch it.
            Err(_) if functions.is_stopping() => {}
            Err(error) => functions.throw(scope, error),
        }
    });
    if functions.is_stopping() {
        passed.scope.borrow_mut().terminate_execution();
    }
    *functions.thrown.borrow_mut() = outer;
    functions.depth.set(functions.depth.get() - 1);
}
