//! Places: where the command says that something was allocated, freed or thrown.

use crate::common::{Engine, Folder, QUICKJS};

const NOTHING: &str = "offheap: 0 stores, 0 B external, 0 leaked, 0 refused\n";

on_each_engine!(
    c21_a_file_may_have_any_name,
    c21_a_function_s_name_is_no_place,
    c21_what_an_isolate_replaces_has_no_frames,
    c21_columns_count_units_of_utf_16_on_each_line,
    c21_what_is_thrown_and_no_error_has_a_place,
    c21_stacks_that_script_makes_are_script_s,
);

fn c21_a_file_may_have_any_name(engine: Engine) {
    let folder = Folder::new(engine);
    for name in ["b c (1).js", "a at b (c.js:1:1).js", "a:1:2.js", "ä ö.js"] {
        folder.write(name, "nativeModule.allocateMemory(8);\n  throw new Error('why');");
        folder.run(&[name]).expect(
            1,
            "",
            &format!(
                "offheap: uncaught Error: why\n    at ⟦<eval> ({name}:2:13)|{name}:2:9⟧\n\
                 offheap: leak: 8 bytes at 0x…, allocated at {name}:1:14: never freed\n\
                 offheap: 1 store, 8 B external, 1 leaked, 0 refused\n"
            ),
        );
    }
}

fn c21_a_function_s_name_is_no_place(engine: Engine) {
    let folder = Folder::new(engine);
    for (name, shown) in [
        ("f\\n    at g (forged.js:1:1)", "\"f\\n    at g (forged.js:1:1)\""),
        ("f (forged.js:1:1)", "\"f (forged.js:1:1)\""),
        ("\\x1b[2J\\u2028", "\\x1b[2J\\u2028"),
    ] {
        let script = format!(
            "const f = () => {{ nativeModule.allocateMemory(8); return new Error('why') }};\n\
             Object.defineProperty(f, 'name', {{ value: '{name}' }});\n\
             const e = f();\n\
             console.log(e);\n\
             throw e;"
        );
        let frames = format!("    at {shown} (a.js:1:⟦62|58⟧)\n    at ⟦<eval> (a.js:3:11)|a.js:3:11⟧\n");
        folder.script(script).expect(
            1,
            &format!("Error: why\n{frames}"),
            &format!(
                "offheap: uncaught Error: why\n{frames}\
                 offheap: leak: 8 bytes at 0x…, allocated at a.js:1:32: never freed\n\
                 offheap: 1 store, 8 B external, 1 leaked, 0 refused\n"
            ),
        );
    }
}

fn c21_what_an_isolate_replaces_has_no_frames(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("a.bin", "0123456789");
    folder.write(
        "a.js",
        "const bytes = new Uint8Array(nativeModule.arrayBuffer(nativeModule.mapped.a));
         try { Atomics.store(bytes, 0, 1) } catch (error) { console.log(error.stack.includes('eval_script'), error) }
         Atomics.store(bytes, 0, { valueOf() { nativeModule.allocateMemory(8); return 1 } });",
    );
    let ran = folder.run(&["--map", "a=a.bin", "a.js"]);
    assert!(ran.status == Some(1) && ran.stdout.starts_with("false TypeError: "), "{ran:?}");
    for text in [&ran.stdout, &ran.stderr] {
        let frames: Vec<&str> = text.lines().filter(|line| line.starts_with("    at ")).collect();
        let is_own = |frame: &&str| frame.contains("eval_script") || frame.contains("offheap:");
        assert!(!frames.is_empty() && !frames.iter().any(is_own), "{ran:?}");
    }
}

fn c21_columns_count_units_of_utf_16_on_each_line(engine: Engine) {
    let folder = Folder::new(engine);
    let throws = "'äö€😀'; nativeModule.free(1)";
    for before in ["", "\n", "\r\n/* ä */", "// ü\n\u{2028}"] {
        let ran = folder.script(format!("{before}{throws}"));
        let column = 14 + 9 + before.rsplit(['\n', '\u{2028}']).next().unwrap().chars().count();
        let line = 1 + before.chars().filter(|&character| matches!(character, '\n' | '\u{2028}')).count();
        let place = format!("⟦<eval> (a.js:{line}:{column})|a.js:{line}:{column}⟧\n");
        let why = "offheap: uncaught TypeError: free: expected memory, as allocateMemory returns it and nativeModule.mapped \
                   has it\n";
        assert_eq!(ran.stderr, engine.text(&format!("{why}    at {place}{NOTHING}")), "{before:?}");
    }
    folder.script("'ä'; nativeModule.allocateMemory(8)").expect(
        3,
        "",
        "offheap: leak: 8 bytes at 0x…, allocated at a.js:1:19: never freed\n\
         offheap: 1 store, 8 B external, 1 leaked, 0 refused\n",
    );
    let parsed = folder.script("'ä'; let let");
    assert!(parsed.stderr.contains("\n    at a.js:1:10\n"), "{parsed:?}");
    folder.write("b.mjs", "'ä'; export const f = () => nativeModule.free(1);");
    let imported = folder.script("import { f } from './b.mjs';\nf()");
    assert!(imported.stderr.contains(" (b.mjs:1:42)\n"), "{imported:?}");
}

fn c21_what_is_thrown_and_no_error_has_a_place(engine: Engine) {
    let folder = Folder::new(engine);
    let frames =
        |line, column, v8| format!("    at ⟦f (a.js:{line}:{column})\n    at <eval> (a.js:2:1)|a.js:{line}:{v8}⟧\n");
    for (thrown, shown) in [("'text'", "text"), ("{ a: 1 }", "{ a: 1 }"), ("undefined", "undefined")] {
        folder.script(format!("function f() {{ throw {thrown} }}\nf()")).expect(
            1,
            "",
            &format!("offheap: uncaught {shown}\n{}{NOTHING}", frames(1, 22, 16)),
        );
    }
    // What was caught before has nothing to do with it. V8 knows where a promise was rejected.
    let again = folder.script("try { throw 5 } catch {}\nPromise.reject(5)");
    again.expect(1, "", &format!("offheap: uncaught 5\n⟦|    at a.js:2:9\n⟧{NOTHING}"));
    let later = folder.script("async function f() {\n  await null; throw 'late' }\nf()");
    later.expect(1, "", &format!("offheap: uncaught late\n⟦|    at a.js:2:15\n⟧{NOTHING}"));
}

fn c21_stacks_that_script_makes_are_script_s(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const old = Error.prepareStackTrace;
         Error.prepareStackTrace = (error, sites) => [error.message, sites.length, sites[0].getLineNumber()];
         const made = new Error('why').stack;
         console.log(Array.isArray(made), String(made));
         Error.prepareStackTrace = old;
         const target = {};
         Error.captureStackTrace(target);
         console.log(target.stack.includes('a.js:7:'), new Error('x').stack.includes('a.js:8:'));
         const overflow = (() => { const f = () => f() + 1; try { f() } catch (error) { return error } })();
         console.log(typeof overflow.stack, overflow.stack.includes('at f (a.js:9:'));",
    );
    ran.expect(0, "true why,1,3\ntrue true\nstring true\n", NOTHING);
}

/// QuickJS lets go of a buffer at once, and an error that lives on is no reason to keep it.
#[test]
fn c21_an_error_keeps_no_function_of_its_stack_alive() {
    let ran = Folder::new(QUICKJS).script(
        "const memory = nativeModule.allocateMemory(8);
         let error;
         (() => {
           const buffer = nativeModule.arrayBuffer(memory);
           (function inner() { buffer; error = new Error('why') })();
         })();
         nativeModule.free(memory);
         console.log(error);",
    );
    ran.expect(
        0,
        "Error: why\n    at inner (a.js:5:52)\n    at <anonymous> (a.js:5:65)\n    at <eval> (a.js:6:10)\n",
        "offheap: 1 store, 8 B external, 0 leaked, 0 refused\n",
    );
}
