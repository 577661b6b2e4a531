//! Resizable buffers: V8 makes them over memory of its own alone, and so makes them here.

use offheap::BackingStore;

use super::counted;
use super::realm::Function;
use super::state::state;
use crate::{ENGINE, Error};

/// `new ArrayBuffer(byteLength, { maxByteLength })`, whatever script made of that constructor.
pub(crate) fn new_resizable<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    byte_length: usize,
    max_byte_length: usize,
) -> Result<v8::Local<'s, v8::ArrayBuffer>, Error> {
    let limit = counted::max_byte_length();
    if max_byte_length > limit {
        let byte_length = max_byte_length;
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: None, byte_length, limit });
    }
    if byte_length > max_byte_length {
        return Err(offheap::Error::MaximumTooSmall { byte_length, max_byte_length }.into());
    }
    let state = state(scope)?;
    let lengths = [byte_length, max_byte_length].map(|length| v8::Number::new(scope, length as f64).into());
    let nothing = v8::undefined(scope).into();
    let made = state.realm(scope)?.call(scope, Function::NewResizable, nothing, &lengths)?;
    let made: v8::Local<'_, v8::ArrayBuffer> = made.try_into().expect("the constructor makes an ArrayBuffer");
    let block = made.get_backing_store();
    let buffer = v8::ArrayBuffer::with_backing_store(scope, &block);
    // The one buffer over the block is that of the entered context: two that resize it would fault (F3).
    assert_eq!(made.detach(None), Some(true), "a buffer without a key is detached");
    Ok(buffer)
}

/// A resizable buffer with a copy of the bytes of `store`, and its maximum.
pub(crate) fn copy_resizable<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    store: &BackingStore,
) -> Result<v8::Local<'s, v8::ArrayBuffer>, Error> {
    let byte_length = store.byte_length();
    let buffer = new_resizable(scope, byte_length, store.max_byte_length())?;
    if let Some(data) = buffer.data().filter(|_| byte_length != 0) {
        assert_eq!(buffer.byte_length(), byte_length, "as long as asked for");
        // SAFETY: I-BORROW: V8 just made these bytes, of this length, zeroed; no script knows them.
        let into = unsafe { std::slice::from_raw_parts_mut(data.as_ptr().cast::<u8>(), byte_length) };
        store.copy_to_slice(0, into)?;
    }
    Ok(buffer)
}
