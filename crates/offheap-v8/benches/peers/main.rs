//! `cargo bench -p offheap-v8 --bench peers`: what offheap costs on V8 beside what a careful program does with the crate
//! `v8`, as `what | ours | peer | ratio`; and `peers-v8.json` in the target directory. With `-- TEXT` only the rows whose
//! names have TEXT in them.

mod alloc;
mod bare;
mod column;
mod expose;
mod externalize;
mod isolate;

use std::error::Error;

use benches::{Measure, run};

fn main() -> Result<(), Box<dyn Error>> {
    offheap_v8::start("")?;
    let all: [(&str, Measure); 6] = [
        ("v8_expose_64", |name| expose::expose(name, 64)),
        ("v8_expose_1m", |name| expose::expose(name, 1 << 20)),
        ("v8_externalize_first", externalize::first),
        ("v8_externalize_again", externalize::again),
        ("v8_js_alloc_64", alloc::js_alloc_64),
        ("v8_column_f64", column::column_f64),
    ];
    run("peers-v8.json", &all, || Ok(()))
}
