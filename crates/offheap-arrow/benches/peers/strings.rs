//! Columns of strings.

use std::cell::RefCell;
use std::sync::Arc;

use benches::{Row, cpu_row};
use offheap_arrow::arrow_array::builder::StringBuilder;
use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::{ArrayRef, StringArray};
use offheap_arrow::arrow_schema::DataType;
use offheap_arrow::offheap_v8::v8;

use crate::{ROWS, Table, call, with_function};

fn names() -> Table {
    Table::new(|batch| {
        let rows = (0..ROWS).map(|row| Some(format!("a name of {:06}", (batch + row) % 1_000_000)));
        vec![Arc::new(rows.collect::<StringArray>())]
    })
}

/// Upper case of 16 ASCII bytes, next to Rust's into a `StringBuilder`.
pub(crate) fn upper_rust(name: &'static str) -> Row {
    let table = names();
    with_function("x => x.toUpperCase()", &table, DataType::Utf8, |scope, function| {
        let ours = || call(scope, function, table.next());
        cpu_row(name, 3.5, ours, || -> ArrayRef {
            let strings = table.next()[0].as_string::<i32>();
            let mut builder = StringBuilder::with_capacity(ROWS, strings.values().len());
            strings.iter().for_each(|string| builder.append_option(string.map(str::to_uppercase)));
            Arc::new(builder.finish())
        })
    })
}

/// Upper case of 16 ASCII bytes, next to what nobody can leave out who calls such a function for each row: `substring`, the call, and one
/// string of the results, which V8 makes flat. The peer takes no column and makes none.
pub(crate) fn upper_v8(name: &'static str) -> Row {
    let bare = "(() => {
        const text = 'a name of 012345'.repeat(8192), f = x => x.toUpperCase();
        return () => {
            let all = '';
            for (let i = 0; i < 8192; i++) all += f(text.substring(i * 16, i * 16 + 16));
            return all.charCodeAt(0);
        };
    })()";
    let table = names();
    with_function("x => x.toUpperCase()", &table, DataType::Utf8, |scope, function| {
        let source = v8::String::new(scope, bare).expect("a string");
        let bare = v8::Script::compile(scope, source, None).and_then(|script| script.run(scope));
        let bare = v8::Local::<v8::Function>::try_from(bare.expect("no throw")).expect("a function");
        let undefined = v8::undefined(scope).into();
        let scope = RefCell::new(scope);
        let ours = || call(&mut scope.borrow_mut(), function, table.next());
        cpu_row(name, 1.4, ours, || {
            let mut entered = scope.borrow_mut();
            v8::scope!(let scope, &mut **entered);
            bare.call(scope, undefined, &[]).expect("no throw").uint32_value(scope)
        })
    })
}
