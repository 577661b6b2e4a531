//! The self-test: V8's functions are called on buffers of our own, from harmless calls to telling ones, and each result is
//! compared. Every function of the table is called, and a function in the place of another one is found out.
//!
//! It runs in a process whose V8 is known, or in a child process that may crash.

use std::ffi::CStr;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use napi::sys;

use super::questions::{Questions, SCRATCH, Scratch};
use super::shared_ptr::{ByAddress, RawSharedPtr, SharedPtr, share};
use super::symbols::{Deleter, Functions, NotFound, Pointer};
use super::v8::V8;

/// How a self-test ended, if not well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This was not as expected.
    Found(&'static str),
    /// The environment runs no script any more: nothing was learnt.
    Ending,
}

/// V8's functions, which were looked up, and none of them called.
pub(crate) fn functions() -> Result<&'static Functions, NotFound> {
    static FUNCTIONS: OnceLock<Result<Functions, NotFound>> = OnceLock::new();
    FUNCTIONS.get_or_init(look_up).as_ref().map_err(|error| *error)
}

#[cfg(not(feature = "broken-tables"))]
fn look_up() -> Result<Functions, NotFound> {
    Functions::look_up()
}

#[cfg(feature = "broken-tables")]
fn look_up() -> Result<Functions, NotFound> {
    Functions::look_up().map(super::broken::table)
}

/// Tests the functions. `begin` is told each step before it is made. `said` is the version in `process.versions`.
pub(crate) fn run(
    questions: &Questions,
    v8: &'static Functions,
    said: Option<&str>,
    begin: &mut dyn FnMut(&'static str),
) -> Result<V8, Failure> {
    let mut test = Test { questions, v8, begin };
    test.version(said)?;
    test.buffer_of_script()?;
    test.resizable_block()?;
    test.buffer_of_ours()?;
    test.shared_buffer_of_ours()?;
    // SAFETY: I-TRIED: they just were tried, and `decide` has pinned this library before.
    Ok(unsafe { V8::new(v8) })
}

struct Test<'a> {
    questions: &'a Questions,
    v8: &'static Functions,
    begin: &'a mut dyn FnMut(&'static str),
}

/// What a block is expected to be.
struct Kind {
    /// Its length and the greatest one, in bytes.
    lengths: (usize, usize),
    is_shared: bool,
    is_resizable: bool,
}

impl Kind {
    const OURS: Self =
        Kind { lengths: (Scratch::BYTE_LENGTH, Scratch::BYTE_LENGTH), is_shared: false, is_resizable: false };
}

/// Goes on if the condition holds.
fn expect(what: &'static str, holds: bool) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Found(what)) }
}

impl Test<'_> {
    /// Calls a function of one argument. The step is called as the function.
    fn call<R>(&mut self, step: &'static str, function: unsafe extern "C" fn(Pointer) -> R, argument: Pointer) -> R {
        (self.begin)(step);
        // SAFETY: I-TRIED: V8's function of this name, by the table, and an object of the kind that it takes.
        unsafe { function(argument) }
    }

    /// The one call that needs no object, no isolate and no thread.
    fn version(&mut self, said: Option<&str>) -> Result<(), Failure> {
        (self.begin)("V8::GetVersion");
        // SAFETY: I-TRIED: V8's function of this name, by the table.
        let version = unsafe { (self.v8.version)() };
        expect("V8 has no version", !version.is_null())?;
        // SAFETY: I-TRIED: V8's own static text, which ends with a zero.
        let version = unsafe { CStr::from_ptr(version) }.to_string_lossy();
        expect("V8's version is not Node's", version.contains("-node."))?;
        expect("V8's version is not that of process.versions.v8", said.is_none_or(|said| said == version))
    }

    /// Memory that the host allocates: a buffer, a view, and its block before and after a detach.
    fn buffer_of_script(&mut self) -> Result<(), Failure> {
        const LENGTH: usize = 48;
        let (buffer, data) = self.new_arraybuffer(LENGTH)?;
        let view = self.new_view(buffer, 8, 16)?;
        // A handle is the address of a slot. The slot has the address of a heap object, with the last bits 01.
        (self.begin)("a handle");
        for value in [buffer, view] {
            expect("a handle is not an address", !value.is_null() && value.addr() % size_of::<usize>() == 0)?;
            // SAFETY: I-TRIED: an aligned address that the host gave as a handle.
            let slot = unsafe { value.cast::<usize>().read() };
            expect("a handle has no address of an object", slot & 3 == 1)?;
        }
        (self.begin)("Isolate::TryGetCurrent");
        // SAFETY: I-TRIED: V8's function of this name, by the table.
        let isolate = unsafe { (self.v8.current_isolate)() };
        expect("there is no current isolate", !isolate.is_null())?;

        let v8 = self.v8;
        // A number is no address: a function that reads an object there does not come back.
        let number = self.new_number()?;
        for (value, is_buffer, is_view) in [(buffer, true, false), (view, false, true), (number, false, false)] {
            let found = self.call("Value::IsArrayBuffer", v8.is_array_buffer, value);
            expect("an ArrayBuffer is none, or something else is one", found == is_buffer)?;
            let found = self.call("Value::IsArrayBufferView", v8.is_view, value);
            expect("a view is none, or something else is one", found == is_view)?;
            let found = self.call("Value::IsSharedArrayBuffer", v8.is_shared_array_buffer, value);
            expect("something is a SharedArrayBuffer that is none", !found)?;
        }
        let offset = self.call("ArrayBufferView::ByteOffset", v8.view_byte_offset, view);
        let length = self.call("ArrayBufferView::ByteLength", v8.view_byte_length, view);
        expect("a view has another place", (offset, length) == (8, 16))?;
        let of_view = self.call("ArrayBufferView::Buffer", v8.view_buffer, view);
        expect("a view has no buffer", self.is_same(of_view, buffer)?)?;

        let length = self.call("ArrayBuffer::ByteLength", v8.buffer_byte_length, buffer);
        expect("a buffer has another length", length == LENGTH)?;
        let found = self.call("ArrayBuffer::Data", v8.buffer_data, buffer);
        expect("a buffer has other memory", found == data)?;
        let detachable = self.call("ArrayBuffer::IsDetachable", v8.is_detachable, buffer);
        let detached = self.call("ArrayBuffer::WasDetached", v8.was_detached, buffer);
        expect("a buffer is detached already", detachable && !detached)?;

        let block = self.call("ArrayBuffer::GetBackingStore", v8.block, buffer);
        let block = self.counted(block)?;
        self.check_block(&block, data, Kind { lengths: (LENGTH, LENGTH), ..Kind::OURS })?;
        expect("a block has another count", block.use_count() == 2)?;
        let again = self.call("ArrayBuffer::GetBackingStore", v8.block, buffer);
        let again = self.counted(again)?;
        expect("a buffer has two blocks", again.object() == block.object() && block.use_count() == 3)?;
        (self.begin)("~shared_ptr");
        drop(again);
        expect("a reference stays", block.use_count() == 2)?;

        self.detach(buffer)?;
        let detached = self.call("ArrayBuffer::WasDetached", v8.was_detached, buffer);
        expect("a buffer is not detached", detached && block.use_count() == 1)?;
        let data_after = self.call("BackingStore::Data", v8.block_data, block.object());
        expect("a block has other memory after a detach", data_after == data)?;
        (self.begin)("~shared_ptr, the last");
        drop(block);
        Ok(())
    }

    /// A block whose two lengths differ.
    fn resizable_block(&mut self) -> Result<(), Failure> {
        const LENGTHS: (usize, usize) = (8, 64);
        (self.begin)("ArrayBuffer::NewResizableBackingStore");
        // SAFETY: I-TRIED: V8's function of this name, by the table. It takes numbers only.
        let block = unsafe { (self.v8.new_resizable_block)(LENGTHS.0, LENGTHS.1) };
        let block = self.shared(block)?;
        let data = self.call("BackingStore::Data", self.v8.block_data, block.object());
        self.check_block(&block, data, Kind { lengths: LENGTHS, is_shared: false, is_resizable: true })?;
        (self.begin)("BackingStore::~BackingStore");
        drop(block);
        Ok(())
    }

    /// Memory of ours: a block, a buffer over it, and the deleter, which is called once and at the right moment.
    fn buffer_of_ours(&mut self) -> Result<(), Failure> {
        let v8 = self.v8;
        let calls = Calls::default();
        let block = self.block_of_ours("ArrayBuffer::NewBackingStore", v8.new_block, calls.clone())?;
        self.check_block(&block, SCRATCH.address(), Kind::OURS)?;
        let buffer = self.buffer_over("ArrayBuffer::New", v8.new_buffer, &block)?;
        expect("a block has another count", block.use_count() == 2)?;
        let found = self.call("Value::IsArrayBuffer", v8.is_array_buffer, buffer);
        expect("a buffer over a block is none", found)?;
        expect("a buffer has other memory", self.memory_of(buffer)? == (SCRATCH.address(), Scratch::BYTE_LENGTH))?;
        self.detach(buffer)?;
        expect("a detached buffer has its block", block.use_count() == 1 && calls.load(Ordering::SeqCst) == 0)?;
        (self.begin)("BackingStore::~BackingStore");
        drop(block);
        expect("the deleter was not called once, with what it was given", calls.load(Ordering::SeqCst) == 1)
    }

    /// Nothing detaches a SharedArrayBuffer: a collection calls its deleter later.
    fn shared_buffer_of_ours(&mut self) -> Result<(), Failure> {
        let v8 = self.v8;
        let block = self.block_of_ours("SharedArrayBuffer::NewBackingStore", v8.new_shared_block, Calls::default())?;
        self.check_block(&block, SCRATCH.address(), Kind { is_shared: true, ..Kind::OURS })?;
        let buffer = self.buffer_over("SharedArrayBuffer::New", v8.new_shared_buffer, &block)?;
        let shared = self.call("Value::IsSharedArrayBuffer", v8.is_shared_array_buffer, buffer);
        let unshared = self.call("Value::IsArrayBuffer", v8.is_array_buffer, buffer);
        expect("a SharedArrayBuffer is none", shared && !unshared)?;
        let length = self.call("SharedArrayBuffer::ByteLength", v8.shared_buffer_byte_length, buffer);
        expect("a SharedArrayBuffer has another length", length == Scratch::BYTE_LENGTH)?;
        let same = self.call("SharedArrayBuffer::GetBackingStore", v8.shared_block, buffer);
        let same = self.counted(same)?;
        expect("a SharedArrayBuffer has another block", same.object() == block.object() && same.use_count() == 3)
    }

    fn check_block(&mut self, block: &SharedPtr, data: Pointer, kind: Kind) -> Result<(), Failure> {
        let (v8, object) = (self.v8, block.object());
        let found = self.call("BackingStore::Data", v8.block_data, object);
        expect("a block has other memory", found == data)?;
        let length = self.call("BackingStore::ByteLength", v8.block_byte_length, object);
        let greatest = self.call("BackingStore::MaxByteLength", v8.block_max_byte_length, object);
        expect("a block has another length", (length, greatest) == kind.lengths)?;
        let found = self.call("BackingStore::IsShared", v8.block_is_shared, object);
        expect("a block is shared, or is not", found == kind.is_shared)?;
        let found = self.call("BackingStore::IsResizableByUserJavaScript", v8.block_is_resizable, object);
        expect("a block is resizable, or is not", found == kind.is_resizable)
    }

    /// The reference that `GetBackingStore` returned.
    fn counted(&mut self, block: ByAddress) -> Result<SharedPtr, Failure> {
        // SAFETY: I-TRIED: V8's function of this name returned it, and it is taken over once.
        let block = unsafe { block.shared_ptr() };
        // SAFETY: I-TRIED: as above.
        unsafe { SharedPtr::from_raw(block) }.ok_or(Failure::Found("a buffer has no block"))
    }

    fn block_of_ours(
        &mut self,
        step: &'static str,
        new_block: unsafe extern "C" fn(Pointer, usize, Deleter, Pointer) -> ByAddress,
        calls: Calls,
    ) -> Result<SharedPtr, Failure> {
        (self.begin)(step);
        let (data, length) = (SCRATCH.address(), Scratch::BYTE_LENGTH);
        // SAFETY: I-TRIED: V8's function of this name, by the table. The memory is static, and `deleter` is called once with its reference.
        let block = unsafe { new_block(data, length, deleter, Arc::into_raw(calls).cast_mut().cast()) };
        self.shared(block)
    }

    /// The block that `NewBackingStore` returned.
    fn shared(&mut self, block: ByAddress) -> Result<SharedPtr, Failure> {
        // SAFETY: I-TRIED: a function of this name returned it, as a `unique_ptr`.
        let block = NonNull::new(unsafe { block.unique_ptr() }).ok_or(Failure::Found("V8 made no block"))?;
        // SAFETY: I-TRIED: V8 just made the block.
        Ok(unsafe { share(self.v8, block) })
    }

    fn buffer_over(
        &mut self,
        step: &'static str,
        new_buffer: unsafe extern "C" fn(Pointer, *mut RawSharedPtr) -> Pointer,
        block: &SharedPtr,
    ) -> Result<Pointer, Failure> {
        (self.begin)(step);
        // SAFETY: I-TRIED: V8's function of this name, by the table.
        let isolate = unsafe { (self.v8.current_isolate)() };
        let mut argument = block.clone().into_raw();
        // SAFETY: I-TRIED: V8's function of this name, by the table; it moves out of the argument.
        let buffer = unsafe { new_buffer(isolate, &raw mut argument) };
        // SAFETY: I-TRIED: what V8 left in the argument is ours.
        drop(unsafe { SharedPtr::from_raw(argument) });
        expect("V8 made no buffer", !buffer.is_null())?;
        Ok(buffer)
    }
}

/// Calls of Node-API. What fails without an exception fails since the environment ends.
impl Test<'_> {
    fn check(&self, status: sys::napi_status, what: &'static str) -> Result<(), Failure> {
        match status {
            sys::Status::napi_ok => Ok(()),
            status if is_ending(status) => Err(Failure::Ending),
            _ => Err(Failure::Found(what)),
        }
    }

    fn new_arraybuffer(&mut self, length: usize) -> Result<(Pointer, Pointer), Failure> {
        (self.begin)("napi_create_arraybuffer");
        let (mut data, mut value) = (null_mut(), null_mut());
        // SAFETY: I-ENV: `Questions` has checked the environment.
        let status =
            unsafe { sys::napi_create_arraybuffer(self.questions.env(), length, &raw mut data, &raw mut value) };
        self.check(status, "an ArrayBuffer is refused")?;
        Ok((value.cast(), data))
    }

    fn new_view(&mut self, buffer: Pointer, offset: usize, length: usize) -> Result<Pointer, Failure> {
        (self.begin)("napi_create_typedarray");
        let mut value = null_mut();
        // SAFETY: I-ENV: `Questions` has checked the environment.
        let status = unsafe {
            let (env, kind) = (self.questions.env(), sys::TypedarrayType::uint8_array);
            sys::napi_create_typedarray(env, kind, length, buffer.cast(), offset, &raw mut value)
        };
        self.check(status, "a view is refused")?;
        Ok(value.cast())
    }

    fn new_number(&mut self) -> Result<Pointer, Failure> {
        (self.begin)("napi_create_int32");
        let mut value = null_mut();
        // SAFETY: I-ENV: `Questions` has checked the environment.
        let status = unsafe { sys::napi_create_int32(self.questions.env(), 7, &raw mut value) };
        self.check(status, "a number is refused")?;
        Ok(value.cast())
    }

    fn is_same(&mut self, one: Pointer, other: Pointer) -> Result<bool, Failure> {
        (self.begin)("napi_strict_equals");
        let mut same = false;
        // SAFETY: I-ENV: two handles of the scope of `Questions`.
        let status = unsafe { sys::napi_strict_equals(self.questions.env(), one.cast(), other.cast(), &raw mut same) };
        self.check(status, "handles are not compared")?;
        Ok(same)
    }

    fn memory_of(&mut self, buffer: Pointer) -> Result<(Pointer, usize), Failure> {
        (self.begin)("napi_get_arraybuffer_info");
        let (mut data, mut length) = (null_mut(), 0);
        // SAFETY: I-ENV: a handle of the scope of `Questions`.
        let status = unsafe {
            sys::napi_get_arraybuffer_info(self.questions.env(), buffer.cast(), &raw mut data, &raw mut length)
        };
        self.check(status, "a buffer over a block is none to Node-API")?;
        Ok((data, length))
    }

    fn detach(&mut self, buffer: Pointer) -> Result<(), Failure> {
        (self.begin)("napi_detach_arraybuffer");
        // SAFETY: I-ENV: a handle of the scope of `Questions`.
        let status = unsafe { sys::napi_detach_arraybuffer(self.questions.env(), buffer.cast()) };
        self.check(status, "a buffer is not detached")
    }
}

/// Whether a status says that the environment runs no script any more. No exception is pending where this is asked.
pub(crate) fn is_ending(status: sys::napi_status) -> bool {
    const CANNOT_RUN_JS: sys::napi_status = 23;
    [sys::Status::napi_pending_exception, sys::Status::napi_closing, CANNOT_RUN_JS].contains(&status)
}

/// How often a deleter was called; a wrong call counts as many. The deleter has a reference, which it drops.
type Calls = Arc<AtomicU32>;

unsafe extern "C" fn deleter(data: Pointer, length: usize, calls: Pointer) {
    const WRONG: u32 = 1000;
    let right = data == SCRATCH.address() && length == Scratch::BYTE_LENGTH;
    // SAFETY: I-TRIED: V8 passes what `block_of_ours` gave it. (A V8 that passes something else is in a child process.)
    let calls = unsafe { Calls::from_raw(calls.cast()) };
    calls.fetch_add(if right { 1 } else { WRONG }, Ordering::SeqCst);
}
