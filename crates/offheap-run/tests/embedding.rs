//! What a program that embeds an engine gets from this crate, on each engine.
#![cfg(any(feature = "quickjs", feature = "v8"))]

use std::cell::RefCell;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::LazyLock;
use std::{fs, io};

use offheap::{MapMode, Mapped};
use offheap_ledger::{Ledger, Level};
use offheap_run::{NativeModule, Script, Scripts, Stream, Uncaught};

type Outcome = Result<(), Box<dyn Error>>;

/// A runner of any engine.
trait Runner {
    fn run(&mut self, script: &Script) -> Result<(), Uncaught>;
    /// Runs a script without the runner's help. Its value is a number.
    fn eval(&mut self, text: &str) -> Result<u32, offheap_engine::Error>;
}

impl<H: Scripts> Runner for offheap_run::Runner<H> {
    fn run(&mut self, script: &Script) -> Result<(), Uncaught> {
        offheap_run::Runner::run(self, script)
    }

    fn eval(&mut self, text: &str) -> Result<u32, offheap_engine::Error> {
        self.enter(|scope| scope.eval::<u32>(text))
    }
}

fn start<H: Scripts>(module: NativeModule) -> Result<Box<dyn Runner>, offheap_run::Error> {
    Ok(Box::new(offheap_run::Runner::<H>::new(module, H::Builder::default())?))
}

macro_rules! on_each_engine {
    ($($test:ident),* $(,)?) => {
        #[cfg(feature = "quickjs")]
        mod quickjs {
            $(#[test] fn $test() -> super::Outcome { super::$test(super::start::<offheap_quickjs::QuickJs>) })*
        }
        #[cfg(feature = "v8")]
        mod v8 {
            $(#[test] fn $test() -> super::Outcome { super::$test(super::start::<offheap_v8::V8>) })*
        }
    };
}

/// Makes a runner.
type Start = fn(NativeModule) -> Result<Box<dyn Runner>, offheap_run::Error>;

on_each_engine! {
    scripts_of_one_runner_share_their_globals,
    console_prints_where_the_program_says,
    a_line_that_cannot_be_printed_is_an_error_in_script,
    a_later_script_runs_after_one_that_failed,
    a_promise_is_reported_by_the_script_that_rejected_it,
    a_runner_ends_with_promises_that_nobody_asked_about,
    later_scripts_do_not_depend_on_what_script_replaced,
    modules_are_found_beside_the_script,
    a_text_that_parses_as_a_classic_script_is_one,
    a_later_map_replaces_one_of_the_same_name,
    a_second_free_is_refused_with_both_places,
    places_are_those_of_the_script,
}

fn ledger() -> &'static Ledger {
    static LEDGER: LazyLock<&'static Ledger> =
        LazyLock::new(|| offheap_ledger::install(Level::Sites).expect("no other observer is installed"));
    *LEDGER
}

/// The lines of a script's `console`.
type Lines = Rc<RefCell<Vec<(Stream, String)>>>;

fn module() -> (NativeModule, Lines) {
    let lines = Lines::default();
    let kept = Rc::clone(&lines);
    let module = NativeModule::new(ledger()).print_with(move |stream, line| {
        kept.borrow_mut().push((stream, line.to_owned()));
        Ok(())
    });
    (module, lines)
}

/// A folder for one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> io::Result<Self> {
        let thread = std::thread::current();
        let name = format!("offheap-run-{}-{name}-{:?}", std::process::id(), thread.id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, bytes)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn first_line(failed: Result<(), Uncaught>) -> String {
    failed.expect_err("the script fails").to_string().lines().next().unwrap_or_default().to_owned()
}

fn scripts_of_one_runner_share_their_globals(start: Start) -> Outcome {
    let (module, lines) = module();
    let mut runner = start(module)?;
    runner.run(&Script::new("a.js", "var memory = nativeModule.allocateMemory(3)"))?;
    runner.run(&Script::new("b.mjs", "console.log(memory.byteLength); await 1; nativeModule.free(memory)"))?;
    assert_eq!(runner.eval("+memory.freed")?, 1);
    assert_eq!(*lines.borrow(), [(Stream::Output, "3".to_owned())]);
    Ok(())
}

fn console_prints_where_the_program_says(start: Start) -> Outcome {
    let (module, lines) = module();
    let mut runner = start(module.arguments(["x"]))?;
    runner.run(&Script::new("a.js", "console.log(nativeModule.args[0]); console.error('a\\nb')"))?;
    assert_eq!(*lines.borrow(), [(Stream::Output, "x".to_owned()), (Stream::Error, "a\nb".to_owned())]);
    Ok(())
}

fn a_line_that_cannot_be_printed_is_an_error_in_script(start: Start) -> Outcome {
    let (module, _) = module();
    let mut runner = start(module.print_with(|_, _| Err(io::Error::other("there is no paper"))))?;
    let failed = runner.run(&Script::new("a.js", "console.log(1)"));
    assert_eq!(first_line(failed), "uncaught Error: console cannot write: there is no paper");
    Ok(())
}

fn a_later_script_runs_after_one_that_failed(start: Start) -> Outcome {
    let mut runner = start(module().0)?;
    let failed = runner.run(&Script::new("a.js", "var a = 1;\n  throw new TypeError('no')"));
    let text = failed.expect_err("it throws").to_string();
    assert!(text.starts_with("uncaught TypeError: no\n    at ") && text.contains("a.js:2:"), "{text}");
    let failed = runner.run(&Script::new("b.js", "let let"));
    assert!(first_line(failed).starts_with("uncaught SyntaxError: "));
    let failed = runner.run(&Script::new("c.mjs", "await new Promise(() => {})"));
    assert!(first_line(failed).starts_with("a top-level await never ended"));
    runner.run(&Script::new("d.js", "if (a !== 1) throw a"))?;
    Ok(())
}

fn a_promise_is_reported_by_the_script_that_rejected_it(start: Start) -> Outcome {
    let mut runner = start(module().0)?;
    let text = "Promise.reject(1).catch(() => {}); Promise.reject(2); Promise.reject(3)";
    assert_eq!(first_line(runner.run(&Script::new("a.js", text))), "uncaught 2");
    runner.run(&Script::new("b.js", "1"))?;
    assert_eq!(first_line(runner.run(&Script::new("c.js", "Promise.reject(4)"))), "uncaught 4");
    Ok(())
}

fn a_runner_ends_with_promises_that_nobody_asked_about(start: Start) -> Outcome {
    let mut runner = start(module().0)?;
    let text = "Promise.reject({ memory: nativeModule.allocateMemory(1), error: new Error() }); 1";
    assert_eq!(runner.eval(text)?, 1);
    drop(runner);
    Ok(())
}

fn later_scripts_do_not_depend_on_what_script_replaced(start: Start) -> Outcome {
    let mut runner = start(module().0)?;
    let text = "for (const name of ['Function', 'Error', 'nativeModule', 'Reflect', 'Promise', 'console'])
            globalThis[name] = () => { throw 'replaced' };
        Function.prototype = { __proto__: null };
        (() => {}).constructor.prototype.format = () => { throw 'replaced' };";
    runner.run(&Script::new("a.js", text))?;
    runner.run(&Script::new("b.mjs", "import { gc } from 'offheap'; gc(); export default 1"))?;
    // It looks like a module, whose variables would not be global.
    runner.run(&Script::new("c.js", "var c = 3 /*\nimport c\n*/"))?;
    assert_eq!(runner.eval("c")?, 3);
    let failed = runner.run(&Script::new("d.js", "null.x"));
    assert!(first_line(failed).starts_with("uncaught TypeError: "));
    Ok(())
}

fn modules_are_found_beside_the_script(start: Start) -> Outcome {
    let folder = Folder::new("modules")?;
    folder.write("b.mjs", "import { args } from 'offheap'; export const b = args[0]")?;
    let text = "import { b } from './b.mjs'; console.log(b, (await import('./b.mjs')).b)";
    let read = Script::read(folder.write("a.js", text)?)?;
    let (module, lines) = module();
    let mut runner = start(module.arguments(["x"]))?;
    runner.run(&read)?;
    // There is no file of this name.
    let name = folder.0.join("c.mjs").display().to_string();
    runner.run(&Script::new(name, "import { b } from './b.mjs'; console.log(b)"))?;
    let lines: Vec<String> = lines.borrow().iter().map(|(_, line)| line.clone()).collect();
    assert_eq!(lines, ["x x", "x"]);
    Ok(())
}

/// On QuickJS it was taken for a module where a line of it looked like one.
fn a_text_that_parses_as_a_classic_script_is_one(start: Start) -> Outcome {
    let mut runner = start(module().0)?;
    let text = "#!/usr/bin/env offheap\nwith ({ a: 1 }) globalThis.b = a;\n/*\nimport { c } from 'c'\n*/";
    runner.run(&Script::new("a.js", text))?;
    assert_eq!(runner.eval("b")?, 1);
    Ok(())
}

fn a_later_map_replaces_one_of_the_same_name(start: Start) -> Outcome {
    let folder = Folder::new("maps")?;
    let map = |text: &str| -> Result<Mapped, Box<dyn Error>> {
        Ok(Mapped::open(Path::new(&folder.write(text, text)?), MapMode::ReadOnly)?)
    };
    let module = module().0.mapped("a", map("first")?).mapped("b", map("other")?).mapped("a", map("second one")?);
    let mut runner = start(module)?;
    runner.run(&Script::new("a.js", "const { mapped: { a, b } } = nativeModule"))?;
    assert_eq!((runner.eval("a.byteLength")?, runner.eval("b.byteLength")?), (10, 5));
    Ok(())
}

fn a_second_free_is_refused_with_both_places(start: Start) -> Outcome {
    let (module, lines) = module();
    let text = "const memory = nativeModule.allocateMemory(1);\nnativeModule.free(memory);\n\
        try { nativeModule.free(memory) } catch ({ code, message }) { console.log(code, message) }";
    start(module)?.run(&Script::new("a.js", text))?;
    let said = lines.borrow()[0].1.clone();
    assert!(said.starts_with("DOUBLE_FREE ") && said.contains(" a.js:2:") && said.contains(" a.js:3:"), "{said}");
    Ok(())
}

/// Columns are counted in units of UTF-16 on each engine.
fn places_are_those_of_the_script(start: Start) -> Outcome {
    let mut runner = start(module().0)?;
    let failed = runner.run(&Script::new("a b.js", "function f() {\n  'é😀'; nothing\n}\nf()"));
    let text = failed.expect_err("it throws").to_string();
    assert_eq!(text.lines().nth(1), Some("    at f (a b.js:2:10)"), "{text}");
    Ok(())
}

#[test]
fn a_script_that_cannot_be_read_is_an_error() -> Outcome {
    use offheap_run::Error;
    let folder = Folder::new("unreadable")?;
    assert!(matches!(Script::read(&folder.0), Err(Error::Directory { path }) if path == folder.0));
    let bad = folder.write("a.js", b"\"\xff\"")?;
    assert!(matches!(Script::read(bad), Err(Error::NotUtf8 { at: 1, .. })));
    assert!(matches!(Script::read(folder.0.join("b.js")), Err(Error::Unreadable { .. })));
    Ok(())
}

#[cfg(feature = "quickjs")]
#[test]
fn a_runner_without_memory_for_the_functions_is_an_error() {
    let builder = offheap_quickjs::Isolate::builder().memory_limit(1);
    let failed = offheap_run::quickjs::Runner::new(module().0, builder).err();
    assert!(matches!(failed, Some(offheap_run::Error::Uncaught(_))), "{failed:?}");
}

#[cfg(feature = "v8")]
#[test]
fn a_full_heap_stops_one_script_and_not_the_next() -> Outcome {
    let builder = offheap_v8::Isolate::builder().heap_limits(1 << 20, 32 << 20);
    let mut runner = offheap_run::v8::Runner::new(module().0, builder)?;
    let failed = runner.run(&Script::new("a.js", "{ for (let all = [];;) all.push({}) }"));
    assert!(first_line(failed).starts_with("out of memory: V8's heap is full; "));
    runner.run(&Script::new("b.js", "1"))?;
    Ok(())
}

#[cfg(feature = "v8")]
#[test]
fn a_thread_that_terminates_script_is_not_called_a_full_heap() -> Outcome {
    use offheap_v8::ScopeExt;
    let mut isolate = offheap_v8::Isolate::new()?;
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            scope.terminate_execution();
            let stopped = offheap_run::v8::install(scope, module().0).unwrap_err();
            assert_eq!(stopped.to_string(), "execution was terminated");
            scope.cancel_terminate_execution();
        });
    });
    Ok(())
}

/// Each context has the state of its own module.
#[cfg(feature = "v8")]
#[test]
fn two_contexts_of_one_isolate_have_a_module_each() -> Outcome {
    use offheap_v8::{ScopeExt, v8};
    fn eval(scope: &mut v8::PinScope<'_, '_>, text: &str) -> Outcome {
        let text = v8::String::new(scope, text).ok_or("no memory")?;
        let script = v8::Script::compile(scope, text, None).ok_or("it does not parse")?;
        script.run(scope).ok_or("it throws")?;
        Ok(())
    }
    let mut isolate = offheap_v8::Isolate::new()?;
    isolate.enter(|scope| {
        scope.with_v8(|scope| -> Outcome {
            let mut contexts = Vec::new();
            for byte_length in [1, 2] {
                let (module, lines) = module();
                let context = v8::Context::new(scope, v8::ContextOptions::default());
                let scope = &mut v8::ContextScope::new(scope, context);
                offheap_run::v8::install(scope, module)?;
                eval(scope, &format!("const memory = nativeModule.allocateMemory({byte_length})"))?;
                contexts.push((byte_length, context, lines));
            }
            for (byte_length, context, lines) in contexts {
                let scope = &mut v8::ContextScope::new(scope, context);
                eval(scope, "console.log(nativeModule.arrayBuffer(memory).byteLength)")?;
                assert_eq!(*lines.borrow(), [(Stream::Output, byte_length.to_string())]);
            }
            Ok(())
        })
    })
}
