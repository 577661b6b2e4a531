//! What a buffer or a view shows of the bytes of its buffer, from V8's own slots. No function here runs script or
//! allocates on V8's heap.

use offheap_engine::{Element, Window};

use super::natives;
use super::object::Buffer;

/// What `value` shows of `buffer`, which is `value` or its buffer.
pub(crate) fn window(value: v8::Local<'_, v8::Value>, buffer: &Buffer<'_>) -> Window {
    if buffer.is_detached() {
        return Window::Detached;
    }
    let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(value) else { return Window::Buffer };
    // V8's API gives 0 for the offset and the length of a view that is out of bounds.
    let (byte_offset, byte_length) = (view.byte_offset(), view.byte_length());
    if (byte_offset, byte_length) == (0, 0) && buffer.may_shrink() && !natives::has_contents(view) {
        return Window::OutOfBounds;
    }
    Window::View { element: element(value), byte_offset, byte_length }
}

/// The type of the elements of a view; `None` for a DataView.
fn element(view: v8::Local<'_, v8::Value>) -> Option<Element> {
    Some(match view {
        view if view.is_uint8_array() => Element::Uint8,
        view if view.is_float32_array() => Element::Float32,
        view if view.is_float64_array() => Element::Float64,
        view if view.is_int8_array() => Element::Int8,
        view if view.is_uint8_clamped_array() => Element::Uint8Clamped,
        view if view.is_int16_array() => Element::Int16,
        view if view.is_uint16_array() => Element::Uint16,
        view if view.is_int32_array() => Element::Int32,
        view if view.is_uint32_array() => Element::Uint32,
        view if view.is_float16_array() => Element::Float16,
        view if view.is_big_int64_array() => Element::BigInt64,
        view if view.is_big_uint64_array() => Element::BigUint64,
        _ => return None,
    })
}
