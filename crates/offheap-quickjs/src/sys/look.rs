//! The state of buffers and views as script sees it, and their lengths.

use std::ffi::c_int;

use bytemuck::Pod;
use offheap_engine::{Element, Window, copied_elements};
use rquickjs::{Ctx, Value, qjs};

use super::found::{Found, find_store};
use super::layout::{BufferFields, layout_changed};
use super::retarget::externalize;
use super::shared;
use super::sort::{is_shared, view_buffer};
use super::state::with_state;
use super::transfer::publish_length;
use super::window::window_in;
use crate::script::{caught, not_a_buffer};
use crate::typed::array_type;
use crate::{BufferState, ENGINE, Error, ViewState};

/// Whether `buffer` is a SharedArrayBuffer (true) or an ArrayBuffer (false); an error for any other value.
pub(crate) fn check_is_buffer<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>) -> Result<bool, Error> {
    // SAFETY: reads the class of a live value.
    match unsafe { qjs::JS_IsArrayBuffer(buffer.as_raw()) } {
        true => Ok(false),
        false if is_shared(ctx, buffer)? => Ok(true),
        false => Err(not_a_buffer(buffer.type_name())),
    }
}

/// The properties of `buffer` that script sees.
pub(crate) fn state_of<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>) -> Result<BufferState, Error> {
    check_is_buffer(ctx, buffer)?;
    shared::see_growth(ctx, buffer)?;
    with_state(ctx, |state| {
        if !state.realm(ctx)?.layout_known.get() {
            return Err(layout_changed());
        }
        // SAFETY: I-LAYOUT: a live buffer, and the layout was probed.
        let fields = unsafe { BufferFields::of(buffer.as_raw()) };
        // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
        let fields = unsafe { fields.as_ref() };
        let resizable = fields.is_resizable();
        let byte_length = fields.byte_length as usize;
        let detached = fields.detached != 0;
        let max_byte_length = match (detached, resizable) {
            (true, _) => 0,
            (false, true) => fields.max_byte_length as usize,
            (false, false) => byte_length,
        };
        Ok(BufferState {
            byte_length,
            max_byte_length,
            detached,
            resizable,
            immutable: fields.immutable != 0,
            shared: fields.shared != 0,
        })
    })
}

/// The view `value`, as native code sees it.
pub(crate) fn view_of<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<ViewState, Error> {
    let buffer = view_buffer(ctx, value)?;
    if buffer == *value {
        return Err(not_a_buffer("a buffer, which is not a view; make a typed array or a DataView of it"));
    }
    let Window::View { byte_offset, byte_length, .. } = window_in(ctx, value, &buffer)? else {
        return Ok(ViewState { byte_offset: 0, byte_length: 0, contents: Vec::new() });
    };
    let mut contents = Vec::new();
    if byte_length != 0 {
        contents = externalize(ctx, &buffer, false)?.slice(byte_offset..byte_offset + byte_length)?.to_vec()?;
    }
    Ok(ViewState { byte_offset, byte_length, contents })
}

/// A copy of the elements of the buffer or view `value` that script sees.
pub(crate) fn copy_of<'js, T: Pod>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Vec<T>, Error> {
    let buffer = view_buffer(ctx, value)?;
    let range = match window_in(ctx, value, &buffer)?.check(ENGINE, "copy")? {
        Window::View { byte_offset, byte_length, .. } => byte_offset..byte_offset + byte_length,
        _ => 0..state_of(ctx, &buffer)?.byte_length,
    };
    copied_elements(ENGINE, range.len(), |into| {
        with_state(ctx, |own| match find_store(ctx, own, &buffer)? {
            Found::Detached => unreachable!("nothing of script ran"),
            Found::Store(store) => Ok(store.copy_to_slice(range.start, into)?),
            Found::Foreign(memory) => {
                memory.copy_to(range.start, into);
                Ok(())
            }
        })
    })
}

/// A typed array over `element_count` elements of `buffer`.
pub(crate) fn new_typed_array<'js>(
    ctx: &Ctx<'js>,
    buffer: &Value<'js>,
    byte_offset: usize,
    element_count: usize,
    element: Element,
) -> Result<Value<'js>, Error> {
    let number = |number: usize| {
        // A number that is too large for any buffer of QuickJS makes its constructor throw: the store may have
        // shrunk since it was checked.
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        qjs::JS_MKVAL(qjs::JS_TAG_INT, number)
    };
    let mut arguments = [buffer.as_raw(), number(byte_offset), number(element_count)];
    let count = arguments.len() as c_int;
    // SAFETY: a live context and live arguments; QuickJS's built-in constructor runs no user code for a buffer.
    let array =
        unsafe { qjs::JS_NewTypedArray(ctx.as_raw().as_ptr(), count, arguments.as_mut_ptr(), array_type(element)) };
    // SAFETY: only reads the tag.
    if unsafe { qjs::JS_IsException(array) } {
        return Err(caught(ctx));
    }
    // SAFETY: the call above returned an owned value of the runtime of `ctx`.
    Ok(unsafe { Value::from_raw(ctx.clone(), array) })
}

/// Resizes the resizable ArrayBuffer `buffer`, which is not detached, within its maximum.
pub(crate) fn resize<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>, byte_length: usize) -> Result<(), Error> {
    with_state(ctx, |state| {
        let realm = state.realm(ctx)?;
        let length = i32::try_from(byte_length).expect("checked against the maximum");
        let mut length = [qjs::JS_MKVAL(qjs::JS_TAG_INT, length)];
        realm.call(realm.resize, buffer.as_raw(), &mut length).map(|value| realm.free(value))
    })?;
    // QuickJS asks the callback for at least one byte, so the exact length is published here.
    publish_length(ctx, buffer)
}
