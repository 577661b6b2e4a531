//! The loop in script over the rows of a batch, around the function of a user.

use std::fmt::Write;

/// A script of this crate that makes loops. Its value is a function of the user's function, which returns a list of the loop and of
/// its [report](REPORT). It runs before any text of a user, so it has V8's own functions, whatever script replaces later. It is
/// strict, so that `caller` and `arguments` of functions do not show its memory to script.
///
/// `parameters` are those of the loop after the number of rows `n`, the validity bits `V` and the index `B` of the first of them.
/// `body` is what it does for row `i`.
pub(crate) fn script(parameters: &str, body: &str) -> String {
    let mut text = String::from("(() => { 'use strict';\n");
    text.push_str("return (f) => {\nlet row = 0, wrong;\n");
    let _ = write!(text, "const run = (n, V, B{parameters}) => {{\nlet i = 0;\ntry {{\n");
    let _ = writeln!(text, "if (V === undefined) {{ for (; i < n; i++) {{ {body} }} }}");
    let _ = writeln!(
        text,
        "else {{ for (; i < n; i++) {{ const b = i + B; if ((V[b >> 3] >> (b & 7)) & 1) {{ {body} }} }} }}"
    );
    text.push_str("} finally { row = i; }\nreturn true;\n};\n");
    text.push_str("return [run, () => { const w = wrong; wrong = undefined; return [row, w]; }];\n};\n})()");
    text
}

/// What a loop does with a result that does not belong to the type: it ends.
pub(crate) const WRONG: &str = "{ wrong = r; return false; }";

/// The number of rows that one batch may have. Bits are counted in 32 bits.
pub(crate) const MAX_ROW_COUNT: usize = 1 << 30;
