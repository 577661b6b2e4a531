//! Aggregates that cannot be made, and mistakes while they run.

use std::sync::Arc;
use std::time::Duration;

use offheap_arrow::arrow_array::{ArrayRef, BooleanArray, Int32Array};
use offheap_arrow::arrow_schema::DataType::{Float16, Float64, Int32};
use offheap_arrow::offheap::Error::OutOfMemory;
use offheap_arrow::offheap_v8::{self, IsolateExt, ScopeExt, v8};
use offheap_arrow::{AggregateFunction, Error, Groups, Reason};

use crate::aggregates::counting;
use crate::kit::{doubles, in_v8, isolate_builder};

/// Why an aggregate over one column of DOUBLE cannot be made.
fn refused(text: &str) -> String {
    in_v8(|scope| {
        let made = AggregateFunction::compile(scope, "f", text, &[Float64], Float64);
        let told = made.map(drop).unwrap_err().to_string();
        told.strip_prefix("JavaScript function f: ").unwrap().to_owned()
    })
}

/// An aggregate with this `step`, whose state is a number and an array of two.
fn with_step(scope: &mut v8::PinScope<'_, '_>, step: &str) -> AggregateFunction {
    let text = format!(
        "({{ state: {{ n: 0, v: new Float64Array(2) }}, step(st, x) {{ {step} }},
            merge(st, other) {{ st.n += other.n }}, finish(st) {{ return st.n }} }})"
    );
    AggregateFunction::compile(scope, "f", &text, &[Float64], Float64).unwrap()
}

fn add(
    f: &AggregateFunction,
    scope: &mut v8::PinScope<'_, '_>,
    groups: &mut Groups,
    rows: &[f64],
) -> Result<(), Error> {
    f.update(scope, groups, &[doubles(rows.iter().copied())], &vec![0; rows.len()], None, 1)
}

#[test]
fn texts_that_are_no_aggregates() {
    let methods = "step(st, x) {}, merge(st, o) {}, finish(st) {}";
    for (text, told) in [
        ("1 + 1", "its text is 2, not an object such as"),
        ("x => x", "its `step` is undefined, not a function"),
        ("({ state: { n: 0 }, step(st, x) {}, merge: 7, finish(st) {} })", "its `merge` is 7, not a function"),
        ("({ state: { n: 0 }, step(st, x) {}, merge(st, o) {} })", "its `finish` is undefined, not a function"),
        (&format!("({{ {methods} }})"), "its `state` is undefined, not an object with a number or a Float64Array in"),
        (&format!("({{ state: {{}}, {methods} }})"), "its `state` is an object without fields, not"),
        (&format!("({{ state: {{ n: '0' }}, {methods} }})"), "its `state.n` is \"0\", not a number, or a Float64Array"),
        (&format!("({{ state: {{ n: null }}, {methods} }})"), "its `state.n` is null, not a number, or"),
        (&format!("({{ state: {{ n: 1n }}, {methods} }})"), "its `state.n` is 1n, not a number, or"),
        (
            &format!("({{ state: {{ n: 0, v: [0, 0] }}, {methods} }})"),
            "its `state.v` is [object Array], not a number, or",
        ),
        (&format!("({{ state: {{ v: new Float32Array(2) }}, {methods} }})"), "its `state.v` is "),
        (&format!("({{ state: {{ v: new Float64Array }}, {methods} }})"), "its `state.v` is "),
        (&format!("({{ get state() {{ throw new Error('no') }}, {methods} }})"), "Error: no (line 1, column 18)"),
        (
            "({ state: { n: 0 }, step(st) {}, merge(st, o) {}, finish(st) {} })",
            "its `step` is a function of 1 parameter, not a function of 2 parameters",
        ),
        (
            "({ state: { n: 0 }, step(st, x, y) {}, merge(st, o) {}, finish(st) {} })",
            "its `step` is a function of 3 parameters, not a function of 2 parameters",
        ),
        (
            "({ state: { n: 0 }, step(st, x) {}, merge(st) {}, finish(st) {} })",
            "its `merge` is a function of 1 parameter, not a function of 2 parameters",
        ),
        (
            "({ state: { n: 0 }, step(st, x) {}, merge(st, o) {}, finish() {} })",
            "its `finish` is a function of 0 parameters, not a function of 1 parameter",
        ),
        (
            "({ state: { n: 0 }, step(st, x) { st.n + }, merge(st, o) {}, finish(st) {} })",
            "SyntaxError: Unexpected token '}' (line 1, column 42)",
        ),
        (
            "({ state: { n: 0, '\\ud800': 1 }, step(st, x) {}, merge(st, o) {}, finish(st) {} })",
            "its `state` is an object with the field \"\u{fffd}\", not a name without half of a surrogate pair",
        ),
        (
            "({ state: { n: 0 }, step(st, x) {}, finish(st) {},
                merge: Object.defineProperty((st, o) => {}, 'length', { value: { valueOf() { throw new Error('no') } } }) })",
            "Error: no (line 2, column ",
        ),
        (
            &format!("({{ state: Object.fromEntries(Array.from({{ length: 1001 }}, (_, n) => ['f' + n, n])), {methods} }})"),
            "its `state` is an object with 1001 fields, not an object with at most 1000 fields",
        ),
        ("({ state: { n: 0 },", "SyntaxError: Unexpected token ')' (line 1, column 20)"),
        ("", "SyntaxError: Unexpected token ')' (line 1, column 1)"),
    ] {
        let found = refused(text);
        assert!(found.starts_with(told), "{text}: {found}");
    }
    in_v8(|scope| {
        let mut told = |arguments: &[_], result| {
            let made = AggregateFunction::compile(scope, "f", "({})", arguments, result);
            made.map(drop).unwrap_err().to_string()
        };
        assert!(told(&[Float16], Float64).contains("argument 1 has the type Float16"));
        assert!(told(&[Float64], Float16).contains("the result has the type Float16"));
    });
}

#[test]
fn a_value_in_a_state_that_is_no_number_is_an_error_and_the_state_stays() {
    in_v8(|scope| {
        for (step, told) in [
            ("st.n = '1'", "its `step` left \"1\" (string) in `n` for row 1, not a number"),
            ("st.n = null", "its `step` left null (object) in `n` for row 1, not a number"),
            ("st.n = 1n", "its `step` left 1n (bigint) in `n` for row 1, not a number"),
            ("st.n += 'x'", "its `step` left \"1x\" (string) in `n` for row 1, not a number"),
            ("delete st.n", "its `step` left undefined (undefined) in `n` for row 1, not a number"),
            ("st.n = Promise.resolve(1)", "its `step` left #<Promise> (object) in `n` for row 1, not a number"),
            (
                "st.n = 8; st.v = [1, 2]",
                "its `step` left [object Array] (object) in `v` for row 1, not the Float64Array of 2",
            ),
            (
                "st.n = 8; st.v = new Float64Array(2)",
                "its `step` left [object Float64Array] (object) in `v` for row 1, not the Float64Array",
            ),
            ("st.n = 8; structured()", "ReferenceError: structured is not defined (line 1, column "),
            ("st.n = 8; throw null", "null (line 1, column "),
            ("st.n = 8; st.v[0] = 8; throw { toString() { throw 1 } }", "[object Object] (line 1, column "),
            ("Object.defineProperty(st, 'n', { get() { throw new Error('late') } })", "Error: late (line 1, column "),
        ] {
            let f = with_step(scope, &format!("if (x < 0) {{ {step}; return }} st.n += x; st.v[1] += x; st.v[0]--"));
            let mut groups = f.state().groups();
            for round in 1..=3 {
                let error = add(&f, scope, &mut groups, &[1.0, -1.0, 100.0]).unwrap_err().to_string();
                let error = error.strip_prefix("JavaScript function f: ").unwrap();
                let n = if round > 1 { told.replace("\"1x\"", &format!("\"{round}x\"")) } else { told.to_owned() };
                assert!(error.starts_with(&n), "{step}: {error}");
            }
            // The first row of each batch was added, and no others.
            let mut states = f.state().groups();
            let taken = groups.take(1).unwrap();
            assert_eq!(*taken[0], *doubles([3.0]), "{step}");
            f.merge(scope, &mut states, &taken, &[0], 1).unwrap();
            add(&f, scope, &mut states, &[4.0]).unwrap();
            assert_eq!(*f.finish(scope, &mut states, 1).unwrap(), *doubles([7.0]), "{step}");
        }
    });
}

#[test]
fn a_value_that_merge_leaves_is_checked_too() {
    in_v8(|scope| {
        let text =
            "({ state: { n: 0 }, step(st, x) { st.n += x }, merge(st, other) { st.n = { other } }, finish: st => st })";
        let f = AggregateFunction::compile(scope, "f", text, &[Float64], Float64).unwrap();
        let mut groups = f.state().groups();
        add(&f, scope, &mut groups, &[1.0]).unwrap();
        let states = [doubles([5.0])];
        let error = f.merge(scope, &mut groups, &states, &[0], 1).unwrap_err();
        let Reason::WrongState { method: "merge", row: 0, field, .. } = error.reason() else { panic!("{error}") };
        assert_eq!(&**field, "n");
        let error = f.finish(scope, &mut groups, 1).unwrap_err().to_string();
        assert_eq!(error, "JavaScript function f: it returned #<Object> (object) for row 0, which is no Float64");
        assert_eq!(*groups.take(1).unwrap()[0], *doubles([1.0]));
    });
}

#[test]
fn script_cannot_take_the_array_of_a_state_away() {
    in_v8(|scope| {
        for take in [
            "buffer.transfer()",
            "buffer.transfer(0)",
            "buffer.transferToFixedLength()",
            "buffer.transferToImmutable()",
        ] {
            let text = format!(
                "({{ state: {{ v: new Float64Array(2) }},
                    step(st, x) {{ try {{ st.v.{take}; st.v[1] = 1e9 }} catch {{ st.v[0] += x }} }},
                    merge(st, other) {{ try {{ other.v.{take}; st.v[1] = 1e9 }} catch {{ st.v[0] += other.v[0] }} }},
                    finish(st) {{ try {{ st.v.{take}; return 1e9 }} catch {{ return st.v[0] + st.v[1] }} }} }})"
            );
            let f = AggregateFunction::compile(scope, "f", &text, &[Float64], Float64).unwrap();
            let mut groups = f.state().groups();
            f.update(scope, &mut groups, &[doubles([1.0, 2.0])], &[0, 1], None, 2).unwrap();
            let states = groups.take(2).unwrap();
            f.merge(scope, &mut groups, &states, &[1, 0], 2).unwrap();
            assert_eq!(*f.finish(scope, &mut groups, 2).unwrap(), *doubles([2.0, 1.0]), "{take}");
        }
    });
}

#[test]
fn a_state_that_is_kept_is_of_no_use_later() {
    in_v8(|scope| {
        let step = "globalThis.kept ??= []; for (const old of kept) { old.n = 1e9; old.v[0] = 1e9; try { old.v.fill(1e9) } catch {} }
            kept.push(st); st.n += x; st.v[0] = x; st.v[1] = x";
        let f = with_step(scope, step);
        let mut groups = f.state().groups();
        let update = |scope: &mut v8::PinScope<'_, '_>, groups: &mut Groups| {
            f.update(scope, groups, &[doubles([1.0, 2.0, 3.0])], &[0, 1, 2], None, 3).unwrap();
        };
        update(scope, &mut groups);
        update(scope, &mut groups);
        let states = groups.take(3).unwrap();
        assert_eq!(*states[0], *doubles([2.0, 4.0, 6.0]));
        let of_groups = doubles([1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
        assert_eq!(
            *offheap_arrow::arrow_array::cast::AsArray::as_fixed_size_list(&states[1]).values().clone(),
            *of_groups
        );
    });
}

#[test]
fn a_function_that_replaces_built_ins_disturbs_neither_its_loop_nor_another() {
    in_v8(|scope| {
        let before = counting(scope);
        let step = "if (x === 0) {
                for (const name of ['set', 'subarray', 'fill', 'slice']) Float64Array.prototype.__proto__[name] = () => { throw 1 };
                Object.defineProperty(Float64Array.prototype.__proto__, 'length', { get() { return 7 } });
                Object.defineProperty(Object.prototype, 'n', { set() { throw 2 }, get() { return 'x' } });
                Object.defineProperty(Object.prototype, '0', { set() { throw 3 }, get() { return 'x' } });
                Object.defineProperty(Array.prototype, '0', { set() { throw 4 }, get() { return 'x' } });
                Array.prototype[Symbol.iterator] = () => { throw 5 };
                Function.prototype.call = Function.prototype.apply = () => { throw 6 };
                globalThis.Float64Array = globalThis.Object = undefined;
            }
            st.n += x; st.v[0] += x";
        let f = with_step(scope, step);
        let after = counting(scope);
        let mut groups = f.state().groups();
        add(&f, scope, &mut groups, &[0.0, 1.0]).unwrap();
        add(&f, scope, &mut groups, &[2.0]).unwrap();
        let states = groups.take(1).unwrap();
        f.merge(scope, &mut groups, &states, &[0], 1).unwrap();
        assert_eq!(*f.finish(scope, &mut groups, 1).unwrap(), *doubles([3.0]));
        let wrong = add(&with_step(scope, "st.n = 'x'"), scope, &mut f.state().groups(), &[0.0]).unwrap_err();
        assert!(matches!(wrong.reason(), Reason::WrongState { row: 0, .. }), "{wrong}");
        for other in [before, after] {
            let mut groups = other.state().groups();
            add(&other, scope, &mut groups, &[1.0]).unwrap();
            assert_eq!(*other.finish(scope, &mut groups, 1).unwrap(), *doubles([1000.0 + 1.0 / 1024.0]));
        }
    });
}

#[test]
fn columns_groups_and_filters_that_do_not_fit() {
    in_v8(|scope| {
        let (f, other) = (counting(scope), with_step(scope, "st.n = x"));
        let mut groups = f.state().groups();
        let column = [doubles([1.0, 2.0])];
        let mut told = |columns: &[ArrayRef], indices: &[usize], filter, count| {
            let refused = f.update(scope, &mut groups, columns, indices, filter, count).unwrap_err();
            assert!(matches!(refused.reason(), Reason::WrongColumns { .. }), "{refused}");
            refused.to_string()
        };
        let filter = BooleanArray::from(vec![true]);
        assert!(told(&column, &[0], None, 1).contains("argument 1 with 1 row"));
        assert!(told(&[], &[0], None, 1).contains("made for 1 column, and got 0"));
        assert!(told(&[Arc::new(Int32Array::from(vec![1]))], &[0], None, 1).contains("of Int32"));
        assert!(told(&column, &[0, 1], Some(&filter), 2).contains("a filter with 2 rows, and got a filter with 1 row"));
        assert!(told(&column, &[0, 2], None, 2).ends_with("it was made for groups below 2, and got group 2"));
        assert!(told(&column, &[0, usize::MAX], None, 2).contains("got group 18446744073709551615"));
        let too_many = f.update(scope, &mut groups, &column, &[0, 0], None, 1 << 33).unwrap_err();
        assert!(matches!(too_many.reason(), Reason::TooLarge { unit: "groups", .. }), "{too_many}");

        let told = f.update(scope, &mut other.state().groups(), &column, &[0, 0], None, 1).unwrap_err().to_string();
        assert!(told.contains("made for groups with `n` of Float64, `s` of Float64, `digits` of "), "{told}");
        assert!(
            groups.take(3).unwrap_err().to_string().ends_with("it was made for at most 2 groups, and got 3 groups")
        );
        assert!(matches!(f.finish(scope, &mut groups, 3).unwrap_err().reason(), Reason::WrongColumns { .. }));
        let states = groups.take(1).unwrap();
        let mut told = |states: &[ArrayRef]| {
            let refused = f.merge(scope, &mut groups, states, &[0], 1).unwrap_err();
            assert!(matches!(refused.reason(), Reason::WrongColumns { .. }), "{refused}");
            refused.to_string()
        };
        assert!(told(&states[..2]).contains("made for 4 columns, and got 2 columns"));
        assert!(told(&[2, 0, 1, 3].map(|k: usize| states[k].clone())).contains("for `state.n` with 1 rows"));
        let nulls = doubles([None::<f64>]);
        let with = |k: usize, column: &ArrayRef| {
            let mut states = states.clone();
            states[k] = column.clone();
            states
        };
        assert!(told(&with(1, &nulls)).contains("for `state.s` with 1 rows and NULLs"));
        assert!(told(&with(1, &doubles([1.0, 2.0]))).contains("for `state.s` with 2 rows and no NULL"));
    });
}

#[test]
fn states_are_lost_when_script_is_stopped_and_say_so() {
    let mut isolate = isolate_builder().heap_limits(0, 32 << 20).build().unwrap();
    let handle = isolate.thread_safe_handle();
    isolate.enter(|scope| {
        let (f, mut groups) = scope.with_v8(|scope| {
            let f = with_step(scope, "while (x === 1); if (x === 2) for (const all = [];;) all.push({}); st.n += x");
            let mut groups = f.state().groups();
            add(&f, scope, &mut groups, &[5.0]).unwrap();
            let watchdog = std::thread::spawn({
                let handle = handle.clone();
                move || {
                    std::thread::sleep(Duration::from_millis(50));
                    handle.terminate_execution();
                }
            });
            let stopped = add(&f, scope, &mut groups, &[5.0, 1.0]).unwrap_err();
            watchdog.join().unwrap();
            assert!(stopped.is_terminated() && matches!(stopped.reason(), Reason::Terminated), "{stopped}");
            scope.cancel_terminate_execution();
            (f, groups)
        });
        scope.with_v8(|scope| {
            let expected = "JavaScript function f: its states were lost when an earlier call was stopped; begin again with \
                            new groups";
            assert_eq!(add(&f, scope, &mut groups, &[5.0]).unwrap_err().to_string(), expected);
            assert_eq!(f.finish(scope, &mut groups, 1).unwrap_err().to_string(), expected);
            let states = f.state().groups().take(0).unwrap();
            assert_eq!(f.merge(scope, &mut groups, &states, &[], 1).unwrap_err().to_string(), expected);
            assert!(matches!(groups.take(0).unwrap_err().reason(), Reason::StateLost));
            // A full heap ends script in the same way, and says so.
            let mut groups = f.state().groups();
            let full = add(&f, scope, &mut groups, &[5.0, 2.0]).unwrap_err();
            let limit = 32 << 20;
            assert!(matches!(
                full.reason(),
                Reason::Engine(offheap_v8::Error::HeapLimit { limit: told, keeps_too_much: false, .. }) if *told == limit
            ));
            assert!(full.is_terminated());
        });
        scope.with_v8(|scope| {
            let mut groups = f.state().groups();
            add(&f, scope, &mut groups, &[5.0]).unwrap();
            assert_eq!(*f.finish(scope, &mut groups, 1).unwrap(), *doubles([5.0]));
            drop(f);
        });
    });
}

#[test]
fn results_of_finish_are_checked() {
    in_v8(|scope| {
        let text =
            "({ state: { n: 0 }, step(st, x) { st.n += x }, merge(st, o) {}, finish: st => st.n === 2 ? 0.5 : st.n })";
        let f = AggregateFunction::compile(scope, "f", text, &[Float64], Int32).unwrap();
        let mut groups = f.state().groups();
        f.update(scope, &mut groups, &[doubles([1.0, 2.0])], &[0, 1], None, 2).unwrap();
        let error = f.finish(scope, &mut groups, 2).unwrap_err().to_string();
        assert_eq!(error, "JavaScript function f: it returned 0.5 (number) for row 1, which is no Int32");
        // The groups are still there.
        assert_eq!(groups.len(), 2);
        let one: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert_eq!(*f.finish(scope, &mut groups, 1).unwrap(), *one);
    });
}

#[test]
fn groups_for_which_there_is_no_memory_are_refused_and_the_others_stay() {
    in_v8(|scope| {
        let text = "({ state: { n: 1, v: new Float64Array(1e6) }, step(st, x) { st.n += x }, merge(st, o) {}, finish: st => st.n })";
        let f = AggregateFunction::compile(scope, "f", text, &[Float64], Float64).unwrap();
        let mut groups = f.state().groups();
        add(&f, scope, &mut groups, &[1.0]).unwrap();
        let refused = f.update(scope, &mut groups, &[doubles([1.0])], &[0], None, 1 << 30).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Engine(offheap_v8::Error::Memory(OutOfMemory { .. }))), "{refused}");
        f.update(scope, &mut groups, &[doubles([5.0])], &[1], None, 2).unwrap();
        assert_eq!(*f.finish(scope, &mut groups, 2).unwrap(), *doubles([2.0, 6.0]));
    });
}

#[test]
fn a_field_that_is_not_in_the_state_cannot_be_set() {
    in_v8(|scope| {
        for (step, field) in [
            ("st.cuont++", "cuont"),
            ("if (x === 2) st.cuont = 1", "cuont"),
            ("'use strict'; st['a b'] = 1", "a b"),
            ("Object.prototype.get = () => 1; st.__proto__ = null", "__proto__"),
        ] {
            let f = with_step(scope, &format!("{step}; st.n += x"));
            let mut groups = f.state().groups();
            let told = add(&f, scope, &mut groups, &[2.0]).unwrap_err().to_string();
            let expected = format!("JavaScript function f: TypeError: the state has no field `{field}`, in row 0");
            assert_eq!(told, expected);
        }
        let f = with_step(scope, "st.n += x");
        let mut groups = f.state().groups();
        add(&f, scope, &mut groups, &[2.0]).unwrap();
        let states = groups.take(1).unwrap();
        let text = "({ state: { n: 0, v: new Float64Array(2) }, step(st, x) {}, merge(st, other) { st.m += other.n },
            finish(st) { st.half = st.n / 2; return st.half } })";
        let f = AggregateFunction::compile(scope, "f", text, &[Float64], Float64).unwrap();
        let mut groups = f.state().groups();
        let told = f.merge(scope, &mut groups, &states, &[0], 1).unwrap_err().to_string();
        assert!(told.ends_with("the state has no field `m`, in row 0"), "{told}");
        // What `finish` leaves in a state is of no use, so it may be anything.
        assert_eq!(*f.finish(scope, &mut groups, 1).unwrap(), *doubles([0.0]));
    });
}

#[test]
fn a_state_is_an_object_as_others() {
    in_v8(|scope| {
        let is = "st instanceof Object && st.hasOwnProperty('n') && !Object.hasOwn(st, 'constructor')
            && st.constructor === Object && String(st) === '[object Object]' && Object.keys(st).join() === 'n,v'
            && JSON.stringify(st) === '{\"n\":0,\"v\":{\"0\":0,\"1\":0}}' && st.missing === undefined";
        let f = with_step(scope, &format!("st.n = {is} ? 7 : -1"));
        let mut groups = f.state().groups();
        add(&f, scope, &mut groups, &[2.0]).unwrap();
        assert_eq!(*f.finish(scope, &mut groups, 1).unwrap(), *doubles([7.0]));
    });
}
