//! Columns of bytes as typed arrays over them, read-only.

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, GenericBinaryArray, OffsetSizeTrait};
use arrow_buffer::Buffer;
use offheap_v8::v8;

use super::error::Reason;
use super::kind::Layout;
use super::lent::Batch;

/// Lends a column of bytes: an immutable buffer, the offsets of the rows in it, and what to add to each of them.
pub(crate) fn lend<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    column: &ArrayRef,
    layout: Layout,
) -> Result<(), Reason> {
    match layout {
        Layout::Small => {
            let bytes = column.as_binary::<i32>();
            let base = batch.part(scope, &used(bytes))?;
            batch.elements::<i32>(scope, bytes.offsets().inner().inner())?;
            batch.number(scope, base - f64::from(bytes.offsets()[0]));
            Ok(())
        }
        Layout::Large => {
            let bytes = column.as_binary::<i64>();
            let base = batch.part(scope, &used(bytes))?;
            // A Number has these exactly: they are at most the length of memory.
            let first = bytes.offsets()[0];
            batch.vec(scope, bytes.offsets().iter().map(|offset| (offset - first) as f64).collect())?;
            batch.number(scope, base);
            Ok(())
        }
        Layout::View => {
            let bytes = column.as_binary_view();
            let given = bytes.iter().flatten().fold(0_usize, |sum, row| sum.saturating_add(row.len()));
            // Many views may show the same bytes, of which this makes a copy for each.
            let limit = i32::MAX as usize;
            if given > limit {
                return Err(Reason::TooLarge { unit: "bytes in views", given, limit });
            }
            let mut offsets = vec![0.0];
            let mut all = Vec::with_capacity(given);
            for row in bytes.iter() {
                all.extend_from_slice(row.unwrap_or_default());
                offsets.push(all.len() as f64);
            }
            let base = batch.part(scope, &Buffer::from_vec(all))?;
            batch.vec(scope, offsets)?;
            batch.number(scope, base);
            Ok(())
        }
    }
}

/// The bytes from the first row to the last.
fn used<O: OffsetSizeTrait>(bytes: &GenericBinaryArray<O>) -> Buffer {
    let offsets = bytes.offsets();
    let [first, last] = [offsets[0], offsets[offsets.len() - 1]].map(O::as_usize);
    bytes.values().slice_with_length(first, last - first)
}
