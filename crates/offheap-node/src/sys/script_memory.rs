//! The memory of a buffer or view of script's, as Node-API tells it, and copies of it.
//!
//! Node-API gives an address that is right until script runs again on this thread. So nothing of the host or the program is
//! called between the question and the use of the answer.

use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;

use napi::Env;
use napi::bindgen_prelude::{JsValue, Unknown};
use napi_sys::{
    Status, napi_env, napi_get_arraybuffer_info, napi_get_dataview_info, napi_get_typedarray_info, napi_is_arraybuffer,
    napi_is_dataview, napi_is_detached_arraybuffer, napi_is_typedarray, napi_status, napi_strict_equals, napi_value,
};
use offheap::adapter::load_bytes;
use offheap::{BackingStore, SharedStore, UniqueStore};
use offheap_engine::Window;

use super::block::TABLE;
use super::bounds::check_in_bounds;
use super::external::function;
use super::host_memory::construct;
use super::napi::{element_of, is_instance_of, type_of};
use crate::{Error, engine};

/// How many bytes of shared memory are copied at once.
const CHUNK: usize = 16 << 10;

/// A buffer or view that script passed.
pub(crate) struct Object<'v> {
    env: &'v Env,
    /// The value, or a view that was made of a SharedArrayBuffer whose host tells nothing about those.
    asked: napi_value,
    /// The buffer behind it.
    buffer: napi_value,
    form: Form,
    is_shared: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Buffer,
    /// A view that stands for its whole buffer.
    WholeView,
    TypedArray,
    DataView,
}

/// What an object shows at this moment.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    /// The address of the first byte.
    pub(super) data: Option<NonNull<u8>>,
    pub(super) byte_length: usize,
    byte_offset: usize,
}

impl<'v> Object<'v> {
    /// The buffer or view that a value is. Runs script where the host tells nothing about a SharedArrayBuffer, and for a view
    /// without bytes.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`], [`Error::OutOfBounds`].
    pub(crate) fn of(env: &'v Env, value: &'v Unknown<'_>) -> Result<Self, Error> {
        let raw = value.raw();
        let form = match () {
            () if is(env, napi_is_arraybuffer, raw) || is_shared(env, raw) => Form::Buffer,
            () if is(env, napi_is_typedarray, raw) => Form::TypedArray,
            () if is(env, napi_is_dataview, raw) => Form::DataView,
            () => {
                let view = view_of(env, raw)?.ok_or_else(|| not_a_buffer(value))?;
                return Ok(Object { env, asked: view, buffer: raw, form: Form::WholeView, is_shared: true });
            }
        };
        let (buffer, shows_none) = match form {
            Form::Buffer => (raw, false),
            // This may move the bytes to a buffer, so nothing else is asked at once.
            _ => buffer_of(env, form, raw).ok_or_else(|| not_a_buffer(value))?,
        };
        let is_shared = is_shared(env, buffer) || !is(env, napi_is_arraybuffer, buffer);
        if shows_none && !is_shared && !is(env, napi_is_detached_arraybuffer, buffer) {
            check_in_bounds(env, raw, form == Form::DataView)?;
        }
        Ok(Object { env, asked: raw, buffer, form, is_shared })
    }

    /// What the object shows at this moment.
    ///
    /// # Errors
    /// [`Error::Detached`].
    fn shown(&self) -> Result<Shown, Error> {
        let detached = || Error::Detached { engine: engine(), attempted: "externalize" };
        if !self.is_shared && is(self.env, napi_is_detached_arraybuffer, self.buffer) {
            return Err(detached());
        }
        shown(self.env, self.form, self.asked).ok_or_else(detached)
    }

    /// What the object shows of its buffer.
    ///
    /// # Errors
    /// [`Error::Detached`].
    pub(crate) fn window(&self) -> Result<Window, Error> {
        let Shown { byte_offset, byte_length, .. } = self.shown()?;
        Ok(match self.form {
            Form::Buffer | Form::WholeView => Window::Buffer,
            Form::TypedArray => Window::View { element: element_of(self.env, self.asked), byte_offset, byte_length },
            Form::DataView => Window::View { element: None, byte_offset, byte_length },
        })
    }

    /// The store that the buffer is over. It begins where the buffer begins. If the host does not tell the length of the
    /// buffer, it ends where the view ends.
    ///
    /// # Errors
    /// [`Error::Detached`].
    pub(crate) fn store(&self) -> Result<Option<BackingStore>, Error> {
        let Shown { data, byte_length, byte_offset } = self.shown()?;
        let Some(data) = data else { return Ok(None) };
        let start = data.addr().get() - byte_offset;
        let whole = match self.form {
            Form::Buffer | Form::WholeView => None,
            _ => shown(self.env, Form::Buffer, self.buffer),
        };
        let byte_length = whole.map_or(byte_offset + byte_length, |whole| whole.byte_length);
        // SAFETY: I-FREE-ONCE: the buffer has these bytes. It is in a handle and attached, so the host does not drop it, and
        // no finalizer drops our hold before that (I-ENDING).
        Ok(unsafe { TABLE.find(start, byte_length) })
    }

    /// A store with a copy of the bytes that the object shows.
    ///
    /// # Errors
    /// [`Error::Detached`]; [`Error::Memory`] if there is no memory.
    #[track_caller]
    pub(crate) fn copy(&self) -> Result<BackingStore, Error> {
        let byte_length = self.shown()?.byte_length;
        if self.is_shared {
            let copy = SharedStore::zeroed(byte_length)?;
            let mut chunk = [0; CHUNK];
            for start in (0..byte_length).step_by(CHUNK) {
                let chunk = &mut chunk[..CHUNK.min(byte_length - start)];
                self.load(start, chunk)?;
                copy.copy_from_slice(start, chunk)?;
            }
            return Ok(copy.into());
        }
        let mut copy = UniqueStore::zeroed(byte_length)?;
        self.load(0, &mut copy)?;
        Ok(copy.into())
    }

    /// The bytes that the object shows at this moment, in no store.
    ///
    /// # Errors
    /// [`Error::Detached`]; [`Error::Memory`] if there is no memory.
    pub(super) fn to_vec(&self) -> Result<Vec<u8>, Error> {
        let mut copy = Vec::new();
        let requested = self.shown()?.byte_length;
        copy.try_reserve_exact(requested).map_err(|_| offheap::Error::OutOfMemory { requested })?;
        copy.resize(requested, 0);
        self.load(0, &mut copy)?;
        Ok(copy)
    }

    /// The address and the number of the bytes that the object shows at this moment. An address is null only if there are
    /// no bytes.
    ///
    /// # Errors
    /// [`Error::Detached`].
    pub(super) fn bytes(&self) -> Result<(Option<NonNull<u8>>, usize), Error> {
        let Shown { data, byte_length, .. } = self.shown()?;
        Ok((data, if data.is_none() { 0 } else { byte_length }))
    }

    /// Copies the bytes that the object shows from an offset on. An observer may have been told of the new store since the
    /// last question, so the host is asked again. Where the object shows less by now, nothing is written.
    fn load(&self, start: usize, into: &mut [u8]) -> Result<(), Error> {
        let Shown { data, byte_length, .. } = self.shown()?;
        let count = byte_length.saturating_sub(start).min(into.len());
        let Some(data) = data.filter(|_| count != 0) else { return Ok(()) };
        // SAFETY: I-MAPPED: `start` is less than the length.
        let from = unsafe { data.add(start) };
        // SAFETY: I-BORROW, I-MAPPED: the object shows these bytes at this moment, and script does not run. The host and, if
        // they are shared, other threads may write them.
        unsafe { load_bytes(from.as_ptr(), &mut into[..count]) };
        Ok(())
    }
}

type Question = unsafe fn(napi_env, napi_value, *mut bool) -> napi_status;

fn is(env: &Env, question: Question, value: napi_value) -> bool {
    let mut answer = false;
    // SAFETY: I-ENV: a live environment of this thread, and a live value.
    let status = unsafe { question(env.raw(), value, &mut answer) };
    status == Status::napi_ok && answer
}

/// Whether the value is a SharedArrayBuffer, as far as the host tells.
fn is_shared(env: &Env, value: napi_value) -> bool {
    type IsShared = unsafe extern "C" fn(napi_env, napi_value, *mut bool) -> napi_status;
    static FOUND: OnceLock<Option<IsShared>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let found = function(c"node_api_is_sharedarraybuffer")?;
        // SAFETY: I-LAYOUT: Node-API declares it this way, since Node 22.
        Some(unsafe { std::mem::transmute::<NonNull<std::ffi::c_void>, IsShared>(found) })
    });
    let Some(question) = found else { return false };
    let mut answer = false;
    // SAFETY: I-ENV: a live environment of this thread, and a live value.
    let status = unsafe { question(env.raw(), value, &mut answer) };
    status == Status::napi_ok && answer
}

/// The buffer of a view, and whether the view has the length of one that is out of bounds: 0.
fn buffer_of(env: &Env, form: Form, view: napi_value) -> Option<(napi_value, bool)> {
    let (env, mut buffer, none) = (env.raw(), null_mut(), null_mut());
    let mut length = 0;
    let status = match form {
        Form::DataView => {
            // SAFETY: I-ENV: a live environment of this thread, and a DataView. Null stands for what is not asked.
            unsafe { napi_get_dataview_info(env, view, &mut length, null_mut(), &mut buffer, null_mut()) }
        }
        // SAFETY: I-ENV: as above, with a typed array.
        _ => unsafe { napi_get_typedarray_info(env, view, null_mut(), &mut length, none, &mut buffer, null_mut()) },
    };
    (status == Status::napi_ok && !buffer.is_null()).then_some((buffer, length == 0))
}

/// What a value of this form shows. `None` if the host tells nothing.
fn shown(env: &Env, form: Form, value: napi_value) -> Option<Shown> {
    let (raw, mut data, mut length, mut byte_offset) = (env.raw(), null_mut(), 0, 0);
    let status = match form {
        // SAFETY: I-ENV: a live environment of this thread, and a buffer.
        Form::Buffer => unsafe { napi_get_arraybuffer_info(raw, value, &mut data, &mut length) },
        Form::DataView => {
            // SAFETY: I-ENV: as above, with a DataView.
            unsafe { napi_get_dataview_info(raw, value, &mut length, &mut data, null_mut(), &mut byte_offset) }
        }
        // SAFETY: I-ENV: as above, with a typed array.
        Form::TypedArray | Form::WholeView => unsafe {
            napi_get_typedarray_info(raw, value, null_mut(), &mut length, &mut data, null_mut(), &mut byte_offset)
        },
    };
    if status != Status::napi_ok {
        return None;
    }
    let byte_length = match form {
        Form::TypedArray => length.checked_mul(element_of(env, value)?.byte_length())?,
        _ => length,
    };
    Some(Shown { data: NonNull::new(data.cast()), byte_length, byte_offset })
}

/// A Uint8Array of all bytes of a value that is a SharedArrayBuffer; `None` for another value.
fn view_of(env: &Env, value: napi_value) -> Result<Option<napi_value>, Error> {
    if !is_instance_of(env, value, c"SharedArrayBuffer") {
        return Ok(None);
    }
    let view = construct(env, c"Uint8Array", value)?;
    // Script may have replaced the constructor: the view has to be one of this buffer.
    let mut is_same = false;
    let buffer = is(env, napi_is_typedarray, view).then(|| buffer_of(env, Form::WholeView, view)).flatten();
    if let Some((buffer, _)) = buffer {
        // SAFETY: I-ENV: a live environment of this thread, and live values.
        unsafe { napi_strict_equals(env.raw(), buffer, value, &mut is_same) };
    }
    let is_bytes = || element_of(env, view).is_some_and(|element| element.byte_length() == 1);
    Ok((is_same && is_bytes()).then_some(view))
}

/// The bytes of a SharedArrayBuffer, which may be less than all if script replaced `Uint8Array`; `None` for another value.
pub(super) fn view_of_shared(env: &Env, value: napi_value) -> Result<Option<Shown>, Error> {
    Ok(view_of(env, value)?.and_then(|view| shown(env, Form::WholeView, view)))
}

#[cold]
fn not_a_buffer(value: &Unknown<'_>) -> Error {
    Error::NotAnArrayBuffer { engine: engine(), found: type_of(value).to_owned() }
}
