//! Aggregates: what they return, compared with Rust.

use std::sync::Arc;

use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::types::Float64Type;
use offheap_arrow::arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float64Array, Int32Array, StringArray,
};
use offheap_arrow::arrow_schema::DataType::{Boolean, Float64, Int32, Utf8};
use offheap_arrow::offheap_v8::v8;
use offheap_arrow::{AggregateFunction, Groups};

use crate::kit::{Numbers, doubles, in_v8};

/// The number of rows, the sum of a column, and its numbers counted by their last digit.
pub(crate) const COUNTING: &str = "({
    state: { n: 0, s: 0, digits: new Float64Array(10), last: -1 },
    step(st, x) { st.n++; st.s += x; st.digits[Math.abs(x) % 10]++; st.last = x },
    merge(st, other) {
        st.n += other.n; st.s += other.s;
        for (let k = 0; k < 10; k++) st.digits[k] += other.digits[k];
        if (other.n !== 0) st.last = other.last;
    },
    finish(st) { return st.n === 0 ? null : st.s * 1000 + st.digits[7] + st.n / 1024 },
})";

pub(crate) fn counting(scope: &mut v8::PinScope<'_, '_>) -> AggregateFunction {
    AggregateFunction::compile(scope, "counting", COUNTING, &[Float64], Float64).unwrap()
}

/// The state of the aggregate, computed in Rust to compare with.
#[derive(Clone, Default)]
struct Expected {
    n: f64,
    s: f64,
    sevens: f64,
}

impl Expected {
    fn step(&mut self, x: f64) {
        self.n += 1.0;
        self.s += x;
        self.sevens += f64::from(x.abs() % 10.0 == 7.0);
    }

    fn finish(&self) -> Option<f64> {
        (self.n != 0.0).then_some(self.s * 1000.0 + self.sevens + self.n / 1024.0)
    }
}

/// A batch of whole numbers with NULLs, the groups of its rows, and a filter.
struct Rows {
    column: ArrayRef,
    groups: Vec<usize>,
    filter: Option<BooleanArray>,
}

impl Rows {
    fn random(numbers: &mut Numbers, row_count: usize, group_count: usize) -> Self {
        let mut row = || (numbers.below(10) != 0).then(|| numbers.below(2000) as f64 - 1000.0);
        let before = numbers_of(7, &mut row);
        let values = numbers_of(row_count, &mut row);
        // A slice, so that bits and numbers do not begin with a byte or a word.
        let all = doubles(before.into_iter().chain(values));
        let column = all.slice(7, row_count);
        let groups = (0..row_count).map(|_| numbers.below(group_count)).collect();
        let mut is_used = || [Some(true), Some(true), Some(false), None][numbers.below(4)];
        let filter: BooleanArray = (0..row_count + 3).map(|_| is_used()).collect();
        let filter = (numbers.below(2) == 0).then(|| filter.slice(3, row_count));
        Rows { column, groups, filter }
    }

    fn add_to(&self, expected: &mut Vec<Expected>, group_count: usize) {
        expected.resize(expected.len().max(group_count), Expected::default());
        let column = self.column.as_primitive::<Float64Type>();
        for (row, x) in column.iter().enumerate() {
            let is_used = self.filter.as_ref().is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let (Some(x), true) = (x, is_used) {
                expected[self.groups[row]].step(x);
            }
        }
    }
}

fn numbers_of(count: usize, row: &mut impl FnMut() -> Option<f64>) -> Vec<Option<f64>> {
    (0..count).map(|_| row()).collect()
}

#[test]
fn batches_with_nulls_filters_and_groups_are_as_in_rust() {
    in_v8(|scope| {
        let f = counting(scope);
        let mut numbers = Numbers::new(1);
        for round in 0..40 {
            let (mut groups, mut expected) = (f.state().groups(), Vec::new());
            for row_count in [0, 1, 7, 8, 9, 100, 8192] {
                let group_count = 1 + numbers.below(if round % 2 == 0 { 5 } else { 1000 });
                let rows = Rows::random(&mut numbers, row_count, group_count);
                let columns = std::slice::from_ref(&rows.column);
                f.update(scope, &mut groups, columns, &rows.groups, rows.filter.as_ref(), group_count).unwrap();
                rows.add_to(&mut expected, group_count);
                assert_eq!(groups.len(), expected.len());
            }
            let count = groups.len();
            let result = f.finish(scope, &mut groups, count).unwrap();
            assert_eq!(*result, *doubles(expected.iter().map(Expected::finish)));
            assert!(groups.is_empty());
        }
        assert_eq!(f.copied_bytes(), 0);
    });
}

#[test]
fn states_that_are_merged_in_any_order_are_as_if_all_rows_were_in_one() {
    let mut numbers = Numbers::new(2);
    for _ in 0..20 {
        let group_count = 1 + numbers.below(50);
        let mut expected = Vec::new();
        let mut partial: Vec<Groups> = Vec::new();
        for _ in 0..5 {
            let rows = Rows::random(&mut numbers, 300, group_count);
            rows.add_to(&mut expected, group_count);
            // Each part in an isolate and a thread of its own.
            let groups = std::thread::spawn(move || {
                in_v8(|scope| {
                    let f = counting(scope);
                    let mut groups = f.state().groups();
                    let columns = [rows.column.clone()];
                    f.update(scope, &mut groups, &columns, &rows.groups, rows.filter.as_ref(), group_count).unwrap();
                    groups
                })
            });
            partial.insert(numbers.below(partial.len() + 1), groups.join().unwrap());
        }
        in_v8(|scope| {
            let f = counting(scope);
            let mut all = f.state().groups();
            for mut groups in partial {
                // In two parts: the first groups, and the others.
                let first = numbers.below(group_count + 1);
                for range in [0..first, first..group_count] {
                    let states = groups.take(range.len()).unwrap();
                    f.merge(scope, &mut all, &states, &range.collect::<Vec<_>>(), group_count).unwrap();
                }
            }
            let result = f.finish(scope, &mut all, group_count).unwrap();
            assert_eq!(*result, *doubles(expected.iter().map(Expected::finish)));
        });
    }
}

#[test]
fn rows_of_states_are_merged_in_a_random_order() {
    in_v8(|scope| {
        let f = counting(scope);
        let mut numbers = Numbers::new(3);
        let rows = Rows::random(&mut numbers, 500, 40);
        let mut expected = Vec::new();
        rows.add_to(&mut expected, 40);
        let mut groups = f.state().groups();
        f.update(scope, &mut groups, std::slice::from_ref(&rows.column), &rows.groups, rows.filter.as_ref(), 40)
            .unwrap();
        let states = groups.take(40).unwrap();
        // Slices, so that the columns do not begin with their memory.
        let mut parts: Vec<usize> = (0..40).collect();
        for last in (1..40).rev() {
            parts.swap(last, numbers.below(last + 1));
        }
        let mut all = f.state().groups();
        for part in parts {
            let states: Vec<_> = states.iter().map(|column| column.slice(part, 1)).collect();
            f.merge(scope, &mut all, &states, &[part], 40).unwrap();
        }
        assert_eq!(*f.finish(scope, &mut all, 40).unwrap(), *doubles(expected.iter().map(Expected::finish)));
    });
}

#[test]
fn the_first_groups_are_emitted_and_the_others_stay() {
    in_v8(|scope| {
        let f = counting(scope);
        let mut groups = f.state().groups();
        let column = doubles([7.0, 1.0, 2.0, 3.0]);
        f.update(scope, &mut groups, std::slice::from_ref(&column), &[0, 1, 2, 3], None, 4).unwrap();
        let expected = |x: f64| x * 1000.0 + f64::from(x == 7.0) + 1.0 / 1024.0;
        assert_eq!(*f.finish(scope, &mut groups, 1).unwrap(), *doubles([expected(7.0)]));
        assert_eq!(groups.len(), 3);
        let states = groups.take(2).unwrap();
        assert_eq!(*states[1], *doubles([1.0, 2.0]));
        assert_eq!(*states[3], *doubles([1.0, 2.0]));
        // The group that was the last is now the first.
        f.update(scope, &mut groups, &[doubles([10.0])], &[0], None, 1).unwrap();
        let sum = 13.0 * 1000.0 + 2.0 / 1024.0;
        assert_eq!(*f.finish(scope, &mut groups, 1).unwrap(), *doubles([sum]));
        assert_eq!(f.finish(scope, &mut groups, 0).unwrap().len(), 0);
    });
}

#[test]
fn the_state_has_a_column_for_each_field() {
    in_v8(|scope| {
        let text =
            "({ state: { a: 1.5, 'b c': new Float64Array([1, 2, 3]), __proto__: null, ['__proto__']: -0, 'ü\\0': NaN },
            step(st, x) { st.a += x; st['b c'][1] += x; st['__proto__']--; st['ü\\0'] = x },
            merge(st, o) {}, finish(st) { return st['__proto__'] } })";
        let f = AggregateFunction::compile(scope, "f", text, &[Float64], Float64).unwrap();
        let names: Vec<_> = f.state().columns().map(|(name, data_type)| (name.to_owned(), data_type)).collect();
        assert_eq!(names.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["a", "b c", "__proto__", "ü\0"]);
        let mut groups = f.state().groups();
        f.update(scope, &mut groups, &[doubles([10.0])], &[1], None, 2).unwrap();
        let states = groups.take(2).unwrap();
        for (column, (name, data_type)) in states.iter().zip(&names) {
            assert_eq!((column.data_type(), column.len(), column.null_count()), (data_type, 2, 0), "{name}");
        }
        assert_eq!(*states[0], *doubles([1.5, 11.5]));
        let lists: &FixedSizeListArray = states[1].as_fixed_size_list();
        assert_eq!(*lists.value(0), *doubles([1.0, 2.0, 3.0]));
        assert_eq!(*lists.value(1), *doubles([1.0, 12.0, 3.0]));
        let of_proto = states[2].as_primitive::<Float64Type>();
        assert!(of_proto.value(0).is_sign_negative() && of_proto.value(1) == -1.0);
        let nan = states[3].as_primitive::<Float64Type>();
        assert!(nan.value(0).is_nan() && nan.value(1) == 10.0);
    });
}

#[test]
fn arguments_and_results_are_those_of_functions_over_columns() {
    in_v8(|scope| {
        let text = "({ state: { n: 0 }, step(st, s, b, i = 100) { st.n += s.length * (b ? 1 : 1000) + i },
            merge(st, o) {}, finish: st => st.n === 0 ? null : '<' + st.n + '>' })";
        let f = AggregateFunction::compile(scope, "f", text, &[Utf8, Boolean, Int32], Utf8).unwrap();
        let mut groups = f.state().groups();
        let columns: [ArrayRef; 3] = [
            Arc::new(StringArray::from(vec![Some("äö"), Some("xyz"), None, Some("ab")])),
            Arc::new(BooleanArray::from(vec![true, false, true, true])),
            Arc::new(Int32Array::from(vec![Some(10), None, Some(1), None])),
        ];
        f.update(scope, &mut groups, &columns, &[0, 1, 0, 3], None, 4).unwrap();
        let result = f.finish(scope, &mut groups, 4).unwrap();
        let expected: ArrayRef = Arc::new(StringArray::from(vec![Some("<12>"), Some("<3100>"), None, Some("<102>")]));
        assert_eq!(*result, *expected);
    });
}

#[test]
fn a_function_without_arguments_counts_rows() {
    in_v8(|scope| {
        let text = "({ state: { n: 0 }, step(st) { st.n++ }, merge(st, o) { st.n += o.n }, finish: st => st.n })";
        let f = AggregateFunction::compile(scope, "count", text, &[], Int32).unwrap();
        let mut groups = f.state().groups();
        f.update(scope, &mut groups, &[], &[1, 1, 0], Some(&BooleanArray::from(vec![true, true, false])), 3).unwrap();
        let expected: ArrayRef = Arc::new(Int32Array::from(vec![0, 2, 0]));
        assert_eq!(*f.finish(scope, &mut groups, 3).unwrap(), *expected);
    });
}

#[test]
fn methods_see_their_object() {
    in_v8(|scope| {
        let text = "new (class { state = { n: 0 }; add(a, b) { return a + b }
            step(st, x) { st.n = this.add(st.n, x) } merge(st, o) { st.n = this.add(st.n, o.n) }
            finish(st) { return this.add(st.n, 0) } })()";
        let f = AggregateFunction::compile(scope, "f", text, &[Float64], Float64).unwrap();
        let mut groups = f.state().groups();
        f.update(scope, &mut groups, &[doubles([1.0, 2.0])], &[0, 0], None, 1).unwrap();
        let states = groups.take(1).unwrap();
        f.merge(scope, &mut groups, &states, &[0], 1).unwrap();
        f.merge(scope, &mut groups, &states, &[0], 1).unwrap();
        assert_eq!(*f.finish(scope, &mut groups, 1).unwrap(), *doubles([6.0]));
    });
}

#[test]
fn all_states_are_taken_without_a_copy_and_their_bytes_are_known() {
    in_v8(|scope| {
        let f = counting(scope);
        let mut groups = f.state().groups();
        let small = groups.byte_size();
        f.update(scope, &mut groups, &[doubles([1.0])], &[999], None, 1000).unwrap();
        // Four fields, one of them with ten numbers.
        assert!(groups.byte_size() >= small + 1000 * 13 * 8, "{}", groups.byte_size());
        let before = groups.byte_size();
        f.update(scope, &mut groups, &[doubles([1.0])], &[0], None, 1000).unwrap();
        assert_eq!(groups.byte_size(), before);
        let states = groups.take(1000).unwrap();
        assert_eq!(states[0].as_primitive::<Float64Type>().value(999), 1.0);
        // Arrow can write it: nobody else has it.
        let column: Float64Array = states[0].as_primitive::<Float64Type>().clone();
        drop(states);
        assert!(column.into_builder().is_ok());
    });
}

#[test]
fn a_semicolon_after_the_object_is_left_out() {
    in_v8(|scope| {
        let text = format!("{COUNTING};\n");
        let f = AggregateFunction::compile(scope, "counting", &text, &[Float64], Float64).unwrap();
        let mut groups = f.state().groups();
        f.update(scope, &mut groups, &[doubles([7.0])], &[0], None, 1).unwrap();
        assert_eq!(*f.finish(scope, &mut groups, 1).unwrap(), *doubles([7001.0 + 1.0 / 1024.0]));
    });
}
