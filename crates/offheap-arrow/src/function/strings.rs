//! Columns of strings, in and out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, GenericStringArray, LargeStringArray, OffsetSizeTrait, StringArray, StringViewArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use offheap_v8::v8;

use super::error::Reason;
use super::kind::Layout;
use super::lent::Batch;

/// Lends a column of strings: all its text as one string of V8's, the offsets of the rows in it, in UTF-16 units, and the offset at
/// which the string begins. V8 makes a part of the string for each row.
pub(crate) fn lend<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    column: &ArrayRef,
    layout: Layout,
) -> Result<(), Reason> {
    match layout {
        Layout::Small => {
            let strings = column.as_string::<i32>();
            let text = used(strings);
            if !text.is_ascii() {
                return lend_any(scope, batch, strings);
            }
            one_byte_string(scope, batch, text)?;
            batch.elements::<i32>(scope, strings.offsets().inner().inner())?;
            batch.number(scope, f64::from(strings.offsets()[0]));
            Ok(())
        }
        Layout::Large => lend_any(scope, batch, column.as_string::<i64>()),
        Layout::View => lend_rows(scope, batch, column.as_string_view().iter().map(Option::unwrap_or_default)),
    }
}

/// The bytes from the first row to the last.
fn used<O: OffsetSizeTrait>(strings: &GenericStringArray<O>) -> &[u8] {
    let offsets = strings.offsets();
    &strings.values()[offsets[0].as_usize()..offsets[offsets.len() - 1].as_usize()]
}

fn lend_any<'s, O: OffsetSizeTrait>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    strings: &GenericStringArray<O>,
) -> Result<(), Reason> {
    let text = used(strings);
    check_length(text.len())?;
    let is_ascii = text.is_ascii();
    if !is_ascii && std::str::from_utf8(text).is_err() {
        // Under a NULL there may be anything.
        return lend_rows(scope, batch, strings.iter().map(Option::unwrap_or_default));
    }
    let values = strings.values();
    let mut offsets = vec![0_i32; strings.len() + 1];
    let mut end = 0;
    for (offset, pair) in offsets[1..].iter_mut().zip(strings.offsets().windows(2)) {
        let row = &values[pair[0].as_usize()..pair[1].as_usize()];
        end += if is_ascii { row.len() as i32 } else { units(row) };
        *offset = end;
    }
    lend_text(scope, batch, text, is_ascii, offsets)
}

/// Lends strings that do not lie one after the other, by a copy.
fn lend_rows<'a, 's>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    rows: impl ExactSizeIterator<Item = &'a str> + Clone,
) -> Result<(), Reason> {
    let byte_length = rows.clone().fold(0_usize, |sum, row| sum.saturating_add(row.len()));
    check_length(byte_length)?;
    let mut text = Vec::with_capacity(byte_length);
    let mut offsets = Vec::with_capacity(rows.len() + 1);
    offsets.push(0);
    for row in rows.clone() {
        text.extend_from_slice(row.as_bytes());
        offsets.push(text.len() as i32);
    }
    let is_ascii = text.is_ascii();
    if !is_ascii {
        let mut end = 0;
        for (offset, row) in offsets[1..].iter_mut().zip(rows) {
            end += units(row.as_bytes());
            *offset = end;
        }
    }
    lend_text(scope, batch, &text, is_ascii, offsets)
}

fn lend_text<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    text: &[u8],
    is_ascii: bool,
    offsets: Vec<i32>,
) -> Result<(), Reason> {
    if is_ascii {
        one_byte_string(scope, batch, text)?;
    } else {
        // Two for each unit, unless all characters are in Latin-1.
        batch.count_text(offsets.last().map_or(0, |units| *units as usize * 2))?;
        let string = v8::String::new_from_utf8(scope, text, v8::NewStringType::Normal);
        batch.arguments.push(string.ok_or_else(|| too_long(text.len()))?.into());
    }
    batch.vec(scope, offsets)?;
    batch.number(scope, 0.0);
    Ok(())
}

fn one_byte_string<'s>(scope: &mut v8::PinScope<'s, '_>, batch: &mut Batch<'_, 's>, text: &[u8]) -> Result<(), Reason> {
    check_length(text.len())?;
    batch.count_text(text.len())?;
    let string = v8::String::new_from_one_byte(scope, text, v8::NewStringType::Normal);
    batch.arguments.push(string.ok_or_else(|| too_long(text.len()))?.into());
    Ok(())
}

fn check_length(byte_length: usize) -> Result<(), Reason> {
    if byte_length > v8::String::MAX_LENGTH { Err(too_long(byte_length)) } else { Ok(()) }
}

fn too_long(given: usize) -> Reason {
    Reason::TooLarge { unit: "bytes of text", given, limit: v8::String::MAX_LENGTH }
}

/// The UTF-16 units of text in UTF-8: one for each character, and one more for those of four bytes.
fn units(text: &[u8]) -> i32 {
    text.iter().map(|&byte| i32::from(byte & 0xc0 != 0x80) + i32::from(byte >= 0xf0)).sum()
}

/// Makes a column of the results of a loop: all of them in one string, and the length of each, in UTF-16 units.
pub(crate) fn column<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    all: v8::Local<'s, v8::String>,
    lengths: &[i32],
    nulls: Option<NullBuffer>,
    layout: Layout,
) -> Result<ArrayRef, Reason> {
    let (offsets, bytes) = match ascii(scope, all) {
        Some(bytes) => {
            let mut end = 0;
            (std::iter::once(0).chain(lengths.iter().map(|length| add(&mut end, *length))).collect(), bytes)
        }
        None => decoded(scope, all, lengths),
    };
    let (values, offsets) = (Buffer::from_vec(bytes), ScalarBuffer::from(offsets));
    if offsets.last().is_none_or(|end| *end as usize != values.len()) {
        return Err(offheap_v8::Error::EngineFailed { engine: "V8", attempted: "collect strings" }.into());
    }
    let small = || StringArray::try_new(OffsetBuffer::new(offsets.clone()), values.clone(), nulls.clone());
    Ok(match layout {
        Layout::Small => Arc::new(small()?),
        Layout::View => Arc::new(StringViewArray::from(&small()?)),
        Layout::Large => {
            let offsets: Vec<i64> = offsets.iter().map(|offset| i64::from(*offset)).collect();
            Arc::new(LargeStringArray::try_new(OffsetBuffer::new(offsets.into()), values, nulls)?)
        }
    })
}

/// The bytes of a string, if each of them is a character of ASCII.
fn ascii<'s>(scope: &mut v8::PinScope<'s, '_>, all: v8::Local<'s, v8::String>) -> Option<Vec<u8>> {
    if !all.is_onebyte() {
        return None;
    }
    // Its characters may still be those of Latin-1.
    let mut bytes = vec![0; all.length()];
    all.write_one_byte_v2(scope, 0, &mut bytes, v8::WriteFlags::empty());
    bytes.is_ascii().then_some(bytes)
}

fn add(end: &mut i32, length: i32) -> i32 {
    *end = end.saturating_add(length);
    *end
}

/// Each row by itself, so that two halves of a pair in two rows do not become one character.
fn decoded<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    all: v8::Local<'s, v8::String>,
    lengths: &[i32],
) -> (Vec<i32>, Vec<u8>) {
    let mut units = vec![0_u16; all.length()];
    all.write_v2(scope, 0, &mut units, v8::WriteFlags::empty());
    let mut rest = &units[..];
    let mut text = String::with_capacity(units.len() * 2);
    let mut offsets = vec![0];
    for &length in lengths {
        let (row, after) = rest.split_at(rest.len().min(length as usize));
        rest = after;
        text.extend(char::decode_utf16(row.iter().copied()).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
        offsets.push(i32::try_from(text.len()).unwrap_or(i32::MAX));
    }
    (offsets, text.into_bytes())
}
