//! `nativeModule`, `console` and ES modules on QuickJS.

mod columns;
mod frames;
mod functions;
mod modules;
mod realm;
mod rejections;
mod uncaught;

use std::rc::Rc;

use offheap_quickjs::rquickjs::Ctx;
use offheap_quickjs::{Isolate, QuickJs};

use crate::glue::Limits;
use crate::{Error, NativeModule, Script, Uncaught};

/// What QuickJS asks of a buffer.
const LIMITS: Limits =
    Limits { engine: "QuickJS", max_byte_length: i32::MAX as usize, alignment: 8, resizes_any_memory: true };

/// An isolate whose scripts have `nativeModule`, `console`, and ES modules from files.
///
/// ```
/// use offheap_ledger::Level;
/// use offheap_quickjs::Isolate;
/// use offheap_run::quickjs::Runner;
/// use offheap_run::{NativeModule, Script};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let module = NativeModule::new(offheap_ledger::install(Level::Sites)?).arguments(["4"]);
/// let mut runner = Runner::new(module, Isolate::builder().memory_limit(64 << 20))?;
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
pub type Runner = crate::Runner<QuickJs>;

/// Runs a script to its end in an isolate of its own, in which it may
/// [block](offheap_quickjs::IsolateBuilder::can_block), and ends the isolate.
///
/// # Errors
/// [`Error::Isolate`] where the engine does not start, and [`Error::Uncaught`] where the script fails.
pub fn run(module: NativeModule, script: &Script) -> Result<(), Error> {
    let mut runner = Runner::new(module, Isolate::builder().can_block(true))?;
    Ok(runner.run(script)?)
}

/// Defines the globals `nativeModule` and `console` in a context of the program's own. The stacks of errors are those
/// of [`Runner`], too.
///
/// Call it once, before any other script: what is installed trusts the built-in functions that it finds.
///
/// ```
/// use offheap_ledger::Level;
/// use offheap_quickjs::{Isolate, ScopeExt};
/// use offheap_run::{NativeModule, quickjs};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let module = NativeModule::new(offheap_ledger::install(Level::Sites)?);
/// let mut isolate = Isolate::new()?;
/// isolate.enter(|scope| scope.with_ctx(|ctx| quickjs::install(&ctx, module)))?;
/// let length = isolate.enter(|scope| {
///     scope.eval::<u32>("const memory = nativeModule.allocateMemory(4); nativeModule.arrayBuffer(memory).byteLength")
/// })?;
/// assert_eq!(length, 4);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// QuickJS has no memory for it.
pub fn install(ctx: &Ctx<'_>, module: NativeModule) -> Result<(), Uncaught> {
    match functions::install(ctx, module, &Rc::default()) {
        Ok(_) => Ok(()),
        Err(error) => Err(uncaught::describe_unaided(ctx, error)),
    }
}
