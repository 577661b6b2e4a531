//! `Isolate` and `Scope` of V8: settings, and what this engine has beyond others.

use std::fmt;

use crate::Error;
use crate::host::{Key, V8};
use crate::sys::{self, OwnIsolate};

/// One isolate of V8 with one context, which only its [scopes](Scope) run.
pub type Isolate = offheap_engine::Isolate<V8>;

/// The right to run script in an [`Isolate`]; [`ScopeExt`] adds what V8 has beyond other engines.
pub type Scope<'s> = offheap_engine::Scope<'s, V8>;

/// Makes an [`Isolate`] with settings of its own.
#[must_use = "call `build`"]
pub struct IsolateBuilder {
    params: v8::CreateParams,
    /// What script's buffers are aligned to; none where they come from V8's own allocator.
    alignment: Option<usize>,
}

impl Default for IsolateBuilder {
    fn default() -> Self {
        IsolateBuilder { params: v8::CreateParams::default(), alignment: Some(sys::ALIGNMENT) }
    }
}

impl IsolateBuilder {
    /// How many bytes V8's heap has at first (`max` where that is less), and the most that it may have. Stores do not count.
    ///
    /// Script that wants more is stopped: what ran it gives [`Error::Script`], and inside of
    /// [`ScopeExt::with_v8`] the crate's calls give what they give where execution was terminated. V8 has up
    /// to 1.25 GiB more until then, and ends the process where one step of script takes even more. Script that keeps far more than
    /// twice the maximum is run no more: the calls that would run it give [`Error::Script`].
    pub fn heap_limits(mut self, initial: usize, max: usize) -> Self {
        self.params = self.params.heap_limits(initial.min(max), max);
        self
    }

    /// What the buffers that script makes with one length are aligned to, in bytes: a power of two. It is 16 unless this
    /// is called; Arrow and SIMD want 64. Each buffer takes as many bytes more.
    pub fn buffer_alignment(mut self, alignment: usize) -> Self {
        self.alignment = Some(alignment);
        self
    }

    /// Takes the memory of script's buffers from V8's own allocator.
    ///
    /// Otherwise those of one length, shared ones included, are stores from the beginning, at the same cost: an
    /// [observer](offheap::observe) is told of each, a [`Budget`](offheap::Budget) counts each and makes
    /// `new ArrayBuffer` throw a RangeError, and what native code took from a buffer can become unique once script has let
    /// go. Without an observer and a budget a store is made when native code first asks for it.
    ///
    /// Native code makes buffers under a budget by [`expose`](crate::BackingStoreExt::expose), which gives an error:
    /// `v8::ArrayBuffer::new` ends the process where it gets no memory.
    ///
    /// An [allocator of the program's own](Self::array_buffer_allocator) goes before both.
    pub fn v8_allocator(mut self) -> Self {
        self.alignment = None;
        self
    }

    /// Takes the memory of script's buffers from an allocator of the program's own.
    pub fn array_buffer_allocator(mut self, allocator: impl Into<v8::SharedPtr<v8::Allocator>>) -> Self {
        self.params = self.params.array_buffer_allocator(allocator);
        self
    }

    /// The isolate. Starts V8, unless it was [started](crate::start).
    ///
    /// # Errors
    /// [`Error::Unsupported`] on a thread that cannot run V8, since it is older than V8's memory-protection key, and in an
    /// observer, or an owner's drop that an engine is waiting for;
    /// [`Error::Memory`] where too many isolates are alive, and for an alignment that is none; [`Error::Script`] or
    /// [`Error::EngineFailed`] where the stack ends or there is no memory for its first buffer.
    ///
    /// # Panics
    /// If the program started V8 by itself and did not [say so](crate::started_by_the_program).
    pub fn build(self) -> Result<Isolate, Error> {
        Isolate::build(self)
    }

    /// Starts V8 where that is due, and an isolate of it.
    pub(crate) fn start(self) -> Result<V8, Error> {
        sys::start("")?;
        sys::check_thread()?;
        let alignment = self.alignment.map(|alignment| match alignment.is_power_of_two() {
            true => Ok(alignment.max(sys::ALIGNMENT)),
            false => Err(offheap::Error::InvalidAlignment { alignment }),
        });
        Ok(V8 { own: OwnIsolate::new(self.params, alignment.transpose()?)? })
    }
}

impl fmt::Debug for IsolateBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IsolateBuilder")
    }
}

/// What an [`Isolate`] of V8 can do beyond those of other engines.
pub trait IsolateExt {
    /// A handle for other threads, to stop script that runs too long.
    ///
    /// # Panics
    /// In an observer, and in an owner's `Drop` that an engine is waiting for.
    fn thread_safe_handle(&self) -> v8::IsolateHandle;
}

impl IsolateExt for Isolate {
    fn thread_safe_handle(&self) -> v8::IsolateHandle {
        self.host(Key::new(), |host| host.own.thread_safe_handle())
    }
}

/// What a [`Scope`] of V8 can do beyond those of other engines.
pub trait ScopeExt {
    /// Lends a scope of the crate `v8`, with the isolate's context entered: to define functions, call them, load modules.
    /// No guard lives during the call, and neither the scope nor a local can be kept beyond the call.
    ///
    /// An isolate of the crate's own (`v8::Isolate::new`, or a `v8::Locker`) that begins in the call ends in it, too: it is the
    /// one that V8 has entered until then, and V8 ends the process where `work` returns before.
    ///
    /// What no type can refuse is left to the program. What runs script without a scope, a
    /// `v8::inspector::V8InspectorSession` or the tasks of a platform of the program's own, is used inside of `with_v8`
    /// alone: only there is the isolate entered, and no guard lives. And a `v8::BackingStore` that it takes from a buffer can
    /// be kept, and its cells write on any thread, frozen stores too: take stores by [`externalize`](offheap_engine::Scope::externalize). As
    /// it may make a buffer in another isolate, slices need [handles to all buffers](offheap_engine::Scope::bytes) once a scope was lent.
    fn with_v8<R>(&mut self, work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> R) -> R;
}

impl ScopeExt for Scope<'_> {
    fn with_v8<R>(&mut self, work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> R) -> R {
        self.host(Key::new(), |host| {
            host.own.state().note_lent();
            let done = host.own.with_scope(work);
            host.own.restore_full_heap();
            done
        })
    }
}
