//! Where script sees the memory of columns: at the address at which Arrow has it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int8Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, FixedSizeListArray, Float32Array, Float64Array, Int8Array,
    Int64Array, ListArray, StringArray,
};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::{DataType, Field};
use offheap_v8::offheap::BackingStore;
use offheap_v8::{BackingStoreExt, Isolate, ScopeExt, v8};

use super::arguments::Arguments;
use super::lent::{Batch, Copies};

/// The addresses of the first element that script sees, of each typed array or buffer that is lent for a column, and the
/// bytes that were copied.
fn lent(column: &ArrayRef) -> (Vec<usize>, u64) {
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let arguments = Arguments::new(&[column.data_type().clone()]).unwrap();
            let copies = Copies::default();
            let mut batch = Batch::new(&copies);
            arguments.lend(scope, std::slice::from_ref(column), &mut batch).unwrap();
            let arrays = batch.arguments.iter().filter(|value| value.is_array_buffer_view() || value.is_array_buffer());
            let addresses = arrays.map(|array| address(scope, *array)).collect();
            batch.end(scope).unwrap();
            (addresses, copies.bytes())
        })
    })
}

fn address<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> usize {
    let store = BackingStore::externalize(scope, value).unwrap();
    store.as_ptr().addr()
}

fn at(buffer: &Buffer) -> usize {
    buffer.as_ptr().addr()
}

#[test]
fn numbers_are_at_their_address_at_every_offset() {
    let small: ArrayRef = Arc::new((0..100).map(Some).collect::<Int8Array>());
    let doubles: ArrayRef = Arc::new((0..100).map(|row| Some(f64::from(row))).collect::<Float64Array>());
    let days: ArrayRef = Arc::new((0..100).map(Some).collect::<Date32Array>());
    for offset in 0..=65 {
        let [small, doubles, days] = [&small, &doubles, &days].map(|column| column.slice(offset, 30));
        assert_eq!(lent(&small), (vec![at(small.as_primitive::<Int8Type>().values().inner())], 0));
        assert_eq!(lent(&doubles), (vec![at(doubles.as_primitive::<Float64Type>().values().inner())], 0));
        assert_eq!(lent(&days), (vec![at(days.as_primitive::<Date32Type>().values().inner())], 0));
    }
}

#[test]
fn bits_offsets_bytes_and_lists_are_at_their_addresses() {
    let bits: ArrayRef = Arc::new((0..600).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>());
    let text: ArrayRef = Arc::new((0..100).map(|row| Some(row.to_string())).collect::<StringArray>());
    let bytes: ArrayRef = Arc::new((0..100).map(|row| Some(row.to_string().into_bytes())).collect::<BinaryArray>());
    let items = Float32Array::from((0..300_u16).map(f32::from).collect::<Vec<_>>());
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let fixed: ArrayRef = Arc::new(FixedSizeListArray::new(item.clone(), 3, Arc::new(items.clone()), None));
    let offsets = OffsetBuffer::from_lengths([3; 100]);
    let list: ArrayRef = Arc::new(ListArray::new(item, offsets, Arc::new(items.clone()), None));
    let first_item = at(items.values().inner());
    for offset in [0, 1, 7, 8, 9, 63, 64, 65] {
        let [bits, text, bytes, fixed, list] =
            [&bits, &text, &bytes, &fixed, &list].map(|column| column.slice(offset, 30));
        let values = bits.as_boolean().values();
        assert_eq!(lent(&bits), (vec![at(values.inner()) + values.offset() / 8], 0));
        let offsets = at(text.as_string::<i32>().offsets().inner().inner());
        assert_eq!(lent(&text), (vec![offsets], 0));
        let bytes_array = bytes.as_binary::<i32>();
        let (addresses, copied) = lent(&bytes);
        let first = at(bytes_array.values()) + bytes_array.offsets()[0] as usize;
        // A buffer begins up to 7 bytes before what is lent of it.
        assert_eq!((addresses[0], addresses[1], copied), (first & !7, at(bytes_array.offsets().inner().inner()), 0));
        let first = first_item + offset * 12;
        assert_eq!((lent(&fixed), lent(&list).0[0]), ((vec![first & !7], 0), first & !7));
    }
}

#[test]
fn bigints_are_converted_and_only_large_ones_are_lent() {
    let small: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let large: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, i64::MAX]));
    assert_eq!(lent(&small).0.len(), 1);
    assert_eq!(lent(&large).0[1], at(large.as_primitive::<Int64Type>().values().inner()));
}

#[test]
fn what_cannot_be_lent_is_copied_and_counted() {
    let mut bytes = vec![0_u8; 64];
    bytes.iter_mut().enumerate().for_each(|(index, byte)| *byte = index as u8);
    let begin = 8 - bytes.as_ptr().addr() % 8 + 3;
    let store = offheap_v8::offheap::FrozenStore::from_owner(bytes).unwrap();
    // The allocation that Arrow knows begins between two multiples of 8.
    let buffer = Buffer::from(store.slice(begin..begin + 10).unwrap());
    let column: ArrayRef = Arc::new(Int8Array::new(buffer.clone().into(), None));
    let (addresses, copied) = lent(&column);
    assert_eq!(copied, 10);
    assert_ne!(addresses, [at(&buffer)]);
}

#[test]
fn the_strings_of_a_batch_are_counted_by_their_bytes_in_v8() {
    let texts = [vec!["abc"; 10], vec!["ab€"; 10]].map(|rows| Arc::new(StringArray::from(rows)) as ArrayRef);
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let arguments = Arguments::new(&[DataType::Utf8, DataType::Utf8]).unwrap();
            let copies = Copies::default();
            let mut batch = Batch::new(&copies);
            arguments.lend(scope, &texts, &mut batch).unwrap();
            let left = (2 << 30) - (30 + 60);
            let told = batch.count_text(left + 1).unwrap_err().to_string();
            assert_eq!(
                told,
                "a batch with 2147483649 bytes of text in V8 is too large, it may have 2147483648; use smaller batches"
            );
            batch.count_text(left).unwrap();
            batch.end(scope).unwrap();
        })
    });
}

#[test]
fn a_piece_has_as_much_text_as_an_object_of_v8_should_have() {
    let row_count = 8192;
    let pieces = |columns: &[ArrayRef], has_results: bool| {
        let types: Vec<_> = columns.iter().map(|column| column.data_type().clone()).collect();
        let mut isolate = Isolate::new().unwrap();
        isolate.enter(|scope| {
            scope.with_v8(|scope| {
                let (arguments, copies) = (Arguments::new(&types).unwrap(), Copies::default());
                let mut batch = Batch::new(&copies);
                arguments.lend(scope, columns, &mut batch).unwrap();
                let count = batch.piece_row_count(row_count, has_results);
                batch.end(scope).unwrap();
                count
            })
        })
    };
    let text = |length: usize| Arc::new(StringArray::from(vec!["x".repeat(length); row_count])) as ArrayRef;
    let numbers = Arc::new(Int8Array::from(vec![0; row_count])) as ArrayRef;
    assert_eq!(pieces(std::slice::from_ref(&numbers), false), row_count);
    assert_eq!(pieces(std::slice::from_ref(&numbers), true), 4096);
    assert_eq!(
        [0, 1, 16, 17, 30, 1000].map(|length| pieces(&[text(length)], false)),
        [4096, 4096, 4096, 3072, 2048, 1024]
    );
    assert_eq!(pieces(&[text(1), numbers, text(30)], true), 2048);
}
