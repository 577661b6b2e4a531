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
use std::ptr::NonNull;

use offheap::IsolateId;
use offheap::observe::ScriptStack;

/// An isolate that can be asked which functions of script are running.
pub(crate) trait Asked {
    fn id(&self) -> IsolateId;
    /// Whether the program had a scope of the crate `v8`.
    fn was_lent(&self) -> bool;
    fn script_stack(&self) -> ScriptStack;
}

thread_local!(static RUNNING: Cell<Option<NonNull<dyn Asked>>> = const { Cell::new(None) });

/// While it lives, the isolate that it was made for runs script, or none of ours does.
pub(crate) struct Running<'a> {
    // Not `Send`: it is dropped on the thread that made it.
    outer: Option<NonNull<dyn Asked>>,
    // The isolate outlives it.
    isolate: PhantomData<&'a dyn Asked>,
}

impl<'a> Running<'a> {
    /// The isolate runs script, and nothing else is called but what script calls.
    #[inline]
    pub(crate) fn script_of<T: Asked + 'static>(isolate: &'a T) -> Self {
        let isolate: NonNull<dyn Asked> = NonNull::from(isolate);
        Running { outer: RUNNING.replace(Some(isolate)), isolate: PhantomData }
    }

    /// Code of the program runs, which may do anything.
    #[inline]
    pub(crate) fn program() -> Self {
        Running { outer: RUNNING.replace(None), isolate: PhantomData }
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
    let Some(isolate) = RUNNING.get() else { return ScriptStack::new() };
    // SAFETY: I-NO-JS-OWNER: a `Running` that lives further out on this thread's stack borrows it.
    let isolate = unsafe { isolate.as_ref() };
    // Script could call functions of a program that had a scope.
    if isolate.id() != id || isolate.was_lent() {
        return ScriptStack::new();
    }
    // What is asked makes no buffer. If it did, nobody would be asked for that.
    let _asking = Running::program();
    isolate.script_stack()
}
