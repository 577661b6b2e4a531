//! An isolate that loads ES modules from the program's own table, and reports promises that nothing handles.

use offheap_v8::{Error, Isolate, ScopeExt};

const MODULES: [(&str, &str); 2] = [
    (
        "main",
        "import { squares } from 'squares'; globalThis.bytes = squares(4).buffer; Promise.reject('nobody catches this')",
    ),
    ("squares", "export const squares = (count) => Uint8Array.from({ length: count }, (_, index) => index * index)"),
];

/// The name of the module that `importer` means by `specifier`.
fn resolve(_importer: &str, specifier: &str) -> Result<String, String> {
    Ok(specifier.to_owned())
}

/// The text of a module.
fn read(name: &str) -> Result<String, String> {
    let found = MODULES.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| format!("there is no module {name}"))
}

fn main() -> Result<(), Error> {
    let builder = Isolate::builder().loader(resolve, read).rejection_tracker(|scope, _promise, reason, is_handled| {
        if !is_handled {
            eprintln!("rejected: {}", reason.to_rust_string_lossy(scope));
        }
    });
    builder.build()?.enter(|scope| {
        scope.evaluate_module("start", "import 'main'")?;
        let buffer = scope.eval_buffer("bytes")?;
        println!("the module's bytes: {:?}", &scope.bytes(&buffer)?[..]);
        Ok(())
    })
}
