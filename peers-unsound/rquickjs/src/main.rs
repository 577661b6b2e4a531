//! Programs in the safe API of rquickjs that go wrong: `unsound-rquickjs NAME`. Each file describes its program and the
//! observed fault; `../check` runs the programs and looks for the faults.
#![forbid(unsafe_code)]

mod atomics;
mod collects;
mod copy;
mod ctx;
mod leak;
mod runtimes;
mod text;
mod traces;

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    match &name[..] {
        "atomics" => atomics::main(),
        "collects" => collects::main(),
        "copy" => copy::main(),
        "ctx" => ctx::main(),
        "leak" => leak::main(),
        "runtimes" => runtimes::main(),
        "text" => text::main(),
        "traces" => traces::main(),
        _ => panic!("name one of the programs in src/: {name:?} is none"),
    }
    println!("ended");
}

/// A context in a new runtime.
fn context() -> rquickjs::Context {
    rquickjs::Context::full(&rquickjs::Runtime::new().unwrap()).unwrap()
}
