//! libstdc++'s `std::shared_ptr<v8::BackingStore>`: an object, and a control block with the counts.
//!
//! The layout is that of `_Sp_counted_base<_S_atomic>` in libstdc++'s `bits/shared_ptr_base.h`, which every program that
//! is linked with the library depends on: a table of virtual functions, the uses as 32 bits, the weak references as 32
//! bits. All uses together are one more weak reference.

use std::ffi::c_void;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, Ordering, fence};

use super::heap_end;
use super::slab::{Places, Slab, Spare};
use super::symbols::{Functions, Pointer};

/// What V8 returns for a class that has a destructor. The caller gives the place, and V8 fills in as many words as the
/// class has: one for a `unique_ptr`, two for a `shared_ptr`. Three words are returned that way in Rust too, on x86-64 and
/// on aarch64.
#[repr(C)]
pub(crate) struct ByAddress([MaybeUninit<Pointer>; 3]);

impl ByAddress {
    /// The object of a `unique_ptr`.
    ///
    /// # Safety
    /// V8 returned it as a `unique_ptr`.
    pub(crate) unsafe fn unique_ptr(self) -> Pointer {
        // SAFETY: I-LAYOUT: a `unique_ptr` without a deleter is one word.
        unsafe { self.0[0].assume_init() }
    }

    /// The two words of a `shared_ptr`.
    ///
    /// # Safety
    /// V8 returned it as a `shared_ptr`, and the reference in it is not taken twice.
    pub(crate) unsafe fn shared_ptr(self) -> RawSharedPtr {
        // SAFETY: I-LAYOUT: the first word of a `shared_ptr` is the object.
        let object = unsafe { self.0[0].assume_init() };
        // SAFETY: I-LAYOUT: the second word is the control block.
        let control = unsafe { self.0[1].assume_init() };
        RawSharedPtr { object, control: control.cast() }
    }
}

/// A `shared_ptr` as it is in memory. Without a control block it is empty. It has no drop: [`SharedPtr`] has.
#[repr(C)]
pub(crate) struct RawSharedPtr {
    object: Pointer,
    control: *mut Control,
}

/// A counted reference to an object of V8. Any thread may clone and drop it.
pub(crate) struct SharedPtr {
    object: NonNull<c_void>,
    control: NonNull<Control>,
}

// SAFETY: I-OWNER-SEND: the counts are atomic, and V8 drops its own references on any thread.
unsafe impl Send for SharedPtr {}
// SAFETY: I-OWNER-SEND: a shared reference clones, and reads what never changes or is atomic in V8.
unsafe impl Sync for SharedPtr {}

/// `std::_Sp_counted_base<_S_atomic>`
#[repr(C)]
struct Control {
    functions: *const VirtualFunctions,
    uses: AtomicI32,
    weak: AtomicI32,
}

#[repr(C)]
struct VirtualFunctions {
    destructors: [unsafe extern "C" fn(*mut Control); 2],
    /// Ends the object, when there are no more uses.
    dispose: unsafe extern "C" fn(*mut Control),
    /// Ends the control block, when there are no more weak references.
    destroy: unsafe extern "C" fn(*mut Control),
    get_deleter: unsafe extern "C" fn(*mut Control, Pointer) -> Pointer,
}

impl SharedPtr {
    /// Takes over the reference of a `shared_ptr`; `None` if it is empty.
    ///
    /// # Safety
    /// It is V8's, or came from [`into_raw`](Self::into_raw), and its reference is taken over once.
    pub(crate) unsafe fn from_raw(raw: RawSharedPtr) -> Option<Self> {
        // A null object with a control block cannot be made by V8's functions.
        Some(SharedPtr { object: NonNull::new(raw.object)?, control: NonNull::new(raw.control)? })
    }

    /// The reference as it is in memory, for V8 to move out of.
    pub(crate) fn into_raw(self) -> RawSharedPtr {
        let this = ManuallyDrop::new(self);
        RawSharedPtr { object: this.object.as_ptr(), control: this.control.as_ptr() }
    }

    /// The object.
    #[inline]
    pub(crate) fn object(&self) -> Pointer {
        self.object.as_ptr()
    }

    /// The address of the object.
    pub(crate) fn address(&self) -> NonNull<c_void> {
        self.object
    }

    #[inline]
    fn control(&self) -> &Control {
        // SAFETY: I-FREE-ONCE: this reference keeps the control block.
        unsafe { self.control.as_ref() }
    }

    /// The number of references to the object.
    #[inline]
    pub(crate) fn use_count(&self) -> usize {
        self.control().uses.load(Ordering::Relaxed).max(0).cast_unsigned() as usize
    }
}

impl Clone for SharedPtr {
    #[inline]
    fn clone(&self) -> Self {
        let before = self.control().uses.fetch_add(1, Ordering::Relaxed);
        // As std's `Arc`: nothing can have that many references, except by forgetting them in a loop.
        if before > i32::MAX / 2 {
            std::process::abort();
        }
        SharedPtr { object: self.object, control: self.control }
    }
}

impl Drop for SharedPtr {
    #[inline]
    fn drop(&mut self) {
        if self.control().uses.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        let last = LastUse(self.control);
        // Only blocks of V8's own memory need the allocator of V8's heap. Those of another addon cannot be told from them.
        match std::ptr::eq(self.control().functions, &OUR_TABLE.functions) {
            true => last.end(),
            false => heap_end::free(last),
        }
    }
}

/// The last use of an object, which is over. The uses together have a weak reference. Without [`end`](Self::end), both are leaked.
#[must_use]
pub(super) struct LastUse(NonNull<Control>);

// SAFETY: I-OWNER-SEND: V8 ends its objects on any thread.
unsafe impl Send for LastUse {}

impl LastUse {
    /// Ends the object, and the weak reference of all uses.
    pub(super) fn end(self) {
        let pointer = self.0.as_ptr();
        // SAFETY: I-FREE-ONCE: the weak reference keeps the control block.
        let Control { functions, weak, .. } = unsafe { self.0.as_ref() };
        // SAFETY: I-LAYOUT: the table of virtual functions of a class that derives from `_Sp_counted_base`.
        let VirtualFunctions { dispose, destroy, .. } = unsafe { &**functions };
        // SAFETY: I-FREE-ONCE: there are no more uses, and this value was made once, for the last one.
        unsafe { dispose(pointer) };
        if weak.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: I-FREE-ONCE: this was the last weak reference.
            unsafe { destroy(pointer) };
        }
    }
}

/// A control block of ours, in place of the one that `shared_ptr(unique_ptr&&)` allocates. Its functions are in this
/// library, which stays mapped (`pin`).
#[repr(C)]
struct OurControl {
    base: Control,
    object: Pointer,
    v8: &'static Functions,
    /// The memory that it is in.
    slab: NonNull<Slab<OurControl>>,
}

static SPARE: Spare<OurControl> = Spare::new();
thread_local!(static PLACES: Places<OurControl> = const { Places::new(&SPARE) });

/// Our table of virtual functions. Before it are the two words that every such table has.
#[repr(C)]
struct OurTable {
    offset_to_top: isize,
    type_info: Option<&'static c_void>,
    functions: VirtualFunctions,
}

static OUR_TABLE: OurTable = OurTable {
    offset_to_top: 0,
    type_info: None,
    functions: VirtualFunctions { destructors: [never, never], dispose, destroy, get_deleter: no_deleter },
};

/// The destructors, which only `destroy` of the C++ library calls.
unsafe extern "C" fn never(_: *mut Control) {}

unsafe extern "C" fn no_deleter(_: *mut Control, _: Pointer) -> Pointer {
    std::ptr::null_mut()
}

/// `delete object`, on the thread that drops the last use. V8's destructor calls the deleter of the block.
unsafe extern "C" fn dispose(control: *mut Control) {
    // SAFETY: I-LAYOUT: only control blocks of ours have this function.
    let OurControl { object, v8, .. } = unsafe { &*control.cast::<OurControl>() };
    // SAFETY: I-FREE-ONCE: the object is a block that V8 made for us, and this is called once, for its last use.
    unsafe { (v8.destroy_block)(*object) };
    // SAFETY: I-FREE-ONCE: V8 allocated it by `operator new`, and its destructor has run.
    unsafe { (v8.operator_delete)(*object) };
}

unsafe extern "C" fn destroy(control: *mut Control) {
    // SAFETY: I-LAYOUT: only control blocks of ours have this function. They have nothing to drop.
    let OurControl { slab, .. } = unsafe { &*control.cast::<OurControl>() };
    // SAFETY: I-FREE-ONCE: `share` took the place, and this is called once, for the last weak reference.
    unsafe { SPARE.give_back(*slab, 1) };
}

/// Makes a `shared_ptr` of a `unique_ptr` to a block.
///
/// # Safety
/// V8 just returned the block, by a function of `v8`, and no other code has it.
pub(crate) unsafe fn share(v8: &'static Functions, block: NonNull<c_void>) -> SharedPtr {
    let base = Control { functions: &OUR_TABLE.functions, uses: AtomicI32::new(1), weak: AtomicI32::new(1) };
    // A thread that is ending has no places of its own any more.
    let (control, slab) = PLACES.try_with(Places::take).unwrap_or_else(|_| Places::new(&SPARE).take());
    // SAFETY: I-LAYOUT: the place has room for a control block, and nobody else has it.
    unsafe { control.write(OurControl { base, object: block.as_ptr(), v8, slab }) };
    SharedPtr { object: block, control: control.cast() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    /// A block of V8 for tests: how often it was destroyed, and how often its memory was freed.
    #[derive(Default)]
    struct Fake {
        destroyed: AtomicUsize,
        deleted: AtomicUsize,
    }

    impl Fake {
        fn counts(&self) -> (usize, usize) {
            (self.destroyed.load(Ordering::SeqCst), self.deleted.load(Ordering::SeqCst))
        }
    }

    fn shared() -> (&'static Fake, SharedPtr) {
        unsafe extern "C" fn destroy(fake: Pointer) {
            // SAFETY: I-LAYOUT: the block below, which is never freed.
            unsafe { &*fake.cast::<Fake>() }.destroyed.fetch_add(1, Ordering::SeqCst);
        }
        unsafe extern "C" fn delete(fake: Pointer) {
            // SAFETY: I-LAYOUT: the block below, which is never freed.
            unsafe { &*fake.cast::<Fake>() }.deleted.fetch_add(1, Ordering::SeqCst);
        }
        let functions = Functions { destroy_block: destroy, operator_delete: delete, ..Functions::of_a_test() };
        let fake: &'static Fake = Box::leak(Box::default());
        // SAFETY: I-FREE-ONCE: the functions above allow for this block, which no other code has.
        (fake, unsafe { share(Box::leak(Box::new(functions)), NonNull::from(fake).cast()) })
    }

    #[test]
    fn the_last_reference_ends_the_object_once() {
        let (fake, first) = shared();
        assert_eq!(first.use_count(), 1);
        let second = first.clone();
        assert_eq!((first.use_count(), second.object()), (2, first.object()));
        drop(first);
        assert_eq!((fake.counts(), second.use_count()), ((0, 0), 1));
        drop(second);
        assert_eq!(fake.counts(), (1, 1));
    }

    #[test]
    fn a_reference_in_memory_is_the_same_reference() {
        let (fake, reference) = shared();
        let other = reference.clone();
        let raw = reference.into_raw();
        assert_eq!(other.use_count(), 2);
        // SAFETY: I-FREE-ONCE: it is taken once.
        drop(unsafe { SharedPtr::from_raw(raw) }.unwrap());
        assert_eq!((other.use_count(), fake.counts()), (1, (0, 0)));
    }

    #[test]
    fn what_v8_moved_out_of_is_empty() {
        let moved = RawSharedPtr { object: std::ptr::null_mut(), control: std::ptr::null_mut() };
        // SAFETY: I-FREE-ONCE: there is no reference in it.
        assert!(unsafe { SharedPtr::from_raw(moved) }.is_none());
    }

    #[test]
    fn threads_end_the_object_once() {
        for _ in 0..200 {
            let (fake, reference) = shared();
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let reference = reference.clone();
                    thread::spawn(move || drop((reference.clone(), reference)))
                })
                .collect();
            drop(reference);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(fake.counts(), (1, 1));
        }
    }

    #[test]
    fn a_weak_reference_keeps_only_the_control_block() {
        let (fake, reference) = shared();
        let control = reference.control;
        reference.control().weak.fetch_add(1, Ordering::SeqCst);
        drop(reference);
        assert_eq!(fake.counts(), (1, 1));
        // SAFETY: I-FREE-ONCE: the weak reference that was counted above keeps the block.
        let counts = unsafe { control.as_ref() };
        assert_eq!((counts.uses.load(Ordering::SeqCst), counts.weak.load(Ordering::SeqCst)), (0, 1));
        // SAFETY: I-FREE-ONCE: this ends the last weak reference, as the C++ library does.
        unsafe { destroy(control.as_ptr()) };
    }
}
