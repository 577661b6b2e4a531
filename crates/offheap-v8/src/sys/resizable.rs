//! Buffers over V8's own memory, the only memory that V8 resizes.

use offheap::BackingStore;

use super::counted;
use super::object::Buffer;
use super::realm::Function;
use super::state::State;
use crate::{ENGINE, Error};

/// Makes a buffer over V8's own memory in the entered context of an isolate of ours, even if script replaced the
/// constructors.
pub(crate) fn allocate<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    byte_length: usize,
    max_byte_length: Option<usize>,
    shared: bool,
) -> Result<Buffer<'s>, Error> {
    let lengths = [byte_length as f64, max_byte_length.map_or(-1.0, |most| most as f64)];
    let [byte_length, most] = lengths.map(|length| v8::Number::new(scope, length).into());
    let (shared, nothing) = (v8::Boolean::new(scope, shared).into(), v8::undefined(scope).into());
    let made = state.realm(scope)?.call(scope, Function::Allocate, nothing, &[shared, byte_length, most])?;
    Buffer::of_object(scope, made)
}

/// Makes a resizable buffer with the maximum length and a copy of the bytes of `store`, by means of [`allocate`].
pub(crate) fn copy_resizable<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    store: &BackingStore,
) -> Result<Buffer<'s>, Error> {
    let (byte_length, most, limit) = (store.byte_length(), store.max_byte_length(), counted::max_byte_length());
    if most > limit {
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: Some(store.id()), byte_length: most, limit });
    }
    let buffer = allocate(scope, state, byte_length, Some(most), false)?;
    let into: &mut [u8] = match buffer.data().filter(|_| byte_length != 0) {
        Some(data) => {
            assert_eq!(buffer.byte_length(), byte_length, "as long as asked for");
            // SAFETY: I-BORROW: V8 just made these zeroed bytes, of this length, and no script can reach them.
            unsafe { std::slice::from_raw_parts_mut(data.as_ptr().cast::<u8>(), byte_length) }
        }
        None => &mut [],
    };
    // This call is needed even without bytes: it refuses memory that was freed, which has none.
    store.copy_to_slice(0, into)?;
    Ok(buffer)
}
