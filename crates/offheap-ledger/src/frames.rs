//! The names of frames, from the program's debug information.

use offheap::observe::ScriptFrame;
use offheap_report::format::Frame;

/// The frames of these return addresses, the innermost first. An address has several frames if functions are inlined there.
///
/// It begins in the code that called this project: its own frames at the start, from that call to the ledger, are left out. The
/// functions of `script` are where the engine that ran them is.
pub(crate) fn resolve(addresses: &[usize], script: &[ScriptFrame]) -> Vec<Frame> {
    let mut frames = of_addresses(addresses);
    if !script.is_empty() {
        put_script(&mut frames, script);
    }
    // What std does before `main` or a thread's function says nothing.
    let starts =
        |frame: &Frame| frame.function.as_deref().is_some_and(|name| name.ends_with("__rust_begin_short_backtrace"));
    if let Some(start) = frames.iter().position(starts) {
        frames.truncate(start);
        frames.truncate(frames.iter().rposition(|frame| !is_of(frame, &BETWEEN)).map_or(start, |last| last + 1));
    }
    // A program that consists of our frames, a test of the ledger for example, keeps them.
    frames
}

/// The frames of native code.
fn of_addresses(addresses: &[usize]) -> Vec<Frame> {
    let mut frames = Vec::new();
    // How many frames at the start are ours, as long as nothing else was found.
    let mut own = Some(0);
    for &address in addresses {
        let before = frames.len();
        // The call is before the place to which it returns.
        backtrace::resolve((address - 1) as *mut _, |symbol| {
            let function = symbol.name().map(|name| without_arguments(format!("{name:#}")));
            let site = symbol.filename().map(|file| match (symbol.lineno(), symbol.colno()) {
                (Some(line), Some(column)) => format!("{}:{line}:{column}", file.display()),
                (Some(line), None) => format!("{}:{line}", file.display()),
                (None, _) => file.display().to_string(),
            });
            frames.push(Frame { function, site, address: None });
        });
        if frames.len() == before {
            frames.push(Frame { address: Some(address as u64), ..Frame::default() });
        }
        if let Some(count) = &mut own {
            // The last of them is the function itself, the others are inlined in it.
            let group = &frames[before..];
            let is_ours = group.last().is_some_and(|frame| is_of(frame, &OURS));
            match is_ours || group.last().is_some_and(|frame| is_of(frame, &BETWEEN)) {
                true if is_ours => *count = frames.len(),
                true => {}
                false => {
                    let inlined = group.iter().rposition(|frame| is_of(frame, &OURS));
                    *count = inlined.map_or(*count, |last| before + last + 1);
                    let count = *count;
                    frames.drain(..count);
                    own = None;
                }
            }
        }
    }
    frames
}

/// Puts the functions of script where the engine that runs them is, instead of the engine's own frames, and of ours around them.
fn put_script(frames: &mut Vec<Frame>, script: &[ScriptFrame]) {
    // Machine code that an engine made has no name.
    let is_others = |frame: &Frame| frame.function.is_none() || is_of(frame, &OURS) || is_of(frame, &BETWEEN);
    let is_users = |frame: &Frame| !is_others(frame) && !is_engines(frame);
    // The native function that script called, if there is one.
    let inner = frames.iter().take_while(|frame| is_users(frame)).count();
    let engine = frames.iter().rposition(is_engines).unwrap_or(inner).max(inner);
    let outer = frames[engine..].iter().position(is_users).map_or(frames.len(), |at| engine + at);
    let script = script.iter().map(|frame| Frame {
        function: Some(frame.function).filter(|name| !name.is_empty()).map(str::to_owned),
        site: Some(frame.at.to_string()),
        address: None,
    });
    frames.splice(inner..outer, script);
}

/// Whether this is a function of QuickJS or V8.
fn is_engines(frame: &Frame) -> bool {
    let starts = |start: &&str| frame.function.as_ref().is_some_and(|function| function.starts_with(*start));
    ["JS_", "js_", "__JS_", "v8::", "Builtins_", "_ZN2v8"].iter().any(starts)
}

/// The name of a function without the types that it was made for: `enter` instead of `enter<Vec<u8>, ..>`.
fn without_arguments(mut function: String) -> String {
    if function.ends_with('>') && !function.starts_with('<') {
        function.truncate(function.find('<').expect("there is one that ends"));
    }
    function
}

/// The crates of this project.
const OURS: [&str; 8] = [
    "offheap",
    "offheap_cli",
    "offheap_engine",
    "offheap_ledger",
    "offheap_model",
    "offheap_quickjs",
    "offheap_run",
    "offheap_v8",
];
/// The crates of helpers that stand between two functions of ours.
const BETWEEN: [&str; 5] = ["core", "std", "alloc", "rquickjs_core", "v8"];

/// Whether a function is of one of these crates: `offheap::store::..`, or `<offheap::store::.. as ..>::..`. The name of a
/// generic function has no crate, but its file has.
fn is_of(frame: &Frame, crates: &[&str]) -> bool {
    let function = frame.function.as_deref().unwrap_or_default().trim_start_matches(['<', '&']);
    let function = function.strip_prefix("dyn ").unwrap_or(function);
    if function == "__rust_try" {
        return crates.contains(&"std");
    }
    if let Some((name, _)) = function.split_once("::") {
        return crates.contains(&name);
    }
    // `crates/offheap-engine/src/..`, `rquickjs-core-0.14.0/src/..`, `/rustc/../library/core/src/..`
    let folders = frame.site.as_deref().unwrap_or_default().split(['/', '\\']);
    let before_src = folders.clone().zip(folders.skip(1)).filter(|(_, next)| *next == "src");
    before_src.last().is_some_and(|(folder, _)| {
        // A folder of a registry ends with the version.
        let digit = |at: &usize| folder[at + 1..].starts_with(|next: char| next.is_ascii_digit());
        let end = folder.match_indices('-').map(|(at, _)| at).find(digit);
        let name = folder[..end.unwrap_or(folder.len())].replace('-', "_");
        crates.contains(&&*name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_of_a_function_is_the_first_name_in_it() {
        let frame = |function: &str| Frame { function: Some(function.into()), ..Frame::default() };
        assert!(is_of(&frame("offheap::store::BackingStore::from_owner"), &OURS));
        assert!(is_of(&frame("<offheap_engine::Scope<H> as offheap::Any>::any"), &OURS));
        assert!(!is_of(&frame("offheap_user::main"), &OURS));
        assert!(!is_of(&frame("main"), &OURS));
        assert!(is_of(&frame("<&dyn core::ops::Fn<(), Output = i32> as core::ops::FnOnce<()>>::call_once"), &BETWEEN));
        assert!(is_of(&frame("core::result::Result<T,E>::and_then"), &BETWEEN));
    }

    #[test]
    fn functions_of_script_stand_for_the_engine_that_runs_them() {
        let native = |function: &str| Frame { function: Some(function.into()), ..Frame::default() };
        let script = offheap::adapter::script_frame("load", "app.js", 3, 7);
        let unnamed = offheap::adapter::script_frame("", "app.js", 9, 1);
        let put = |functions: &[&str]| {
            let mut frames: Vec<Frame> = functions.iter().map(|function| native(function)).collect();
            frames.insert(frames.len() / 2, Frame { address: Some(7), ..Frame::default() });
            put_script(&mut frames, &[script, unnamed]);
            frames.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let ran = put(&[
            "mine::read",
            "core::ops::call",
            "js_call_c_function",
            "JS_CallInternal",
            "offheap::x",
            "mine::main",
        ]);
        assert_eq!(ran, ["mine::read", "load (app.js:3:7)", "app.js:9:1", "mine::main"]);
        let ran = put(&["rquickjs_core::call", "JS_Call", "offheap_run::run"]);
        assert_eq!(ran, ["load (app.js:3:7)", "app.js:9:1"]);
    }

    #[test]
    fn the_types_that_a_function_was_made_for_are_left_out() {
        assert_eq!(without_arguments("enter<offheap::Any, Vec<u8>>".into()), "enter");
        assert_eq!(without_arguments("<A as B>::c".into()), "<A as B>::c");
        assert_eq!(without_arguments("a::b".into()), "a::b");
    }

    #[test]
    fn a_generic_function_is_known_by_its_file() {
        let frame = |site: &str| Frame { function: Some("with_raw".into()), site: Some(site.into()), address: None };
        assert!(is_of(&frame("/home/me/offheap/crates/offheap/src/lend/hold.rs:159:9"), &OURS));
        assert!(is_of(&frame("/registry/src/index/offheap-engine-0.1.0/src/guards.rs:1:1"), &OURS));
        assert!(!is_of(&frame("/home/me/offheap/crates/offheap-quickjs/examples/grows.rs:1:1"), &OURS));
        assert!(!is_of(&frame("/home/me/offheap/src/../../mine/src/main.rs:1:1"), &OURS));
        assert!(is_of(&frame("/registry/src/index/v8-152.2.0/src/scope.rs:718:15"), &BETWEEN));
        assert!(is_of(&frame("/rustc/5980/library/std/src/thread/local.rs:513:12"), &BETWEEN));
    }
}
