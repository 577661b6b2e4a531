//! Texts that do what they should not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use offheap_arrow::arrow_array::builder::{FixedSizeListBuilder, Float64Builder};
use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::{Array, ArrayRef, BinaryViewArray, StringArray, StringViewArray};
use offheap_arrow::arrow_buffer::Buffer;
use offheap_arrow::arrow_schema::{DataType, Field};
use offheap_arrow::offheap_v8::{IsolateExt, ScopeExt, collect};
use offheap_arrow::{Reason, ScalarFunction};

use crate::kit::{call, doubles, in_v8, isolate_builder, reason, refused};

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn a_loop_does_not_use_what_script_replaces() {
    let replaced = "
        const Object_ = Object, Array_ = Array;
        String.prototype.substring = () => 'bad';
        Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => 'bad';
        Function.prototype.toString = () => '(a, b) => 0';
        Array.prototype[Symbol.iterator] = () => { throw 'bad' };
        Uint8Array = Float64Array = BigInt64Array = Array = Object = undefined;
        BigInt.asIntN = () => 'bad';
        const { defineProperty } = Object_, keys = ['0', '1', '2', 'x', 'get', 'set', 'length'];
        for (let i = 0; i < keys.length; i++)
            defineProperty(Object_.prototype, keys[i], { __proto__: null, get() { return 'bad' }, configurable: true });
        defineProperty(Array_.prototype, '0', { __proto__: null, get() { return 'bad' } });
        globalThis.substring = globalThis.f = globalThis.n = 'bad';";
    let with = |text: &str| format!("(() => {{ {replaced}\nreturn {text} }})()");
    let column = strings(&["one", "two", ""]);
    assert_eq!(*call(&with("x => x + '!'"), &[column], DataType::Utf8).unwrap(), *strings(&["one!", "two!", "!"]));
    let numbers = call(&with("x => 2n ** 62n"), &[doubles([1.0])], DataType::Int64).unwrap();
    assert_eq!(numbers.as_primitive::<offheap_arrow::arrow_array::types::Int64Type>().value(0), 1 << 62);
    assert!(
        reason(&with("x => 'x'"), &[doubles([1.0])], DataType::Float64)
            .contains("it returned \"x\" (string) for row 0")
    );
    assert!(reason(&with("x => { throw 'x' }"), &[doubles([1.0])], DataType::Float64).ends_with("in row 0"));
}

#[test]
fn the_loop_is_not_seen_through_functions_and_stacks() {
    let text = "function f(x) {
        let caller = 'hidden';
        try { caller = f.caller } catch (e) {}
        if (caller && caller !== 'hidden') return 1;
        Error.prepareStackTrace = (_, frames) => frames.map(frame => [frame.getFunction(), frame.getThis()]);
        return new Error().stack.flat().filter(seen => typeof seen === 'function' && seen !== f).length;
    }";
    assert_eq!(*call(text, &[doubles([0.0])], DataType::Float64).unwrap(), *doubles([0.0]));
}

/// Runs a function that never returns, and ends it.
fn stopped(text: &str) {
    let mut isolate = isolate_builder().heap_limits(0, 256 << 20).build().unwrap();
    let handle = isolate.thread_safe_handle();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let types = [DataType::Float64];
            let f = ScalarFunction::compile(scope, "f", text, &types, DataType::Float64).unwrap();
            let (done, wait) = mpsc::channel::<()>();
            let watchdog = std::thread::spawn({
                let handle = handle.clone();
                move || {
                    let _ = wait.recv_timeout(Duration::from_millis(100));
                    handle.terminate_execution();
                }
            });
            let error = f.call(scope, &[doubles([1.0])], 1).unwrap_err();
            let _ = done.send(());
            watchdog.join().unwrap();
            handle.cancel_terminate_execution();
            assert!(error.is_terminated(), "{text}: {error}");
            let g = ScalarFunction::compile(scope, "g", "x => x + 1", &types, DataType::Float64).unwrap();
            assert_eq!(*g.call(scope, &[doubles([1.0])], 1).unwrap(), *doubles([2.0]), "{text}");
        });
    });
}

#[test]
fn loops_without_end_are_stopped() {
    for text in [
        "x => { for (;;); }",
        "x => { for (;;) new Array(1000).fill(1.5) }",
        "x => { const a = []; for (;;) { a.push(x); a.pop() } }",
        "x => /(a+)+b/.test('a'.repeat(40))",
        "x => { for (;;) [3, 2, 1].sort((a, b) => a - b) }",
        "x => { let s = ''; for (;;) { s += 'x'; if (s.length > 1000) s = '' } }",
        "x => { const o = { get y() { for (;;); } }; return o.y }",
        "x => { try { for (;;); } finally { for (;;); } }",
        "x => { function* g() { for (;;) yield 1 } for (const y of g()); }",
        "x => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); return x }",
        "x => { const p = new Proxy({}, { get(t, k, r) { for (;;); } }); return p.y }",
    ] {
        stopped(text);
    }
}

#[test]
fn a_termination_at_any_moment_is_an_error_of_its_own() {
    let mut isolate = isolate_builder().build().unwrap();
    let handle = isolate.thread_safe_handle();
    let is_over = Arc::new(AtomicBool::new(false));
    let watchdog = std::thread::spawn({
        let (handle, is_over, mut rng) = (handle.clone(), is_over.clone(), fastrand::Rng::with_seed(7));
        move || {
            while !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(rng.u64(..500)));
                handle.terminate_execution();
            }
        }
    });
    let texts: Vec<_> = (0..200).map(|row| row.to_string()).collect();
    let column = [strings(&texts.iter().map(String::as_str).collect::<Vec<_>>()), vectors(0, 200)];
    let types: Vec<_> = column.iter().map(|column| column.data_type().clone()).collect();
    let results = [DataType::Utf8, types[1].clone(), DataType::Binary, DataType::Int64];
    let texts = ["(x, y) => x + y", "(x, y) => y", "(x, y) => new Uint8Array(x.length)", "(x, y) => BigInt(x)"];
    let (mut done, mut ended) = (0, 0);
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            for round in 0..400 {
                let (text, result) = (texts[round % 4], results[round % 4].clone());
                let given = ScalarFunction::compile(scope, "f", text, &types, result)
                    .and_then(|f| (0..5).try_for_each(|_| f.call(scope, &column, 200).map(drop)));
                match given {
                    Ok(()) => done += 1,
                    Err(error) if error.is_terminated() => ended += 1,
                    Err(error) => panic!("{error}"),
                }
                handle.cancel_terminate_execution();
            }
        });
    });
    is_over.store(true, Ordering::Relaxed);
    watchdog.join().unwrap();
    assert!(ended > 10, "{done} done, {ended} ended");
}

#[test]
fn a_loop_without_end_in_the_text_itself_is_stopped() {
    let mut isolate = isolate_builder().build().unwrap();
    let handle = isolate.thread_safe_handle();
    let watchdog = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        handle.terminate_execution();
    });
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let made = ScalarFunction::compile(scope, "f", "(() => { for (;;); })()", &[], DataType::Float64);
            assert!(made.unwrap_err().is_terminated());
        });
    });
    watchdog.join().unwrap();
}

#[test]
fn lists_that_lie_about_their_length() {
    let item = Arc::new(offheap_arrow::arrow_schema::Field::new("item", DataType::Int32, true));
    for length in ["-1", "0.5", "NaN", "2 ** 32", "2 ** 31", "'1'", "undefined", "1n"] {
        let text = format!("x => new Proxy([], {{ get: (_, key) => key === 'length' ? {length} : key }})");
        assert!(call(&text, &[doubles([1.0])], DataType::List(item.clone())).is_err(), "{length}");
    }
    // Two reads give two lengths.
    let text = "x => { let n = 0; return new Proxy([], { get: (_, key) => key === 'length' ? ++n : 7 }) }";
    let result = call(text, &[doubles([1.0, 2.0])], DataType::List(item)).unwrap();
    assert_eq!(result.as_list::<i32>().value_offsets(), [0, 1, 2]);
}

#[test]
fn deep_recursion_is_an_error() {
    let told = reason("function f(x) { return f(x + 1) + 1 }", &[doubles([1.0])], DataType::Float64);
    assert!(told.contains("RangeError: Maximum call stack size exceeded"), "{told}");
}

#[test]
fn a_heap_that_fills_is_an_error_and_the_isolate_goes_on() {
    let mut isolate = isolate_builder().heap_limits(0, 32 << 20).build().unwrap();
    for text in [
        "x => { const a = []; for (;;) a.push([x]) }",
        "x => { const m = new Map(); for (let i = 0; ; i++) m.set(i, [i]) }",
    ] {
        let types = [DataType::Float64];
        isolate.enter(|scope| {
            scope.with_v8(|scope| {
                let f = ScalarFunction::compile(scope, "f", text, &types, DataType::Float64).unwrap();
                assert!(f.call(scope, &[doubles([1.0])], 1).unwrap_err().is_terminated());
            })
        });
        isolate.enter(|scope| {
            scope.with_v8(|scope| {
                let f = ScalarFunction::compile(scope, "f", "x => x", &types, DataType::Float64).unwrap();
                assert_eq!(*f.call(scope, &[doubles([1.0])], 1).unwrap(), *doubles([1.0]));
            })
        });
    }
}

/// A column of vectors of two, which counts from `from`.
fn vectors(from: u32, row_count: u32) -> ArrayRef {
    let mut list = FixedSizeListBuilder::new(Float64Builder::new(), 2);
    for row in 0..row_count {
        (0..2).for_each(|item| list.values().append_value(f64::from(from + row * 2 + item)));
        list.append(true);
    }
    Arc::new(list.finish())
}

#[test]
fn a_vector_that_script_keeps_stays_as_it_was() {
    let text = "(() => { let kept; return x => {
        if (kept === undefined) { kept = x; return -1 }
        try { kept[0] = 9; kept.fill(9); new Uint8Array(kept.buffer)[0] = 9 } catch (e) {}
        for (const name of ['transfer', 'resize']) try { kept.buffer[name](1); return -2 } catch (e) {}
        return kept[0] * 1000 + kept[1] + kept.buffer.byteLength * 0;
    } })()";
    let types = [vectors(0, 0).data_type().clone()];
    let mut isolate = isolate_builder().build().unwrap();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let f = ScalarFunction::compile(scope, "f", text, &types, DataType::Float64).unwrap();
            assert_eq!(*f.call(scope, &[vectors(7, 1)], 1).unwrap(), *doubles([-1.0]));
            for _ in 0..100 {
                assert_eq!(*f.call(scope, &[vectors(50, 2)], 2).unwrap(), *doubles([7008.0, 7008.0]));
            }
            collect(scope);
            assert_eq!(*f.call(scope, &[vectors(50, 1)], 1).unwrap(), *doubles([7008.0]));
        });
    });
}

#[test]
fn a_column_is_not_written_through_what_script_gets() {
    let column = vectors(0, 4);
    let text = "x => { for (const a of [x, new Uint8Array(x.buffer), new DataView(x.buffer)]) try {
        if (a.fill) a.fill(7); else a.setFloat64(0, 7);
        a[0] = 7; a.set([7]); a.reverse(); a.sort(); a.copyWithin(1, 0);
    } catch (e) {} return x[0] }";
    let result = call(text, std::slice::from_ref(&column), DataType::Float64).unwrap();
    assert_eq!(*result, *doubles([0.0, 2.0, 4.0, 6.0]));
    assert_eq!(*column, *vectors(0, 4));
}

#[test]
fn texts_with_any_characters() {
    let column = [strings(&["x"])];
    for (text, expected) in [
        ("x => '$$' + x + `\"` + \"'\"", "$$x\"'"),
        ("x => x + '\0' + '\u{2028}'", "x\0\u{2028}"),
        ("x => x + '🦀'", "x🦀"),
        ("x => { return x } // )", "x"),
        ("x => x /* \n ) */", "x"),
    ] {
        assert_eq!(*call(text, &column, DataType::Utf8).unwrap(), *strings(&[expected]), "{text}");
    }
    let long = format!("x => {} x", "/* a comment */".repeat(70_000));
    assert_eq!(*call(&long, &column, DataType::Utf8).unwrap(), *strings(&["x"]));
    for text in ["", " ", "\0", "x => x)(", ")", "(", "x => `", "/*", "$$", "x => x;y", "\u{feff}"] {
        assert!(refused(text).starts_with("JavaScript function f: "), "{text:?}");
    }
}

#[test]
fn more_text_than_a_string_can_have_is_an_error() {
    let data = Buffer::from_vec(vec![b'x'; 1 << 20]);
    let view = (1_u128 << 20) | (u128::from(u32::from_le_bytes(*b"xxxx")) << 32);
    let views = vec![view; 2100];
    let column: ArrayRef = Arc::new(StringViewArray::new(views.into(), vec![data], None));
    assert!(reason("x => x", std::slice::from_ref(&column), DataType::Utf8).contains("bytes of text is too large"));
    let lengths = call("x => x.length", &[column.slice(0, 3)], DataType::Int32).unwrap();
    assert_eq!(*lengths.as_primitive::<offheap_arrow::arrow_array::types::Int32Type>().values(), [1 << 20; 3]);
    let told = reason("x => 'x'.repeat(2 ** 28)", &[doubles([1.0, 2.0, 3.0])], DataType::Utf8);
    let expected =
        "a batch with 536870912 UTF-16 units in its results is too large, it may have 536870888; use smaller batches";
    assert!(told.ends_with(expected), "{told}");
}

#[test]
fn views_of_more_bytes_than_a_column_can_have_are_an_error() {
    let data = Buffer::from_vec(vec![b'x'; 1 << 20]);
    let view = (1_u128 << 20) | (u128::from(u32::from_le_bytes(*b"xxxx")) << 32);
    let column: ArrayRef = Arc::new(BinaryViewArray::new(vec![view; 1 << 20].into(), vec![data], None));
    let told = reason("x => x.length", std::slice::from_ref(&column), DataType::Int32);
    assert!(
        told.ends_with("1099511627776 bytes in views is too large, it may have 2147483647; use smaller batches"),
        "{told}"
    );
}

#[test]
fn a_promise_and_what_runs_after_it() {
    let told = reason("async x => x", &[doubles([1.0])], DataType::Float64);
    assert!(told.contains("it returned #<Promise> (object) for row 0"), "{told}");
    in_v8(|scope| {
        let text = "(() => { let n = 0; return x => { Promise.resolve().then(() => n++); return n } })()";
        let f = ScalarFunction::compile(scope, "f", text, &[DataType::Float64], DataType::Float64).unwrap();
        assert_eq!(*f.call(scope, &[doubles([1.0, 1.0])], 2).unwrap(), *doubles([0.0, 0.0]));
    });
}

#[test]
fn a_function_that_calls_itself_another_way() {
    let told = reason("class A { constructor(x) {} }", &[doubles([1.0])], DataType::Float64);
    assert!(told.contains("TypeError: Class constructor A cannot be invoked without 'new'"), "{told}");
    let error = call("new Proxy(x => x, { get() { throw 'no' } })", &[doubles([1.0])], DataType::Float64).unwrap_err();
    assert!(matches!(error.reason(), Reason::Script { .. }), "{error}");
}

#[test]
fn a_termination_before_a_call_is_an_error() {
    let mut isolate = isolate_builder().build().unwrap();
    let handle = isolate.thread_safe_handle();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let types = [DataType::Float64];
            let f = ScalarFunction::compile(scope, "f", "x => x", &types, DataType::Float64).unwrap();
            for _ in 0..10 {
                handle.terminate_execution();
                let error = f.call(scope, &[doubles([1.0])], 1).unwrap_err();
                assert!(error.is_terminated(), "{error}");
                handle.terminate_execution();
                let made = ScalarFunction::compile(scope, "g", "x => x", &types, DataType::Float64).map(|_| ());
                assert!(made.unwrap_err().is_terminated());
                handle.cancel_terminate_execution();
                assert_eq!(*f.call(scope, &[doubles([1.0])], 1).unwrap(), *doubles([1.0]));
            }
        });
    });
}

#[test]
fn a_function_that_outlives_its_isolate_does_nothing() {
    let mut isolate = isolate_builder().build().unwrap();
    let f = isolate.enter(|scope| {
        scope.with_v8(|scope| {
            ScalarFunction::compile(scope, "f", "x => x", &[DataType::Float64], DataType::Float64).unwrap()
        })
    });
    drop(isolate);
    assert_eq!(f.copied_bytes(), 0);
    drop(f);
}

#[test]
fn more_rows_than_a_batch_can_have_is_an_error() {
    in_v8(|scope| {
        let f = ScalarFunction::compile(scope, "f", "() => 1", &[], DataType::Float64).unwrap();
        for row_count in [(1 << 30) + 1, 1 << 31, 1 << 33, usize::MAX] {
            let told = f.call(scope, &[], row_count).unwrap_err().to_string();
            assert!(told.contains("rows is too large, it may have 1073741824"), "{told}");
        }
    });
}

#[test]
fn lists_of_a_batch_may_be_as_large_as_the_limit_on_buffers() {
    // 8 MB of lists, and what script leaves behind until V8 collects it.
    let mut isolate = isolate_builder().max_buffer_bytes(10 << 20).build().unwrap();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let list = DataType::List(Arc::new(Field::new("item", DataType::Float64, true)));
            let text = "x => new Float64Array(1000 + x % 2).fill(x)";
            let f = ScalarFunction::compile(scope, "f", text, &[DataType::Float64], list).unwrap();
            let rows = doubles((0..1000).map(f64::from));
            let lists = f.call(scope, &[rows], 1000).unwrap();
            let lists = lists.as_list::<i32>();
            for row in 0..1000 {
                let expected = vec![row as f64; 1000 + row % 2];
                let items = lists.value(row);
                assert_eq!(*items.as_primitive::<offheap_arrow::arrow_array::types::Float64Type>().values(), expected);
            }
            let told = f.call(scope, &[doubles((0..2000).map(f64::from))], 2000).unwrap_err();
            // Either the results find no room, or script's own array of that row.
            let row = match told.reason() {
                Reason::ResultsTooLarge { row } => *row,
                Reason::Script { row: Some(row), message, .. } if message.contains("allocation failed") => *row,
                _ => panic!("{told}"),
            };
            assert!(row >= 1000, "{told}");
            // What script asks for itself is an exception as ever.
            let text = "x => new Uint8Array(x)";
            let f = ScalarFunction::compile(scope, "f", text, &[DataType::Float64], DataType::Binary).unwrap();
            let told = f.call(scope, &[doubles([11.0 * 1024.0 * 1024.0])], 1).unwrap_err().to_string();
            assert!(told.contains("RangeError: Array buffer allocation failed"), "{told}");
            let bytes = f.call(scope, &[doubles([0.0, 3e6, 1.0, 3e5])], 4).unwrap();
            let lengths: Vec<_> = bytes.as_binary::<i32>().iter().map(|bytes| bytes.unwrap().len()).collect();
            assert_eq!(lengths, [0, 3_000_000, 1, 300_000]);
        });
    });
}
