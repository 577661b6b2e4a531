//! `cargo bench -p offheap-v8 --bench peers`: the cost of offheap on V8, compared with a careful program that uses the
//! crate `v8`. Prints rows of `what | ours | peer | ratio`, and writes `peers-v8.json` to the target directory. `--
//! TEXT` selects the rows whose names contain TEXT.

mod alloc;
mod bare;
mod call;
mod column;
mod expose;
mod externalize;
mod isolate;
mod threads;

use std::error::Error;

use benches::{Measure, run};

fn main() -> Result<(), Box<dyn Error>> {
    offheap_v8::start("")?;
    let all: [(&str, Measure); 9] = [
        ("v8_expose_64", |name| expose::expose(name, 64)),
        ("v8_expose_1m", |name| expose::expose(name, 1 << 20)),
        ("v8_expose_8_threads", threads::expose_64),
        ("v8_externalize_first", externalize::first),
        ("v8_externalize_again", externalize::again),
        ("v8_externalize_many", externalize::many),
        ("v8_function_call_bytes", call::call_bytes),
        ("v8_js_alloc_64", alloc::js_alloc_64),
        ("v8_column_f64", column::column_f64),
    ];
    run("peers-v8.json", &all, || Ok(()))
}
