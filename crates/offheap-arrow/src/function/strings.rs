//! Columns of strings, in and out.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, GenericStringArray, LargeStringArray, OffsetSizeTrait, StringArray, StringViewArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use offheap_v8::v8;

use super::error::Reason;
use super::kind::Layout;
use super::lent::{Batch, Bounds};

pub(crate) const FAILED: offheap_v8::Error =
    offheap_v8::Error::EngineFailed { engine: "V8", attempted: "collect strings" };

/// Lends a column of strings: the text of a piece, or all of it, as one string of V8's, the offsets of the rows in it, in UTF-16 units,
/// and the offset at which the string begins. V8 makes a part of the string for each row.
pub(crate) fn lend<'a, 's>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'a, 's>,
    column: &'a ArrayRef,
    layout: Layout,
) -> Result<(), Reason> {
    match layout {
        Layout::Small => {
            let strings = column.as_string::<i32>();
            let text = used(strings);
            if !text.is_ascii() {
                return lend_any(scope, batch, strings);
            }
            check_length(text.len())?;
            let offsets = strings.offsets();
            batch.text(scope, (Cow::Borrowed(text), Bounds::of(offsets)), |scope, batch| {
                batch.elements::<i32>(scope, offsets.inner().inner())
            })
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

fn lend_any<'a, 's, O: OffsetSizeTrait>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'a, 's>,
    strings: &'a GenericStringArray<O>,
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
    lend_text(scope, batch, Cow::Borrowed(text), is_ascii, offsets)
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
    lend_text(scope, batch, Cow::Owned(text), is_ascii, offsets)
}

fn lend_text<'a, 's>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'a, 's>,
    text: Cow<'a, [u8]>,
    is_ascii: bool,
    offsets: Vec<i32>,
) -> Result<(), Reason> {
    if is_ascii {
        let bounds = Bounds::of(&offsets);
        return batch.text(scope, (text, bounds), |scope, batch| batch.vec(scope, offsets));
    }
    // Two for each unit, unless all characters are in Latin-1.
    batch.count_text(offsets.last().map_or(0, |units| *units as usize * 2))?;
    let string = v8::String::new_from_utf8(scope, &text, v8::NewStringType::Normal);
    batch.arguments.push(string.ok_or_else(|| too_long(text.len()))?.into());
    batch.vec(scope, offsets)?;
    batch.number(scope, 0.0);
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

/// The strings that the loops of a batch returned, one after the other.
#[derive(Default)]
pub(crate) struct Strings {
    /// The text of the first rows, in ASCII.
    bytes: Vec<u8>,
    /// How many rows these are.
    ascii_rows: usize,
    /// The text of the rows after them.
    units: Vec<u16>,
}

impl Strings {
    /// Adds the strings of the rows up to `end` of `row_count`, in one string.
    pub(crate) fn add<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        string: v8::Local<'s, v8::String>,
        (end, row_count): (usize, usize),
    ) -> Result<(), Reason> {
        let (length, limit) = (string.length(), v8::String::MAX_LENGTH);
        let given = self.bytes.len() + self.units.len() + length;
        if given > limit {
            return Err(Reason::TooLarge { unit: "UTF-16 units in its results", given, limit });
        }
        if self.units.is_empty() && string.is_onebyte() {
            let begin = self.bytes.len();
            if begin == 0 {
                // The other pieces have as much, probably.
                self.bytes.reserve_exact((length * row_count / end).min(limit));
            }
            self.bytes.resize(given, 0);
            string.write_one_byte_v2(scope, 0, &mut self.bytes[begin..], v8::WriteFlags::empty());
            // Its characters may still be those of Latin-1.
            if self.bytes[begin..].is_ascii() {
                self.ascii_rows = end;
                return Ok(());
            }
            self.bytes.truncate(begin);
        }
        let begin = self.units.len();
        self.units.resize(begin + length, 0);
        string.write_v2(scope, 0, &mut self.units[begin..], v8::WriteFlags::empty());
        Ok(())
    }

    /// The text, and the offsets of the rows in it, of which `lengths` has the UTF-16 units.
    fn into_text(mut self, lengths: &[i32]) -> Result<(Vec<i32>, Vec<u8>), Reason> {
        let mut offsets = vec![0_i32; lengths.len() + 1];
        let mut end = 0_i32;
        for (offset, length) in offsets[1..].iter_mut().zip(lengths) {
            end = end.saturating_add(*length);
            *offset = end;
        }
        if self.units.is_empty() {
            self.bytes.shrink_to_fit();
            return Ok((offsets, self.bytes));
        }
        let mut text = String::from_utf8(self.bytes).map_err(|_| FAILED)?;
        text.reserve(self.units.len() * 2);
        let mut rest = &self.units[..];
        // Each row by itself, so that two halves of a pair in two rows do not become one character.
        for (offset, length) in offsets[1..].iter_mut().zip(lengths).skip(self.ascii_rows) {
            let (row, after) = rest.split_at(rest.len().min(*length as usize));
            rest = after;
            let characters = char::decode_utf16(row.iter().copied());
            text.extend(characters.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
            *offset = i32::try_from(text.len()).unwrap_or(i32::MAX);
        }
        Ok((offsets, text.into_bytes()))
    }
}

/// Makes a column of strings. `lengths` has the UTF-16 units of each row.
pub(crate) fn column(
    strings: Strings,
    lengths: &[i32],
    nulls: Option<NullBuffer>,
    layout: Layout,
) -> Result<ArrayRef, Reason> {
    let (offsets, bytes) = strings.into_text(lengths)?;
    let (values, offsets) = (Buffer::from_vec(bytes), ScalarBuffer::from(offsets));
    if offsets.last().is_none_or(|end| *end as usize != values.len()) {
        return Err(FAILED.into());
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

#[cfg(test)]
mod tests {
    use offheap_v8::{Isolate, ScopeExt, v8};

    use super::Strings;

    #[test]
    fn the_pieces_together_have_as_much_as_one_string_could_have() {
        // This memory is not touched.
        let bytes = vec![0; v8::String::MAX_LENGTH - 2];
        let mut strings = Strings { bytes, ascii_rows: 1, units: Vec::new() };
        let mut isolate = Isolate::new().unwrap();
        isolate.enter(|scope| {
            scope.with_v8(|scope| {
                let string = v8::String::new(scope, "abc").unwrap();
                let told = strings.add(scope, string, (2, 2)).unwrap_err().to_string();
                let expected = "a batch with 536870889 UTF-16 units in its results is too large, it may have 536870888; \
                                use smaller batches";
                assert_eq!(told, expected);
            })
        });
    }
}
