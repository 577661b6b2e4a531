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
use super::lent::{Lent, View};
use super::rows::WRONG;
use super::script::FAILED;

/// What a loop collects for lists of any length: memory for items, how many it has place for, and how many there are.
pub(crate) fn collected(number: Number) -> String {
    format!("[new {}(1024), 1024, 0]", number.constructor())
}

/// Whether `r` may be a list of numbers: an array or a typed array.
const IS_LIST: &str = "typeof r === 'object' && r !== null && (isView(r) || isArray(r))";

/// What a loop does with the result `r` of row `i`, which has to be a list of `length` numbers. `is_right` decides about an
/// item `v`.
pub(crate) fn store_fixed(length: usize, is_right: &str, or_null: &str) -> String {
    let item = format!("const v = r[j]; if ({is_right}) O[i * {length} + j] = v; else {WRONG}");
    let items = format!("if (r.length !== {length}) {WRONG} for (let j = 0; j < {length}; j++) {{ {item} }}");
    format!("if ({IS_LIST}) {{ {items} }} else {or_null}")
}

/// Makes place for `m` more items.
fn grow(number: Number) -> String {
    let array = number.constructor();
    format!(
        "if (m > extra[1] - extra[2]) {{ extra[1] = (extra[2] + m) * 2; const grown = new {array}(extra[1]); \
         set(grown, extra[0]); extra[0] = grown; }}"
    )
}

/// What a loop does with the result `r` of row `i`, which has to be a list of numbers.
pub(crate) fn store_list(number: Number, is_right: &str, or_null: &str) -> String {
    let item = format!("const v = r[j]; if ({is_right}) a[at + j] = v; else {WRONG}");
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
    values: Lent<'_>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, Reason> {
    let DataType::FixedSizeList(field, _) = data_type else { return Err(FAILED.into()) };
    let items = with_number!(number, lent_items(values))?;
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
    let memory = v8::Local::<v8::Object>::try_from(collected).map_err(|_| FAILED)?;
    let memory = memory.get_index(scope, 0).ok_or(FAILED)?;
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
            let items = with_number!(number, collected_items(scope, memory, count))?;
            Ok(list(field, offsets, items, nulls)?)
        }
        (Kind::Bytes(layout), _) => {
            let bytes = Buffer::from_vec(part::<u8>(scope, memory, count)?);
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

fn lent_items<T: ArrowPrimitiveType<Native: View>>(values: Lent<'_>) -> Result<ArrayRef, Reason> {
    Ok(Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values.into_vec::<T::Native>()?), None)))
}

fn collected_items<'s, T: ArrowPrimitiveType<Native: View>>(
    scope: &mut v8::PinScope<'s, '_>,
    memory: v8::Local<'s, v8::Value>,
    count: usize,
) -> Result<ArrayRef, Reason> {
    let items = part::<T::Native>(scope, memory, count)?;
    Ok(Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(items), None)))
}

/// A copy of the first `count` items.
fn part<'s, T: View>(
    scope: &mut v8::PinScope<'s, '_>,
    memory: v8::Local<'s, v8::Value>,
    count: usize,
) -> Result<Vec<T>, Reason> {
    let mut items = copy_of::<T>(scope, memory)?;
    if items.len() < count {
        return Err(FAILED.into());
    }
    items.truncate(count);
    Ok(items)
}
