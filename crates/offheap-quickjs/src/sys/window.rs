//! What a buffer or a view shows of the bytes of its buffer, read from QuickJS's own structs.

use offheap_engine::{Element, ExternalizedView, Window};
use rquickjs::{Ctx, Value, qjs};

use super::layout::{BufferFields, ViewFields, layout_changed};
use super::retarget::externalize;
use super::shared::see_growth;
use super::sort::view_buffer;
use super::state::with_state;
use crate::typed::element_of;
use crate::{ENGINE, Error};

/// What the buffer or view `value` shows.
pub(crate) fn window<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Window, Error> {
    window_in(ctx, value, &view_buffer(ctx, value)?)
}

/// What `value` shows of `buffer`, which is `value` or its buffer.
pub(super) fn window_in<'js>(ctx: &Ctx<'js>, value: &Value<'js>, buffer: &Value<'js>) -> Result<Window, Error> {
    see_growth(ctx, buffer)?;
    let is_known = with_state(ctx, |state| Ok(state.realm(ctx)?.layout_known.get()))?;
    if !is_known {
        return Err(layout_changed());
    }
    // SAFETY: I-LAYOUT: a live buffer, and the layout was probed.
    let fields = unsafe { BufferFields::of(buffer.as_raw()) };
    // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
    let fields = unsafe { fields.as_ref() };
    if fields.detached != 0 {
        return Ok(Window::Detached);
    }
    if buffer == value {
        return Ok(Window::Buffer);
    }
    let available = fields.byte_length as usize;
    // SAFETY: I-LAYOUT: `value` is a live view, because its buffer is another value, and the layout was probed.
    let view = unsafe { ViewFields::of(value.as_raw()) };
    // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
    let view = unsafe { view.as_ref() };
    let element = element(value);
    let byte_offset = view.byte_offset as usize;
    // ECMAScript's IsTypedArrayOutOfBounds and IsViewOutOfBounds.
    let Some(rest) = available.checked_sub(byte_offset) else { return Ok(Window::OutOfBounds) };
    let byte_length = match (view.follows != 0, view.byte_length as usize) {
        (false, byte_length) if byte_length > rest => return Ok(Window::OutOfBounds),
        (false, byte_length) => byte_length,
        // Only whole elements count.
        (true, _) => rest - rest % element.map_or(1, Element::byte_length),
    };
    Ok(Window::View { element, byte_offset, byte_length })
}

/// The type of the elements of the view `value`; `None` for a DataView.
fn element(value: &Value<'_>) -> Option<Element> {
    // SAFETY: reads the class of a live value.
    let number = unsafe { qjs::JS_GetTypedArrayType(value.as_raw()) };
    u32::try_from(number).ok().map(|number| element_of(number).expect("QuickJS has no other element types"))
}

/// The store of the part of its buffer that `value` shows, or of all of it if `value` is a buffer.
#[track_caller]
pub(crate) fn externalize_view<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<ExternalizedView, Error> {
    const ATTEMPTED: &str = "externalize";
    // SAFETY: reads the class of a live value.
    if unsafe { qjs::JS_IsArrayBuffer(value.as_raw()) } {
        let store = externalize(ctx, value, false)?;
        // Only an empty store may come from a detached buffer.
        let window = if store.byte_length() == 0 { window_in(ctx, value, value)? } else { Window::Buffer };
        return window.check(ENGINE, ATTEMPTED)?.of(store);
    }
    let buffer = view_buffer(ctx, value)?;
    let window = window_in(ctx, value, &buffer)?.check(ENGINE, ATTEMPTED)?;
    window.of(externalize(ctx, &buffer, false)?)
}
