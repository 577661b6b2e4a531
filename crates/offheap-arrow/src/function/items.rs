//! Results that are lists of numbers, or bytes.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BinaryViewArray, FixedSizeListArray, LargeBinaryArray, ListArray,
    PrimitiveArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, FieldRef};
use offheap_v8::{copy_of, v8};

use super::error::Reason;
use super::kind::{Kind, Layout, Number, with_number};
use super::lent::View;
use super::results::Results;
use super::rows::{NO_MEMORY, WRONG, WRONG_ITEM};
use super::script::FAILED;

/// What a loop collects for lists of any length: memory for items, how many it has place for, how many there are, and the same of
/// the memory before it. The items of a row are in one memory.
pub(crate) fn collected(number: Number) -> String {
    format!("[new {}(1024), 1024, 0, undefined]", number.constructor())
}

/// At most this many bytes are asked for at once, unless one row needs more.
const CHUNK_BYTES: usize = 256 << 10;

/// Whether `r` may be a list of numbers: an array or a typed array.
const IS_LIST: &str = "typeof r === 'object' && r !== null && (isView(r) || isArray(r))";

/// What a loop does with the result `r` of row `i`, which has to be a list of `length` numbers. `is_right` decides about an
/// item `v`.
pub(crate) fn store_fixed(length: usize, is_right: &str, or_null: &str) -> String {
    let item = format!("const v = r[j]; if ({is_right}) O[i * {length} + j] = v; else {WRONG_ITEM}");
    let items = format!("if (r.length !== {length}) {WRONG} for (let j = 0; j < {length}; j++) {{ {item} }}");
    format!("if ({IS_LIST}) {{ {items} }} else {or_null}")
}

/// Makes place for `m` more items. What there is stays where it is.
fn grow(number: Number) -> String {
    let (array, most) = (number.constructor(), CHUNK_BYTES / number.byte_length());
    format!(
        "if (m > extra[1] - extra[2]) {{ const c = max(m, min(extra[1] * 2, {most})), a = memory({array}, c); \
         if (a === undefined) {NO_MEMORY} extra = [a, c, 0, extra]; }}"
    )
}

/// What a loop does with the result `r` of row `i`, which has to be a list of numbers.
pub(crate) fn store_list(number: Number, is_right: &str, or_null: &str) -> String {
    let item = format!("const v = r[j]; if ({is_right}) a[at + j] = v; else {WRONG_ITEM}");
    let items = format!("const a = extra[0], at = extra[2]; for (let j = 0; j < m; j++) {{ {item} }}");
    let all =
        format!("const m = r.length; if ((m >>> 0) !== m) {WRONG} {} {items} extra[2] += m; O[i] = m;", grow(number));
    format!("if ({IS_LIST}) {{ {all} }} else {or_null}")
}

/// What a loop does with the result `r` of row `i`, which has to be a `Uint8Array`.
pub(crate) fn store_bytes(or_null: &str) -> String {
    // One by one: V8 15.2 does not take the bytes of an immutable buffer in `set`.
    let items = "const a = extra[0], at = extra[2]; for (let j = 0; j < m; j++) a[at + j] = r[j];";
    let all = format!("const m = byteLength(r); {} {items} extra[2] += m; O[i] = m;", grow(Number::U8));
    format!("if (tagOf(r) === 'Uint8Array') {{ {all} }} else {or_null}")
}

/// Makes a column of lists of one length of what a loop wrote.
pub(crate) fn fixed(
    data_type: &DataType,
    (number, length): (Number, usize),
    results: Results<'_>,
) -> Result<ArrayRef, Reason> {
    let DataType::FixedSizeList(field, _) = data_type else { return Err(FAILED.into()) };
    let (items, nulls) = with_number!(number, lent_items(results))?;
    Ok(Arc::new(FixedSizeListArray::try_new(field.clone(), length as i32, items, nulls)?))
}

/// Makes a column of lists or bytes of what a loop collected, and the number of items of each row.
pub(crate) fn column<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    (data_type, kind): (&DataType, Kind),
    collected: v8::Local<'s, v8::Value>,
    lengths: &[i32],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, Reason> {
    let mut offsets = Vec::with_capacity(lengths.len() + 1);
    let mut end = 0_i32;
    offsets.push(end);
    for &length in lengths {
        let after = end.checked_add(length).filter(|after| *after >= end);
        let given = end as usize + length as u32 as usize;
        end = after.ok_or(Reason::TooLarge { unit: "items in lists", given, limit: i32::MAX as usize })?;
        offsets.push(end);
    }
    let (offsets, count) = (ScalarBuffer::from(offsets), end as usize);
    match (kind, data_type) {
        (Kind::List(number), DataType::List(field)) => {
            let items = with_number!(number, collected_items(scope, collected, count))?;
            Ok(list(field, offsets, items, nulls)?)
        }
        (Kind::Bytes(layout), _) => {
            let bytes = Buffer::from_vec(gathered::<u8>(scope, collected, count)?);
            let small = BinaryArray::try_new(OffsetBuffer::new(offsets.clone()), bytes.clone(), nulls.clone())?;
            Ok(match layout {
                Layout::Small => Arc::new(small),
                Layout::View => Arc::new(BinaryViewArray::from(&small)),
                Layout::Large => {
                    let offsets: Vec<i64> = offsets.iter().map(|offset| i64::from(*offset)).collect();
                    Arc::new(LargeBinaryArray::try_new(OffsetBuffer::new(offsets.into()), bytes, nulls)?)
                }
            })
        }
        _ => Err(FAILED.into()),
    }
}

fn list(
    field: &FieldRef,
    offsets: ScalarBuffer<i32>,
    items: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, Reason> {
    Ok(Arc::new(ListArray::try_new(field.clone(), OffsetBuffer::new(offsets), items, nulls)?))
}

fn lent_items<T: ArrowPrimitiveType<Native: View>>(
    results: Results<'_>,
) -> Result<(ArrayRef, Option<NullBuffer>), Reason> {
    let (values, nulls) = results.into_parts::<T::Native>()?;
    Ok((Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), None)), nulls))
}

fn collected_items<'s, T: ArrowPrimitiveType<Native: View>>(
    scope: &mut v8::PinScope<'s, '_>,
    collected: v8::Local<'s, v8::Value>,
    count: usize,
) -> Result<ArrayRef, Reason> {
    let items = gathered::<T::Native>(scope, collected, count)?;
    Ok(Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(items), None)))
}

/// A copy of all `count` items that a loop collected.
fn gathered<'s, T: View>(
    scope: &mut v8::PinScope<'s, '_>,
    collected: v8::Local<'s, v8::Value>,
    count: usize,
) -> Result<Vec<T>, Reason> {
    let (mut parts, mut last) = (Vec::new(), collected);
    while let Ok(list) = v8::Local::<v8::Object>::try_from(last) {
        let get = |index| list.get_index(scope, index).ok_or(FAILED);
        let (memory, used, before) = (get(0)?, get(2)?, get(3)?);
        parts.push((memory, used.uint32_value(scope).ok_or(FAILED)? as usize));
        last = before;
    }
    let mut items = Vec::with_capacity(count);
    for (memory, used) in parts.into_iter().rev() {
        items.extend_from_slice(copy_of::<T>(scope, memory)?.get(..used).ok_or(FAILED)?);
    }
    if items.len() == count { Ok(items) } else { Err(FAILED.into()) }
}
