//! Programs in the safe API of the crate `v8` that go wrong: `unsound-v8 NAME`. Each file says what it does, and what was
//! seen; `../check` runs them and looks for it.
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

/// Counts nothing but blocks that are freed with a wrong size.
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

/// V8 with the immutable buffers that its flag turns on, and without threads of its own.
fn start() {
    v8::V8::set_flags_from_string("--single-threaded --js-immutable-arraybuffer");
    v8::V8::initialize_platform(v8::new_single_threaded_default_platform(false).make_shared());
    v8::V8::initialize();
}

/// How often: with `FEW` in the environment less, for valgrind. A multiple of 64.
fn rounds(many: usize) -> usize {
    if std::env::var_os("FEW").is_some() { 640 } else { many }
}

/// Runs a script for its result.
fn eval<'s>(scope: &v8::PinScope<'s, '_>, source: &str) -> v8::Local<'s, v8::Value> {
    let source = v8::String::new(scope, source).unwrap();
    v8::Script::compile(scope, source, None).unwrap().run(scope).unwrap()
}
