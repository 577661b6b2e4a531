//! Acts on a buffer or a view in a scope: as a step of a sequence, or in a native function that script calls.

use std::cell::RefCell;

use offheap_engine::offheap::BackingStore;
use offheap_engine::{
    Error, Handle, HasBytes, Host, JsArrayBuffer, JsArrayBufferView, JsFunction, Local, ManuallyExternalizedBuffer,
    Scope, Value,
};
use proptest::arbitrary::any;
use proptest::strategy::Strategy;

use crate::errors::kind_of;

/// The number of bytes that a text shows.
const MOST: usize = 48;

/// A buffer, or a typed array or DataView.
#[derive(Clone, Debug)]
pub enum Object {
    /// A buffer.
    Buffer(Handle<JsArrayBuffer>),
    /// A view.
    View(Handle<JsArrayBufferView>),
}

/// What native code does with an object in a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// Says which part the object shows.
    Show,
    /// Takes the store of that part and keeps it.
    Externalize,
    /// Takes the store of the whole buffer and keeps it.
    ExternalizeBuffer,
    /// Borrows the bytes to read. Tries to take the store of a buffer while it has them.
    Read,
    /// Borrows the bytes to write, and sets each to this value.
    Write(u8),
    /// Copies two bytes of this value into the store of the part.
    CopyIn(u8),
    /// Takes the memory for itself, and keeps it.
    Take,
    /// Detaches a buffer. Does nothing with a view.
    Detach,
    /// Transfers a buffer. Does nothing with a view.
    Transfer,
    /// Resizes a buffer, or makes it grow. Does nothing with a view.
    Resize(usize),
    /// Exposes the store that was kept last.
    Expose,
    /// Collects garbage.
    Collect,
    /// Calls the function of script that was passed. Only in a native function.
    CallBack,
    /// Makes script call the native function again, with the objects exchanged. Only in a native function.
    CallAgain,
}

impl Act {
    /// An act of those that need no function.
    pub(super) fn any() -> impl Strategy<Value = Act> {
        (0..14_usize, any::<u8>(), 0..40_usize).prop_map(|(choice, value, byte_length)| match choice {
            0..2 => Act::Show,
            2..4 => Act::Externalize,
            4 => Act::ExternalizeBuffer,
            5..7 => Act::Read,
            7 => Act::Write(value),
            8 => Act::CopyIn(value),
            9 => Act::Take,
            10 => Act::Detach,
            11 => Act::Transfer,
            12 => Act::Resize(byte_length),
            _ => Act::Expose,
        })
    }

    /// An act in a native function.
    pub(super) fn any_in_function() -> impl Strategy<Value = Act> {
        (0..20_usize, Act::any()).prop_map(|(choice, act)| match choice {
            0..3 => Act::CallBack,
            3..5 => Act::CallAgain,
            5 => Act::Collect,
            _ => act,
        })
    }

    /// Whether native code, or script that it calls, may change the bytes of an object or their number.
    pub(super) fn may_change_bytes(self) -> bool {
        !matches!(self, Act::Show | Act::Externalize | Act::ExternalizeBuffer | Act::Read | Act::Expose | Act::Collect)
    }

    /// Whether native code reads or keeps a store of the object.
    pub(super) fn uses_store(self) -> bool {
        matches!(self, Act::Externalize | Act::ExternalizeBuffer | Act::CopyIn(_) | Act::Take)
    }
}

/// What acts made, in the order in which they did.
#[derive(Debug, Default)]
pub struct Kept {
    /// Stores.
    pub stores: Vec<BackingStore>,
    /// Buffers, which live until the step ends: some engines collect a buffer at once and others later.
    pub buffers: Vec<Handle<JsArrayBuffer>>,
    /// What each act saw, or the error that it met.
    pub seen: Vec<String>,
}

/// Performs an act, and returns what it saw. `back` is the function that script passed to a native function.
pub(super) fn perform<H: Host>(
    scope: &mut Scope<'_, H>,
    act: Act,
    object: &Object,
    back: Option<&Local<'_, JsFunction>>,
    kept: &RefCell<Kept>,
) -> Result<String, Error> {
    match object {
        Object::Buffer(buffer) => match act {
            Act::Detach => scope.detach(buffer, None).map(|()| String::new()),
            Act::Resize(byte_length) => scope.resize(buffer, byte_length).map(|()| String::new()),
            Act::Transfer => {
                let moved = scope.transfer(buffer, None)?.into_handle();
                let state = scope.state(&moved)?;
                kept.borrow_mut().buffers.push(moved);
                Ok(format!("{state:?}"))
            }
            act => on_bytes(scope, act, buffer, Some(buffer), back, kept),
        },
        Object::View(view) => on_bytes(scope, act, view, None, back, kept),
    }
}

/// Performs an act on an object that shows bytes.
fn on_bytes<H: Host, T: HasBytes>(
    scope: &mut Scope<'_, H>,
    act: Act,
    object: &Handle<T>,
    buffer: Option<&Handle<JsArrayBuffer>>,
    back: Option<&Local<'_, JsFunction>>,
    kept: &RefCell<Kept>,
) -> Result<String, Error> {
    let keep = |store: BackingStore| {
        let bytes = store.to_vec().map_or_else(|error| kind_of(&error.into()), |bytes| brief(&bytes));
        kept.borrow_mut().stores.push(store);
        bytes
    };
    Ok(match act {
        Act::Show => {
            let view = scope.externalize_view(object)?;
            format!("{:?} from {} on, {} bytes", view.element, view.byte_offset, view.store.byte_length())
        }
        Act::Externalize => keep(scope.externalize(object)?),
        Act::ExternalizeBuffer => keep(scope.externalize_buffer(object)?),
        Act::Read => {
            let bytes = scope.bytes(object)?;
            // Whether this is refused depends on the engine. The bytes stay lent either way.
            if let Some(Ok(taken)) = buffer.map(|buffer| ManuallyExternalizedBuffer::new(buffer.clone())) {
                let _ = taken.store().to_vec();
            }
            brief(&bytes)
        }
        Act::Write(value) => {
            scope.bytes_mut(object)?.fill(value);
            String::new()
        }
        Act::CopyIn(value) => {
            let store = scope.externalize(object)?;
            scope.copy_in(&store, 0, &[value; 2])?;
            String::new()
        }
        Act::Take => keep(scope.take(object, None)?.into()),
        Act::Expose => {
            let Some(store) = kept.borrow().stores.last().cloned() else { return Ok(String::new()) };
            let (buffer, exposure) = scope.expose_or_copy(&store)?;
            kept.borrow_mut().buffers.push(buffer.into_handle());
            format!("{exposure:?}")
        }
        Act::Collect => {
            scope.collect();
            String::new()
        }
        Act::CallBack => match back {
            Some(back) => scope.call::<Value<'_>>(back, ())?.to_string(),
            None => String::new(),
        },
        Act::CallAgain => match back {
            Some(_) => scope.eval::<Value<'_>>("native(y, x, back)")?.to_string(),
            None => String::new(),
        },
        // Only buffers.
        Act::Detach | Act::Transfer | Act::Resize(_) => String::new(),
    })
}

/// Bytes as text. Of many bytes, only the first ones, and a number that depends on all.
fn brief(bytes: &[u8]) -> String {
    match bytes.get(..MOST) {
        Some(first) if bytes.len() > MOST => {
            let all = bytes.iter().fold(0_u32, |all, byte| all.wrapping_mul(31).wrapping_add((*byte).into()));
            format!("{} bytes, {first:?} and so on, {all}", bytes.len())
        }
        _ => format!("{bytes:?}"),
    }
}
