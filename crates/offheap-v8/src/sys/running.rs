//! Which isolate of ours is running script on this thread, so that its allocator can ask V8 for the line that makes a buffer.
//!
//! V8 calls the allocator where it may collect itself: it does so, and tries again, if the allocator has no memory. So it may be
//! asked there for the functions of script, which are objects of its heap. There are two exceptions. While a guard lends memory
//! without a store, nothing may collect (I-BORROW); no script runs then. And while V8 makes a context from a snapshot, it calls
//! the allocator in the middle of reading its heap; a scope of this crate never does that while it runs script, but a program may,
//! in a scope of the crate `v8`. So V8 is asked only below a step of a [`Scope`](crate::Scope) that runs script, not below a
//! scope or a native function that it lends, and not at all once the program had a scope of the crate `v8`.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use offheap::IsolateId;
use offheap::observe::ScriptStack;

use super::own_isolate::OwnIsolate;
use crate::script::script_stack;

thread_local!(static RUNNING: Cell<*const OwnIsolate> = const { Cell::new(ptr::null()) });

/// While it lives, the isolate that it was made for runs script, or none of ours does.
pub(crate) struct Running<'a> {
    outer: *const OwnIsolate,
    // Not `Send`: it is dropped on the thread that made it. The isolate outlives it.
    isolate: PhantomData<(&'a OwnIsolate, *const ())>,
}

impl<'a> Running<'a> {
    /// The isolate runs script, and nothing else is called but what script calls.
    #[inline]
    pub(crate) fn script_of(isolate: &'a OwnIsolate) -> Self {
        Running { outer: RUNNING.replace(ptr::from_ref(isolate)), isolate: PhantomData }
    }

    /// Code of the program runs, which may do anything.
    #[inline]
    pub(crate) fn program() -> Self {
        Running { outer: RUNNING.replace(ptr::null()), isolate: PhantomData }
    }
}

impl Drop for Running<'_> {
    #[inline]
    fn drop(&mut self) {
        RUNNING.set(self.outer);
    }
}

/// The functions of script that make a buffer. For the allocator of the isolate `id`; no functions unless it runs script.
#[cold]
pub(super) fn script_that_allocates(id: IsolateId) -> ScriptStack {
    let Some(isolate) = NonNull::new(RUNNING.get().cast_mut()) else { return ScriptStack::new() };
    // SAFETY: I-NO-JS-OWNER: a `Running` that lives further out on this thread's stack borrows it.
    let isolate = unsafe { isolate.as_ref() };
    // Script could call functions of a program that had a scope.
    if isolate.state().isolate() != id || isolate.state().was_lent() {
        return ScriptStack::new();
    }
    // What is asked makes no buffer. If it did, nobody would be asked for that.
    let _asking = Running::program();
    isolate.with_scope(script_stack)
}
