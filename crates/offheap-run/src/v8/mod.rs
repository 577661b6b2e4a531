//! `nativeModule`, `console` and ES modules on V8.

mod callbacks;
mod frames;
mod functions;
mod modules;
mod realm;
mod rejections;
mod uncaught;
mod waits;

use offheap_v8::{Isolate, V8, v8};

use crate::glue::Limits;
use crate::{Error, NativeModule, Script, Uncaught};

/// What V8 asks of a buffer.
const LIMITS: Limits = Limits { engine: "V8", max_byte_length: (1 << 53) - 1, alignment: 8, resizes_any_memory: false };

/// An isolate whose scripts have `nativeModule`, `console`, and ES modules from files.
///
/// ```
/// use offheap_ledger::Level;
/// use offheap_run::v8::Runner;
/// use offheap_run::{NativeModule, Script};
/// use offheap_v8::Isolate;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let module = NativeModule::new(offheap_ledger::install(Level::Sites)?).arguments(["4"]);
/// let mut runner = Runner::new(module, Isolate::builder().heap_limits(1 << 20, 64 << 20))?;
/// let script = r#"
///     import { allocateMemory, arrayBuffer, args, detach, free } from "offheap";
///     const memory = allocateMemory(Number(args[0]));
///     const buffer = arrayBuffer(memory);
///     globalThis.sum = new Uint8Array(buffer).fill(7).reduce((a, b) => a + b);
///     detach(buffer);
///     free(memory);
/// "#;
/// runner.run(&Script::new("main.mjs", script))?;
/// assert_eq!(runner.enter(|scope| scope.eval::<u32>("sum"))?, 28);
/// # Ok(())
/// # }
/// ```
pub type Runner = crate::Runner<V8>;

/// Runs a script to its end in an isolate of its own, and ends the isolate. The buffers that script makes are
/// [V8's own](offheap_v8::IsolateBuilder::v8_allocator), so that the ledger counts only memory that native code has to do with.
///
/// # Errors
/// [`Error::Isolate`] where the engine does not start, and [`Error::Uncaught`] where the script fails.
pub fn run(module: NativeModule, script: &Script) -> Result<(), Error> {
    let mut runner = Runner::new(module, Isolate::builder().v8_allocator())?;
    Ok(runner.run(script)?)
}

/// Defines the globals `nativeModule` and `console` in the context of the program's own scope. The stacks of errors are
/// those of [`Runner`], too.
///
/// Call it once in a context, before any other script: what is installed trusts the built-in functions that it finds.
///
/// ```
/// use offheap_ledger::Level;
/// use offheap_run::NativeModule;
/// use offheap_v8::{Isolate, ScopeExt};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let module = NativeModule::new(offheap_ledger::install(Level::Sites)?);
/// let mut isolate = Isolate::new()?;
/// isolate.enter(|scope| scope.with_v8(|scope| offheap_run::v8::install(scope, module)))?;
/// let length = isolate.enter(|scope| {
///     scope.eval::<u32>("const memory = nativeModule.allocateMemory(4); nativeModule.arrayBuffer(memory).byteLength")
/// })?;
/// assert_eq!(length, 4);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// V8 has no memory for it.
pub fn install(scope: &mut v8::PinScope<'_, '_>, module: NativeModule) -> Result<(), Uncaught> {
    uncaught::catching(scope, None, |scope| functions::install(scope, module)).map(drop)
}
