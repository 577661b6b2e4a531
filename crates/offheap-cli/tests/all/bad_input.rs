//! Wrong usage and unreadable input: a line that says what to do, and exit status 2. Scripts that throw: status 1.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
#[cfg(feature = "v8")]
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::common::{Engine, Folder, QUICKJS, Ran};

const NOTHING: &str = "offheap: 0 stores, 0 B external, 0 leaked, 0 refused\n";

#[track_caller]
fn refused(folder: &Folder, arguments: &[&str], stderr: &str) {
    folder.offheap(arguments).expect(2, "", &format!("offheap: {stderr}\n"));
}

#[test]
fn a_script_that_cannot_be_read() {
    let folder = Folder::new(QUICKJS);
    refused(
        &folder,
        &["run", "missing.js"],
        "cannot read the script missing.js: No such file or directory (os error 2); check the name and the permissions",
    );
    fs::create_dir(folder.path("folder")).unwrap();
    refused(&folder, &["run", "folder"], "cannot read the script folder: it is a directory; name a file in it");
    folder.write("latin1.js", b"'\xe9'");
    refused(
        &folder,
        &["run", "latin1.js"],
        "cannot read the script latin1.js: byte 1 is not UTF-8; save the file as UTF-8",
    );
}

#[test]
fn an_engine_that_is_not_there() {
    let folder = Folder::new(QUICKJS);
    folder.write("a.js", "");
    #[cfg(not(feature = "v8"))]
    refused(
        &folder,
        &["run", "--engine", "v8", "a.js"],
        "this build has no V8; build it with the feature v8 (cargo build --release --features v8), or leave out --engine",
    );
    for wrong in [&["run", "--engine", "spidermonkey", "a.js"][..], &["run"], &["run", "--fast", "a.js"], &["walk"]] {
        assert_eq!(folder.offheap(wrong).status, Some(2), "{wrong:?}");
    }
    folder.offheap(&["run", "--engine", "quickjs", "a.js"]).expect(0, "", NOTHING);
}

#[test]
fn a_map_in_the_wrong_form() {
    let folder = Folder::new(QUICKJS);
    folder.write("a.js", "");
    folder.write("a.bin", "a");
    for form in ["log", "=a.bin", "log=", "log=:rw"] {
        refused(
            &folder,
            &["run", "--map", form, "a.js"],
            &format!(
                "cannot read --map {form}: write NAME=FILE:ro (or NAME=FILE), NAME=FILE:cow or NAME=FILE:rw, where script \
                 finds the file as nativeModule.mapped.NAME"
            ),
        );
    }
    refused(
        &folder,
        &["run", "--map", "log=a.bin", "--map", "log=a.bin", "a.js"],
        "two maps are named log; give each --map a name of its own",
    );
}

#[test]
fn a_map_of_what_cannot_be_mapped() {
    let folder = Folder::new(QUICKJS);
    folder.write("a.js", "");
    fs::create_dir(folder.path("folder")).unwrap();
    let cases = [
        ("missing", "No such file or directory (os error 2); check the name and the permissions"),
        #[cfg(target_os = "linux")]
        (
            "/proc/self/status",
            "the system makes it when it is read, so it has no length to map; copy it into a regular file first",
        ),
        // It has a length, and the system has no pages of it.
        #[cfg(target_os = "linux")]
        ("/sys/kernel/fscaps", "the system cannot map this file; copy it into a regular file first"),
        ("folder", "it is a directory; name a file in it"),
        ("/dev/null", "it is not a regular file; copy it into one first"),
    ];
    for (file, why) in cases {
        let map = format!("log={file}");
        refused(&folder, &["run", "--map", &map, "a.js"], &format!("cannot map {file}: {why}"));
    }
    // What follows a colon and is no mode belongs to the name of the file.
    folder.write("there:RW", "a");
    folder.run(&["--map", "log=there:RW", "a.js"]).expect(
        0,
        "",
        "offheap: 1 store, 1 B external, 0 leaked, 0 refused\n",
    );
    fs::create_dir(folder.path("a:b")).unwrap();
    for (file, hint) in [
        ("a.log:RW", "; the modes are :ro, :cow and :rw"),
        ("a:b/c", ""),
        ("a:b/c:", "; the modes are :ro, :cow and :rw"),
    ] {
        let map = format!("log={file}");
        let why = format!(
            "cannot map {file}: No such file or directory (os error 2); check the name and the permissions{hint}"
        );
        refused(&folder, &["run", "--map", &map, "a.js"], &why);
    }
    let unreadable = folder.write("unreadable", "a");
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything, so root runs this as nobody, with a binary that nobody may start.
    // A child copies it: written here it would be open for writing in whatever another test starts meanwhile, and busy.
    let binary = folder.path("offheap");
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_offheap")).arg(&binary).status().unwrap().success());
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(binary);
    command.args(["run", "--map", "log=unreadable", "a.js"]).current_dir(folder.path("."));
    if File::open(&unreadable).is_ok() {
        command.uid(65534).gid(65534);
    }
    let why = "offheap: cannot map unreadable: Permission denied (os error 13); check the name and the permissions\n";
    Ran::of(QUICKJS, &mut command).expect(2, "", why);
}

#[test]
fn one_file_rw_and_otherwise_at_once() {
    let folder = Folder::new(QUICKJS);
    folder.write("a.js", "");
    folder.write("a.bin", "a");
    let maps = |one: &str, other: &str| folder.run(&["--map", one, "--map", other, "a.js"]);
    let why = |requested, mapped| {
        format!(
            "offheap: cannot map a.bin: it is mapped {mapped} already and cannot be mapped {requested} at the same \
             time; use the same mode\n"
        )
    };
    maps("a=a.bin:rw", "b=a.bin").expect(2, "", &why("ro", "rw"));
    maps("a=a.bin:cow", "b=a.bin:rw").expect(2, "", &why("rw", "cow"));
    let two = |shared| format!("offheap: 2 stores ({shared} shared), 2 B external, 0 leaked, 0 refused\n");
    maps("a=a.bin", "b=a.bin:cow").expect(0, "", &two(1));
    maps("a=a.bin:rw", "b=a.bin:rw").expect(0, "", &two(2));
}

/// What a terminal would obey.
const EVIL: &str = "a\u{1b}[2J\u{9b}1m\rb\u{202e}";
const SHOWN: &str = "a\\x1b[2J\\x9b1m\\x0db\\u202e";

#[test]
fn c22_names_in_messages_do_nothing_to_a_terminal() {
    let folder = Folder::new(QUICKJS);
    let why = "No such file or directory (os error 2); check the name and the permissions";
    refused(&folder, &["run", EVIL], &format!("cannot read the script {SHOWN}: {why}"));
    refused(&folder, &["run", "a\noffheap: forged"], &format!("cannot read the script a\\noffheap: forged: {why}"));
    folder.write("a.js", "");
    let map = format!("{EVIL}=");
    let form = "write NAME=FILE:ro (or NAME=FILE), NAME=FILE:cow or NAME=FILE:rw, where script finds the file as \
         nativeModule.mapped.NAME";
    refused(&folder, &["run", "--map", &map, "a.js"], &format!("cannot read --map {SHOWN}=: {form}"));
    for wrong in [&["run", "--engine", EVIL][..], &["run", &format!("--{EVIL}"), "a.js"], &[EVIL]] {
        let ran = folder.offheap(wrong);
        assert!(ran.status == Some(2) && !ran.stderr.contains(['\u{1b}', '\u{9b}', '\r', '\u{202e}']), "{ran:?}");
    }
}

on_each_engine!(
    a_script_that_throws,
    c22_messages_of_script_do_nothing_to_a_terminal,
    c22_a_message_forges_no_line_of_the_command,
    c20_nothing_is_advised_by_the_text_of_a_message,
    a_promise_that_is_rejected_and_not_handled,
    a_throw_wins_over_memory_errors,
    a_script_that_does_not_parse,
    a_window_that_is_not_there,
    out_of_memory,
    a_file_cut_short_while_it_is_mapped,
    output_that_nobody_reads,
);

fn a_script_that_throws(engine: Engine) {
    let folder = Folder::new(engine);
    folder.script("function f() {\n  throw new RangeError('too far');\n}\nf();").expect(
        1,
        "",
        &format!("offheap: uncaught RangeError: too far\n    at f (a.js:2:⟦13|9⟧)\n    at ⟦<eval> (a.js:4:1)|a.js:4:1⟧\n{NOTHING}"),
    );
    folder.script("throw 5").expect(
        1,
        "",
        &format!("offheap: uncaught 5\n    at ⟦<eval> (a.js:1:7)|a.js:1:1⟧\n{NOTHING}"),
    );
    folder.script("\nthrow null").expect(
        1,
        "",
        &format!("offheap: uncaught null\n    at ⟦<eval> (a.js:2:7)|a.js:2:1⟧\n{NOTHING}"),
    );
    folder.script("throw { toString() { throw 1 } }").expect(
        1,
        "",
        &format!(
            "offheap: uncaught {{ toString: [Function: toString] }}\n    at ⟦<eval> (a.js:1:7)|a.js:1:1⟧\n{NOTHING}"
        ),
    );
    let ran = folder.script("function f() { f() }\nf()");
    let first = "offheap: uncaught RangeError: Maximum call stack size exceeded\n    at f (a.js:1:1";
    assert!(ran.status == Some(1) && ran.stderr.starts_with(first), "{ran:?}");
}

fn c22_messages_of_script_do_nothing_to_a_terminal(engine: Engine) {
    let folder = Folder::new(engine);
    let thrown = folder.script(format!("throw new Error('{}')", EVIL.replace('\r', "\\r")));
    assert!(thrown.stderr.starts_with(&format!("offheap: uncaught Error: {SHOWN}\n    at ")), "{thrown:?}");
    let text = folder.script(format!("Promise.reject('{}')", EVIL.replace('\r', "\\r")));
    assert!(text.stderr.starts_with(&format!("offheap: uncaught {SHOWN}\n")), "{text:?}");
    // What script prints is its own: a string as it is, and what is in something else as script would write it.
    let printed = folder.script("console.log('\\x1b[1mbold\\x1b[0m', ['\\x1b\\x7f'], new Error('\\x1b').message)");
    assert_eq!(printed.stdout, "\u{1b}[1mbold\u{1b}[0m [ \"\\u001b\\x7f\" ] \u{1b}\n");
    folder.write(EVIL, "nativeModule.allocateMemory(8);\nthrow new Error('why')");
    let ran = folder.run(&[EVIL]);
    assert!(ran.status == Some(1) && !ran.stderr.contains(['\u{1b}', '\u{9b}', '\r', '\u{202e}']), "{ran:?}");
}

fn c22_a_message_forges_no_line_of_the_command(engine: Engine) {
    let ran = Folder::new(engine).script("throw new Error('why\\n    at f (b.js:1:1)\\noffheap: 0 stores')");
    ran.expect(
        1,
        "",
        &format!(
            "offheap: uncaught Error: why\n    |     at f (b.js:1:1)\n    | offheap: 0 stores\n    \
             at ⟦<eval> (a.js:1:11)|a.js:1:7⟧\n{NOTHING}"
        ),
    );
}

/// An engine uses the same words for different mistakes, and script can throw them too.
fn c20_nothing_is_advised_by_the_text_of_a_message(engine: Engine) {
    let folder = Folder::new(engine);
    for (script, said) in [
        (
            "new Uint8Array(new ArrayBuffer(8), -8)",
            "RangeError: ⟦invalid array index|Start offset -8 is outside the bounds of the buffer⟧",
        ),
        ("new ArrayBuffer(-1)", "RangeError: ⟦invalid array index|Invalid array buffer length⟧"),
        (
            "new DataView(new ArrayBuffer(8)).getInt8(-1)",
            "RangeError: ⟦invalid array index|Offset is outside the bounds of the DataView⟧",
        ),
        (
            "Math.max(...Array(1e6).fill(0))",
            "⟦RangeError: too many arguments in function call (only 65535 allowed)|RangeError: Maximum call stack size exceeded⟧",
        ),
        ("throw new RangeError('invalid array buffer length')", "RangeError: invalid array buffer length"),
        ("throw new RangeError('Array buffer allocation failed')", "RangeError: Array buffer allocation failed"),
        ("throw 'InternalError: out of memory'", "InternalError: out of memory"),
    ] {
        let ran = folder.script(script);
        let first = ran.stderr.lines().next().unwrap();
        assert_eq!(first, format!("offheap: uncaught {}", engine.text(said)), "{script}");
    }
}

fn a_promise_that_is_rejected_and_not_handled(engine: Engine) {
    let folder = Folder::new(engine);
    let ran = folder.script("(async () => {\n  throw new Error('lost');\n})();\nconsole.log('goes on');");
    let first = engine.text(
        "offheap: uncaught Error: lost\n    at ⟦<anonymous> (a.js:2:13)|a.js:2:9⟧\n    at ⟦<eval> (a.js:3:1)|a.js:3:3⟧\n",
    );
    assert!(ran.stderr.starts_with(&first) && ran.stdout == "goes on\n" && ran.status == Some(1), "{ran:?}");
    let first = format!("offheap: uncaught 1\n⟦|    at a.js:1:9\n⟧{NOTHING}");
    folder.script("Promise.reject(1); Promise.reject(2)").expect(1, "", &first);
    let handled = "const lost = Promise.reject(1); Promise.resolve().then(() => lost.catch(() => {}));";
    folder.script(handled).expect(0, "", NOTHING);
    // The rejection says more than that nothing is left to run.
    let waits = folder.script("Promise.reject(1); await new Promise(() => {});");
    waits.expect(1, "", &first);
    let thrown = folder.script("throw 1; export {}");
    thrown.expect(1, "", &format!("offheap: uncaught 1\n⟦    at <anonymous> (a.js:1:7)\n|⟧{NOTHING}"));
}

fn a_throw_wins_over_memory_errors(engine: Engine) {
    let ran = Folder::new(engine).script("nativeModule.allocateMemory(8); throw 5");
    ran.expect(
        1,
        "",
        "offheap: uncaught 5\n    at ⟦<eval> (a.js:1:39)|a.js:1:33⟧\n\
         offheap: leak: 8 bytes at 0x…, allocated at a.js:1:14: never freed\n\
         offheap: 1 store, 8 B external, 1 leaked, 0 refused\n",
    );
}

fn a_script_that_does_not_parse(engine: Engine) {
    let folder = Folder::new(engine);
    let expected =
        "offheap: uncaught SyntaxError: ⟦unexpected token in expression|Unexpected token⟧⟦: | ⟧';'\n    at a.js:2:9\n";
    folder.script("let x;\nlet y = ;").expect(1, "", &format!("{expected}{NOTHING}"));
    // A module with a mistake is read as the module that it is.
    let expected = expected.replace("2:9", "3:9");
    folder.script("import 'offheap';\n\nlet y = ;").expect(1, "", &format!("{expected}{NOTHING}"));
}

fn a_window_that_is_not_there(engine: Engine) {
    let folder = Folder::new(engine);
    File::create(folder.path("large")).unwrap().set_len(5 << 30).unwrap();
    folder.write(
        "a.js",
        "for (const window of [[0, 2 ** 31], [], [2 ** 33], [0, 2 ** 40], [8, 2 ** 33], [3, 8], [-1], [0.5], ['1']]) {
           try { nativeModule.arrayBuffer(nativeModule.mapped.large, ...window); console.log('there is one') }
           catch (error) { console.log(String(error)) }
         }
         console.log(nativeModule.arrayBuffer(nativeModule.mapped.large, 8, 2 ** 31 - 1));",
    );
    folder.run(&["--map", "large=large", "a.js"]).expect(
        0,
        "⟦RangeError: QuickJS takes at most 2147483647 bytes in one ArrayBuffer, and this window has 2147483648; use \
         smaller ones: nativeModule.arrayBuffer(memory, offset, length)|there is one⟧\n\
         ⟦RangeError: QuickJS takes at most 2147483647 bytes in one ArrayBuffer, and this window has 5368709120; use \
         smaller ones: nativeModule.arrayBuffer(memory, offset, length)|there is one⟧\n\
         RangeError: offset 8589934592 is past the end of the memory, which has 5368709120 bytes; ask for less\n\
         RangeError: 1099511627776 bytes from 0 on end past the memory, which has 5368709120 bytes; ask for less\n\
         RangeError: 8589934592 bytes from 8 on end past the memory, which has 5368709120 bytes; ask for less\n\
         RangeError: a window begins at a multiple of 8, and 3 is not one; make one at 0, and new Uint8Array(buffer, 3) \
         over it\n\
         RangeError: offset is -1; pass a whole number of bytes, from 0 to 2 ** 53 - 1\n\
         RangeError: offset is 0.5; pass a whole number of bytes, from 0 to 2 ** 53 - 1\n\
         TypeError: offset is of type string; pass a number of bytes\n\
         ArrayBuffer { byteLength: 2147483647, immutable }\n",
        "offheap: 1 store, 5.0 GiB external, 0 leaked, 0 refused\n",
    );
}

/// On V8 a file beyond 2 GiB is one buffer, of which only what is used comes into memory.
#[cfg(feature = "v8")]
#[test]
fn v8_has_a_large_file_in_one_buffer() {
    let folder = Folder::new(crate::common::V8);
    let mut file = File::create(folder.path("large")).unwrap();
    file.set_len(5 << 30).unwrap();
    file.seek(SeekFrom::Start((5 << 30) - 3)).unwrap();
    file.write_all(b"end").unwrap();
    folder.write(
        "a.js",
        "const bytes = new Uint8Array(nativeModule.arrayBuffer(nativeModule.mapped.large));
         console.log(bytes.length, String.fromCharCode(...bytes.subarray(5 * 2 ** 30 - 3)), bytes[3 * 2 ** 30]);
         const held = nativeModule.externalizeBuffer(bytes);
         console.log(held.byteLength, held.read(5 * 2 ** 30 - 2));
         held.release();",
    );
    folder.run(&["--map", "large=large", "a.js"]).expect(
        0,
        "5368709120 end 0\n5368709120 Uint8Array(2) [ 110, 100 ]\n",
        "offheap: 1 store, 5.0 GiB external, 0 leaked, 0 refused\n",
    );
}

fn out_of_memory(engine: Engine) {
    let folder = Folder::new(engine);
    folder.script("nativeModule.allocateMemory(2 ** 53 - 1)").expect(
        1,
        "",
        &format!(
            "offheap: uncaught NativeMemoryError: cannot allocate 9007199254740991 bytes: out of memory; drop stores \
             that are no longer needed, or ask for less\n    at ⟦<eval> (a.js:1:39)|a.js:1:14⟧\n{NOTHING}"
        ),
    );
    folder.script("new ArrayBuffer(2 ** 40)").expect(
        1,
        "",
        &format!(
            "offheap: uncaught RangeError: ⟦invalid array buffer length|Array buffer allocation failed⟧\n    \
             at ⟦ArrayBuffer (native)|new ArrayBuffer (<anonymous>)⟧\n    at ⟦<eval> (a.js:1:5)|a.js:1:1⟧\n{NOTHING}"
        ),
    );
}

fn a_file_cut_short_while_it_is_mapped(engine: Engine) {
    let folder = Folder::new(engine);
    let path = folder.write("a.log", vec![b'x'; 1 << 20]);
    folder.write(
        "a.js",
        "const bytes = new Uint8Array(nativeModule.arrayBuffer(nativeModule.mapped.log));
         console.log('ready');
         for (;;) Atomics.load(bytes, bytes.length - 1); // A plain read whose value nobody needs may be left out.",
    );
    let mut command = folder.command(&["--map", "log=a.log", "a.js"]);
    command.current_dir(folder.path(""));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    OpenOptions::new().write(true).open(path).unwrap().set_len(10).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.starts_with("offheap: the file a.log was cut short while it was mapped"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
}

fn output_that_nobody_reads(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("a.js", "for (;;) console.log('again')");
    let mut command = folder.command(&["a.js"]);
    command.current_dir(folder.path("")).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
