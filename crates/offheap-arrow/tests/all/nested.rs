//! A function that is called again while it runs. Its own text reaches no native function, but a program can call it in a callback
//! of V8's that its text causes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use offheap_arrow::arrow_array::{ArrayRef, Int64Array, StringArray};
use offheap_arrow::arrow_schema::DataType::{Float64, Int64, Utf8};
use offheap_arrow::offheap_v8::v8;
use offheap_arrow::{AggregateFunction, ScalarFunction};

use crate::kit::{doubles, in_v8};

type Work = Rc<dyn Fn(&mut v8::PinScope<'_, '_>)>;

thread_local!(static NESTED: RefCell<Option<Work>> = const { RefCell::new(None) });

/// Runs `work`, and `nested` whenever its script asks for the `stack` of an error.
fn with_nested(scope: &mut v8::PinScope<'_, '_>, nested: Work, work: impl FnOnce(&mut v8::PinScope<'_, '_>)) {
    fn called<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        _: v8::Local<'s, v8::Value>,
        _: v8::Local<'s, v8::Array>,
    ) -> v8::Local<'s, v8::Value> {
        if let Some(nested) = NESTED.with_borrow(Clone::clone) {
            nested(scope);
        }
        v8::undefined(scope).into()
    }
    scope.set_prepare_stack_trace_callback(called);
    NESTED.set(Some(nested));
    work(scope);
    NESTED.set(None);
}

#[test]
fn a_scalar_function_that_is_called_while_it_runs() {
    in_v8(|scope| {
        let text = "x => { if (x === 2) new Error().stack; return x === 9 ? 'inner' : 'r' + x }";
        let f = Rc::new(ScalarFunction::compile(scope, "f", text, &[Float64], Utf8).unwrap());
        let nested: Work = Rc::new({
            let f = f.clone();
            move |scope| {
                let inner = f.call(scope, &[doubles([9.0, 7.0])], 2).unwrap();
                assert_eq!(*inner, *(Arc::new(StringArray::from(vec!["inner", "r7"])) as ArrayRef));
            }
        });
        with_nested(scope, nested, |scope| {
            let rows = f.call(scope, &[doubles([1.0, 2.0, 3.0])], 3).unwrap();
            assert_eq!(*rows, *(Arc::new(StringArray::from(vec!["r1", "r2", "r3"])) as ArrayRef));
        });

        // The bits of this BigInt are those of the Number 2.
        let text = "x => { if (x === 2) new Error().stack; return x === 9 ? 1 : 0x4000000000000000n }";
        let f = Rc::new(ScalarFunction::compile(scope, "f", text, &[Float64], Int64).unwrap());
        let nested: Work = Rc::new({
            let f = f.clone();
            move |scope| {
                let inner = f.call(scope, &[doubles([9.0])], 1).unwrap();
                assert_eq!(*inner, *(Arc::new(Int64Array::from(vec![1])) as ArrayRef));
            }
        });
        with_nested(scope, nested, |scope| {
            let rows = f.call(scope, &[doubles([1.0, 2.0, 3.0])], 3).unwrap();
            assert_eq!(*rows, *(Arc::new(Int64Array::from(vec![1 << 62; 3])) as ArrayRef));
        });
    });
}

#[test]
fn an_aggregate_that_is_called_while_it_runs() {
    in_v8(|scope| {
        let text = "({
            state: { n: 0, v: new Float64Array(2) },
            step(st, x) { st.v[0] += x; if (x === 2) new Error().stack; st.n += x; st.v[1] += x },
            merge(st, other) {},
            finish: st => st.n === st.v[0] && st.n === st.v[1] ? st.n : -1,
        })";
        let f = Rc::new(AggregateFunction::compile(scope, "f", text, &[Float64], Float64).unwrap());
        let nested: Work = Rc::new({
            let f = f.clone();
            move |scope| {
                let mut groups = f.state().groups();
                f.update(scope, &mut groups, &[doubles([9.0, 7.0])], &[0, 1], None, 2).unwrap();
                assert_eq!(*f.finish(scope, &mut groups, 2).unwrap(), *doubles([9.0, 7.0]));
            }
        });
        with_nested(scope, nested, |scope| {
            let mut groups = f.state().groups();
            f.update(scope, &mut groups, &[doubles([1.0, 2.0, 3.0])], &[0, 1, 0], None, 2).unwrap();
            assert_eq!(*f.finish(scope, &mut groups, 2).unwrap(), *doubles([4.0, 2.0]));
        });
    });
}

#[test]
fn an_error_after_a_call_within_names_the_row_of_its_own_run() {
    in_v8(|scope| {
        let text = "x => { if (x === 2) { new Error().stack; throw 'outer' } if (x === 9) throw 'inner'; return x }";
        let f = Rc::new(ScalarFunction::compile(scope, "f", text, &[Float64], Float64).unwrap());
        for (rows, outcome) in [
            (vec![5.0, 6.0, 7.0], None),
            (vec![5.0, 6.0, 7.0, 9.0], Some("JavaScript function f: inner (line 1, column 71), in row 3")),
        ] {
            // A panic in the callback would end the process.
            let told = Rc::new(RefCell::new(None));
            let nested: Work = Rc::new({
                let (f, told) = (f.clone(), told.clone());
                move |scope| *told.borrow_mut() = f.call(scope, &[doubles(rows.clone())], rows.len()).err()
            });
            with_nested(scope, nested, |scope| {
                let error = f.call(scope, &[doubles([1.0, 2.0])], 2).unwrap_err();
                assert_eq!(error.to_string(), "JavaScript function f: outer (line 1, column 42), in row 1");
            });
            assert_eq!(told.take().map(|error| error.to_string()).as_deref(), outcome);
        }
    });
}
