//! Programs in the safe API of the crate `v8` that go wrong: `unsound-v8 NAME`. Each file describes its program and the
//! observed fault; `../check` runs the programs and looks for the faults.
#![forbid(unsafe_code)]

mod borrowed;
mod contents;
mod immutable;
mod leak;
mod mixed;
mod race;
mod rc;
mod resize;
mod swap;
mod wrong_size;

/// Counts only blocks that are freed with a wrong size.
#[global_allocator]
static SIZES: sizes::Sizes = sizes::Sizes;

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    match &name[..] {
        "borrowed" => borrowed::main(),
        "contents" => contents::main(),
        "immutable" => immutable::main(),
        "leak" => leak::main(),
        "mixed" => mixed::main(),
        "race" => race::main(),
        "rc" => rc::main(),
        "resize" => resize::main(),
        "swap" => swap::main(),
        "wrong_size" => wrong_size::main(),
        _ => panic!("name one of the programs in src/: {name:?} is none"),
    }
    println!("ended");
}

/// V8 with immutable buffers, which its flag turns on, and without its own threads.
fn start() {
    v8::V8::set_flags_from_string("--single-threaded --js-immutable-arraybuffer");
    v8::V8::initialize_platform(v8::new_single_threaded_default_platform(false).make_shared());
    v8::V8::initialize();
}

/// The number of repetitions, a multiple of 64. It is smaller if `FEW` is set in the environment, for valgrind.
fn rounds(many: usize) -> usize {
    if std::env::var_os("FEW").is_some() { 640 } else { many }
}

/// Runs a script and returns its result.
fn eval<'s>(scope: &v8::PinScope<'s, '_>, source: &str) -> v8::Local<'s, v8::Value> {
    let source = v8::String::new(scope, source).unwrap();
    v8::Script::compile(scope, source, None).unwrap().run(scope).unwrap()
}
