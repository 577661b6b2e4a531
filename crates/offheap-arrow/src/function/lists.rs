//! Columns of lists of numbers, as typed arrays over them, read-only.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_buffer::Buffer;
use offheap_v8::v8;

use super::error::{Reason, Role};
use super::kind::{Number, with_number};
use super::lent::{Batch, View};

/// Lends a column of lists of one length: an immutable buffer, and the offset of the first row in it.
pub(crate) fn lend_fixed<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    column: &ArrayRef,
    (number, length): (Number, usize),
    index: usize,
) -> Result<(), Reason> {
    let list = column.as_fixed_size_list();
    check_items(column, list.values(), index, |row| row * length..(row + 1) * length)?;
    let base = batch.part(scope, &with_number!(number, memory(list.values())))?;
    batch.number(scope, base);
    Ok(())
}

/// Lends a column of lists: an immutable buffer, the offsets of the rows in it, in items, and the offset of the first item.
pub(crate) fn lend<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    column: &ArrayRef,
    number: Number,
    index: usize,
) -> Result<(), Reason> {
    let list = column.as_list::<i32>();
    let offsets = list.offsets();
    check_items(column, list.values(), index, |row| offsets[row] as usize..offsets[row + 1] as usize)?;
    let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
    let values = list.values().slice(first, last - first);
    let base = batch.part(scope, &with_number!(number, memory(&values)))?;
    batch.elements::<i32>(scope, offsets.inner().inner())?;
    batch.number(scope, base - (first * number.byte_length()) as f64);
    Ok(())
}

/// # Errors
/// [`Reason::NullItem`] if a list that is not NULL has a NULL in it.
fn check_items(
    column: &ArrayRef,
    values: &ArrayRef,
    index: usize,
    items: impl Fn(usize) -> std::ops::Range<usize>,
) -> Result<(), Reason> {
    let Some(nulls) = values.nulls().filter(|nulls| nulls.null_count() != 0) else { return Ok(()) };
    let has_null = |row: &usize| column.is_valid(*row) && items(*row).any(|item| nulls.is_null(item));
    match (0..column.len()).find(has_null) {
        Some(row) => Err(Reason::NullItem { role: Role::Argument(index), row }),
        None => Ok(()),
    }
}

fn memory<T: ArrowPrimitiveType<Native: View>>(values: &ArrayRef) -> Buffer {
    values.as_primitive::<T>().values().inner().clone()
}
