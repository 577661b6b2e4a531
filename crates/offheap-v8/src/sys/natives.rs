//! Queries that the crate `v8` links but does not expose: methods of V8's C++ API, by their mangled names (identical on
//! Linux and macOS). All versions of the crate that this crate takes have them, and a missing name does not link.

use std::ffi::{c_long, c_void};
use std::ptr::{self, NonNull};

unsafe extern "C" {
    #[link_name = "_ZNK2v811ArrayBuffer11IsImmutableEv"]
    fn array_buffer_is_immutable(buffer: *const v8::ArrayBuffer) -> bool;
    #[link_name = "_ZNK2v811ArrayBuffer27IsResizableByUserJavaScriptEv"]
    fn array_buffer_is_resizable(buffer: *const v8::ArrayBuffer) -> bool;
    #[link_name = "_ZNK2v811ArrayBuffer13MaxByteLengthEv"]
    fn array_buffer_max_byte_length(buffer: *const v8::ArrayBuffer) -> usize;
    #[link_name = "_ZNK2v817SharedArrayBuffer13MaxByteLengthEv"]
    fn shared_array_buffer_max_byte_length(buffer: *const v8::SharedArrayBuffer) -> usize;
    #[link_name = "_ZN2v812BackingStore12EmptyDeleterEPvmS1_"]
    fn backing_store_empty_deleter(data: *mut c_void, byte_length: usize, deleter_data: *mut c_void);
    #[link_name = "_ZNK2v812BackingStore11IsImmutableEv"]
    fn backing_store_is_immutable(block: *const c_void) -> bool;
    #[link_name = "_ZN2v87Isolate13SetStackLimitEm"]
    fn isolate_set_stack_limit(isolate: v8::UnsafeRawIsolatePtr, limit: usize);
    fn v8__Context__New(
        isolate: v8::UnsafeRawIsolatePtr,
        template: *const c_void,
        global: *const c_void,
        microtasks: *mut c_void,
    ) -> *const v8::Context;
    #[link_name = "_ZN2v87Isolate13TryGetCurrentEv"]
    safe fn current_isolate() -> v8::UnsafeRawIsolatePtr;
    fn v8__Global__Reset(cell: *const c_void);
    /// `std::shared_ptr::use_count`.
    fn std__shared_ptr__v8__BackingStore__use_count(block: *const c_void) -> c_long;
}

type Block = v8::SharedRef<v8::BackingStore>;

/// Whether this isolate is the one that this thread entered last and has not left (`v8::Isolate::TryGetCurrent`).
#[inline]
pub(super) fn is_current(isolate: &v8::Isolate) -> bool {
    current_if(isolate).is_some()
}

/// The address of the isolate if it is the current one.
#[inline]
pub(super) fn current_if(isolate: &v8::Isolate) -> Option<*const c_void> {
    // SAFETY: I-NO-JS-OWNER: the pointer is only compared.
    let this = address_of(unsafe { isolate.as_raw_isolate_ptr() });
    (this == address_of(current_isolate())).then_some(this)
}

#[inline]
fn address_of(isolate: v8::UnsafeRawIsolatePtr) -> *const c_void {
    // SAFETY: I-LAYOUT: the type is transparent over a pointer.
    unsafe { std::mem::transmute::<v8::UnsafeRawIsolatePtr, *const c_void>(isolate) }
}

/// `v8::ArrayBuffer::IsImmutable`
#[inline]
pub(crate) fn is_immutable(buffer: v8::Local<'_, v8::ArrayBuffer>) -> bool {
    // SAFETY: I-LAYOUT: this is a live handle. Its address is `this` for V8, as in the crate's own calls.
    unsafe { array_buffer_is_immutable(&raw const *buffer) }
}

/// `v8::ArrayBuffer::IsResizableByUserJavaScript`
#[inline]
pub(super) fn is_resizable(buffer: v8::Local<'_, v8::ArrayBuffer>) -> bool {
    // SAFETY: I-LAYOUT: a live handle, whose address is `this`, as above.
    unsafe { array_buffer_is_resizable(&raw const *buffer) }
}

/// `v8::ArrayBuffer::MaxByteLength`
pub(super) fn max_byte_length(buffer: v8::Local<'_, v8::ArrayBuffer>) -> usize {
    // SAFETY: I-LAYOUT: a live handle, whose address is `this`, as above.
    unsafe { array_buffer_max_byte_length(&raw const *buffer) }
}

/// Whether `v8::ArrayBufferView::GetContents` returns an address. It returns none for a view that is out of bounds. Every
/// other view of a resizable buffer has one, even if it is empty, because V8 reserves addresses for such a buffer.
pub(super) fn has_contents(view: v8::Local<'_, v8::ArrayBufferView>) -> bool {
    // The empty storage is for typed arrays whose bytes are on V8's heap. This build has none (`allocator`).
    // SAFETY: I-LAYOUT: the address is compared with null and not used.
    let (data, _) = unsafe { view.get_contents_raw_parts(&mut []) };
    !data.is_null()
}

/// `v8::SharedArrayBuffer::MaxByteLength`
pub(super) fn shared_max_byte_length(buffer: v8::Local<'_, v8::SharedArrayBuffer>) -> usize {
    // SAFETY: I-LAYOUT: a live handle, whose address is `this`, as above.
    unsafe { shared_array_buffer_max_byte_length(&raw const *buffer) }
}

/// `v8::Global::Reset`, on the isolate's thread while the isolate exists. While it drops its slots, the crate's own handles
/// treat it as gone; at other times they ask more than is needed here.
#[inline]
pub(super) fn reset<T>(global: v8::Global<T>) {
    let cell = global.into_raw();
    // SAFETY: I-FREE-ONCE: this is the cell of a handle that is not dropped. Callers know that the isolate exists.
    unsafe { v8__Global__Reset(cell.as_ptr().cast()) };
}

/// `v8::Isolate::SetStackLimit`: script and V8's own functions throw below that address. Use it only for isolates that
/// stay on the thread whose stack has that address.
pub(super) fn set_stack_limit(isolate: &mut v8::Isolate, limit: usize) {
    // SAFETY: I-NO-JS-OWNER: it is used only for the call below, on the isolate's thread.
    let isolate = unsafe { isolate.as_raw_isolate_ptr() };
    // SAFETY: I-LAYOUT: the isolate lives. The limit is a number that V8 compares with.
    unsafe { isolate_set_stack_limit(isolate, limit) };
}

/// `v8::Context::New`. Returns `None` if V8 cannot make a context: near the end of the stack, or while execution is
/// terminated. The crate's own function panics in these cases, which ends the process inside a callback.
pub(super) fn new_context<'s>(scope: &v8::PinScope<'s, '_, ()>) -> Option<v8::Local<'s, v8::Context>> {
    // SAFETY: I-NO-JS-OWNER: it is used only for the call below, on the isolate's thread.
    let isolate = unsafe { scope.as_raw_isolate_ptr() };
    // SAFETY: I-LAYOUT: the arguments are those of the crate's own call. Null selects V8's defaults.
    let context = unsafe { v8__Context__New(isolate, ptr::null(), ptr::null(), ptr::null_mut()) };
    let context = NonNull::new(context.cast_mut())?;
    // SAFETY: I-LAYOUT: a `Local` is the address of a handle. This one is in the innermost handle scope, which is
    // `scope`'s.
    Some(unsafe { std::mem::transmute::<NonNull<v8::Context>, v8::Local<'s, v8::Context>>(context) })
}

/// `v8::ArrayBuffer::NewBackingStore`, or `v8::SharedArrayBuffer::NewBackingStore`.
pub(super) type NewBlock =
    unsafe fn(*mut c_void, usize, v8::BackingStoreDeleterCallback, *mut c_void) -> v8::UniqueRef<v8::BackingStore>;

/// The beginning of a block with a deleter (`BackingStore` in backing-store.h of V8 15.0 and 15.2, without the sandbox).
#[repr(C)]
struct BlockLayout {
    start: *mut c_void,
    byte_length: usize,
    max_byte_length: usize,
    byte_capacity: usize,
    id: u32,
    deleter: *const c_void,
    deleter_data: *mut c_void,
}

/// Makes a block over bytes that V8 does not count, because releasing the block frees no memory. V8 calls `deleter`
/// once, as for other blocks. Returns `None`, and calls nothing, if V8's blocks do not have the expected layout.
///
/// V8 does not count bytes behind its own `EmptyDeleter`, which it looks for when a block is made. But that deleter
/// would report the end of the block to nobody, so the block gets `deleter` afterwards.
///
/// # Safety
/// The contract of `make` holds, and neither `deleter_data` nor `address` is null.
pub(super) unsafe fn new_uncounted_block(
    make: NewBlock,
    address: *mut c_void,
    byte_length: usize,
    deleter: v8::BackingStoreDeleterCallback,
    deleter_data: *mut c_void,
) -> Option<v8::UniqueRef<v8::BackingStore>> {
    // SAFETY: I-FREE-ONCE: the caller promises the contract of `make`. This deleter frees nothing.
    let block = unsafe { make(address, byte_length, backing_store_empty_deleter, deleter_data) }.into_raw();
    let layout = block.cast::<BlockLayout>();
    // SAFETY: I-LAYOUT: V8's object is larger than the part that is read, and no other code has it yet.
    let fields = unsafe { layout.read() };
    let is_as_expected = fields.start == address
        && fields.byte_length == byte_length
        && fields.deleter == backing_store_empty_deleter as *const c_void
        && fields.deleter_data == deleter_data;
    if is_as_expected {
        // SAFETY: I-LAYOUT: this is inside the object, which is larger, as above.
        let place = unsafe { &raw mut (*layout).deleter };
        // SAFETY: I-LAYOUT: the word is the deleter that V8 calls with this data: it and the words around it have the
        // expected values.
        unsafe { place.write(deleter as *const c_void) };
    }
    // SAFETY: I-FREE-ONCE: this is the pointer that `into_raw` returned above.
    let block = unsafe { v8::UniquePtr::from_raw(block) };
    is_as_expected.then(|| block.unwrap())
}

/// `v8::BackingStore::IsImmutable`: all buffers that are made over the block from now on are immutable.
pub(super) fn is_block_immutable(block: &Block) -> bool {
    // SAFETY: I-LAYOUT: this is a live block, at the address that the crate's own calls use.
    unsafe { backing_store_is_immutable((&raw const **block).cast()) }
}

/// The number of references to the block, V8's included.
pub(super) fn use_count(block: &Block) -> usize {
    // SAFETY: I-LAYOUT: a `SharedRef` is a C++ `shared_ptr`, which is the argument of this function.
    let count = unsafe { std__shared_ptr__v8__BackingStore__use_count((&raw const *block).cast()) };
    count.cast_unsigned() as usize
}
