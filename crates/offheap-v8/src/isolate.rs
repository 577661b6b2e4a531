//! `Isolate`: a V8 of our own, whose scopes know when script runs.

use std::fmt;
use std::rc::Rc;

use offheap::IsolateId;
use offheap_engine::{in_finalizer, refused_in_finalizer};

use crate::sys::{self, OwnIsolate, Roots};
use crate::{ENGINE, Error, Scope};

/// One isolate of V8 with one context, which only its [scopes](Scope) run.
///
/// That is what guards need: while a slice of a store lives, its scope is borrowed, and nothing else runs script.
///
/// It stays on its thread; those of one thread may end in any order. Dropping it frees its handles' objects, its buffers,
/// and what they alone kept; stores that native code holds live on.
pub struct Isolate {
    own: OwnIsolate,
}

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
    /// [`Scope::with_v8`](crate::Scope::with_v8) the crate's calls give what they give where execution was terminated. V8 has up
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
        if in_finalizer() {
            return Err(refused_in_finalizer(ENGINE));
        }
        sys::start("")?;
        sys::check_thread()?;
        let alignment = self.alignment.map(|alignment| match alignment.is_power_of_two() {
            true => Ok(alignment.max(sys::ALIGNMENT)),
            false => Err(offheap::Error::InvalidAlignment { alignment }),
        });
        Ok(Isolate { own: OwnIsolate::new(self.params, alignment.transpose()?)? })
    }
}

impl fmt::Debug for IsolateBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IsolateBuilder")
    }
}

impl Isolate {
    /// An isolate with V8's own settings.
    ///
    /// # Errors
    /// As for [`IsolateBuilder::build`].
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// To give V8 settings first.
    pub fn builder() -> IsolateBuilder {
        IsolateBuilder::default()
    }

    /// Enters the isolate: what `work` does with the scope is what may run script.
    ///
    /// # Panics
    /// In an observer, and in an owner's drop that an engine is waiting for: neither must call an engine. Where an engine
    /// is waiting the process ends, since nothing may unwind into it.
    pub fn enter<R>(&mut self, work: impl for<'s> FnOnce(&mut Scope<'s>) -> R) -> R {
        assert!(!in_finalizer(), "an owner's drop or an observer entered an isolate that lets go of a buffer");
        self.own.make_room_on_stack();
        self.roots().relieve();
        work(&mut Scope::new(Rc::clone(self.roots())))
    }

    /// This isolate's id.
    pub fn id(&self) -> IsolateId {
        offheap_engine::RootTable::isolate(&**self.roots())
    }

    /// A handle for other threads, to stop script that runs too long.
    pub fn thread_safe_handle(&self) -> v8::IsolateHandle {
        self.own.thread_safe_handle()
    }

    /// Whether V8 was started with `--expose-gc`, so that young objects can be collected apart.
    pub(crate) fn collects_young(&self) -> bool {
        self.own.collects_young()
    }

    /// Whether script cannot write to immutable buffers.
    pub(crate) fn enforces_immutable(&self) -> bool {
        self.roots().state().enforces_immutable()
    }

    fn roots(&self) -> &Rc<Roots> {
        self.own.roots()
    }
}
