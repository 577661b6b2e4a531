//! The loop in script over the rows of a batch, around the function of a user.

use std::cell::Cell;

use offheap_v8::v8;

use super::error::Reason;
use super::script::{self, FAILED};

/// V8's own functions, under the names by which the loops know them.
const BUILT_INS: [(&str, &str); 22] = [
    ("I8", "Int8Array"),
    ("U8", "Uint8Array"),
    ("I16", "Int16Array"),
    ("U16", "Uint16Array"),
    ("I32", "Int32Array"),
    ("U32", "Uint32Array"),
    ("I64", "BigInt64Array"),
    ("F32", "Float32Array"),
    ("F64", "Float64Array"),
    ("substring", "Function.prototype.call.bind(String.prototype.substring)"),
    ("asIntN", "BigInt.asIntN"),
    ("isView", "ArrayBuffer.isView"),
    ("isArray", "Array.isArray"),
    ("Proxy", "Proxy"),
    ("TypeError", "TypeError"),
    ("setPrototypeOf", "Object.setPrototypeOf"),
    ("max", "Math.max"),
    ("min", "Math.min"),
    ("clz32", "Math.clz32"),
    // The getters of what all typed arrays have in common.
    (
        "tagOf",
        "Function.prototype.call.bind(Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), \
         Symbol.toStringTag).get)",
    ),
    (
        "byteLength",
        "Function.prototype.call.bind(Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), \
         'byteLength').get)",
    ),
    ("sourceOf", "Function.prototype.call.bind(Function.prototype.toString)"),
];

/// V8's own functions in the entered context. They are taken before any text of a user runs, so it does not matter what script
/// replaces later.
pub(crate) struct BuiltIns<'s>(Vec<v8::Local<'s, v8::Value>>);

impl<'s> BuiltIns<'s> {
    pub(crate) fn take(scope: &mut v8::PinScope<'s, '_>) -> Result<Self, Reason> {
        let list = script::run_own(scope, &format!("[{}]", BUILT_INS.map(|(_, value)| value).join(", ")))?;
        let list = v8::Local::<v8::Object>::try_from(list).map_err(|_| FAILED)?;
        let functions = (0..BUILT_INS.len() as u32).map(|index| list.get_index(scope, index).ok_or(FAILED));
        Ok(BuiltIns(functions.collect::<Result<_, _>>()?))
    }

    /// The text of a function.
    pub(crate) fn source_of(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        function: v8::Local<'s, v8::Function>,
    ) -> Result<String, Reason> {
        let source_of = self.0.last().and_then(|last| v8::Local::<v8::Function>::try_from(*last).ok());
        let source_of = source_of.ok_or(FAILED)?;
        let undefined = v8::undefined(scope).into();
        let text = script::catching(scope, "", |scope| source_of.call(scope, undefined, &[function.into()]))?;
        Ok(text.to_rust_string_lossy(scope))
    }
}

/// What a loop is made of.
#[derive(Clone, Copy)]
pub(crate) struct Code<'a> {
    /// Whether the loop may begin at another row than the first.
    pub(crate) is_in_pieces: bool,
    /// What is done once, before all runs.
    pub(crate) before: &'a str,
    /// The parameters after the first row, the end of the rows `n`, and the validity bits `V` of the rows in words of 32 bits, which
    /// are left out if the function is called for all rows. Each begins with a comma.
    pub(crate) parameters: &'a str,
    /// The first value of what the loop collects, `extra`.
    pub(crate) extra: &'a str,
    /// What is done for row `i`.
    pub(crate) body: &'a str,
}

/// The loop around a user's function, or around an object with methods.
#[derive(Debug)]
pub(crate) struct Loop {
    /// Runs over the rows of a batch. It returns a list: what it collected in `extra`, and -1; or the result that does not belong to
    /// its type, the row, and the index of the item that is wrong if it is a list; or a number and -2 or -3, see [`NO_MEMORY`] and
    /// [`TOO_LONG`]. What is missing is -1. Nothing of a run is kept here but its row, because the function may be called again while
    /// it runs.
    run: v8::Global<v8::Function>,
    /// Returns the row that was begun last, and sets it to another.
    row: v8::Global<v8::Function>,
    /// The number of runs that have begun and not ended.
    depth: Cell<usize>,
}

impl Loop {
    /// Makes a loop around `f`. All is strict, so that `caller` and `arguments` of functions do not show the loop's memory to
    /// script.
    pub(crate) fn around<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        built_ins: &BuiltIns<'s>,
        f: v8::Local<'s, v8::Object>,
        code: Code<'_>,
    ) -> Result<Self, Reason> {
        let make = script::run_own(scope, &text(code))?;
        let make = v8::Local::<v8::Function>::try_from(make).map_err(|_| FAILED)?;
        let arguments: Vec<_> = built_ins.0.iter().copied().chain([f.into()]).collect();
        let undefined = v8::undefined(scope).into();
        let list = script::catching(scope, "", |scope| make.call(scope, undefined, &arguments))?;
        let list = v8::Local::<v8::Object>::try_from(list).map_err(|_| FAILED)?;
        let part = |index| -> Result<v8::Global<v8::Function>, Reason> {
            let part = list.get_index(scope, index).and_then(|part| v8::Local::<v8::Function>::try_from(part).ok());
            Ok(v8::Global::new(scope, part.ok_or(FAILED)?))
        };
        Ok(Loop { run: part(0)?, row: part(1)?, depth: Cell::new(0) })
    }

    /// Runs over rows of a batch, as [`Batch::piece`](super::lent::Batch::piece) tells them. Returns what it collected, or the row at
    /// which it ended and the value that it ended for. `name` is that of the user's text.
    pub(crate) fn run<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        name: &str,
        arguments: &[v8::Local<'s, v8::Value>],
    ) -> Result<Ended<'s>, Reason> {
        let depth = self.depth.get();
        // The row of the run that this one is a part of.
        let outer = if depth == 0 { 0 } else { self.swap_row(scope, name, 0)? };
        self.depth.set(depth + 1);
        let ended = part(scope, name, &self.run, arguments);
        self.depth.set(depth);
        let row = match (&ended, depth) {
            (Ok(_), 0) => Ok(0),
            _ => self.swap_row(scope, name, outer),
        };
        match ended {
            Ok(ended) => script::catching(scope, name, |scope| {
                let list = v8::Local::<v8::Object>::try_from(ended).ok()?;
                let (value, row) = (list.get_index(scope, 0)?, list.get_index(scope, 1)?.integer_value(scope)?);
                Some((value, row, list.get_index(scope, 2)?.integer_value(scope)?))
            })
            .and_then(|(value, row, item)| match (usize::try_from(row), row) {
                (Ok(row), _) => Ok(Err(Wrong { row, value, item: usize::try_from(item).ok() })),
                (_, -1) => Ok(Ok(value)),
                (_, -2) => Err(Reason::ResultsTooLarge { row: value.uint32_value(scope).unwrap_or_default() as usize }),
                _ => {
                    let given = value.uint32_value(scope).unwrap_or_default() as usize;
                    Err(Reason::TooLarge { unit: "UTF-16 units in its results", given, limit: v8::String::MAX_LENGTH })
                }
            }),
            Err(Reason::Script { message, place, .. }) => {
                Err(Reason::Script { message, place, row: Some(row? as usize) })
            }
            Err(reason) => Err(reason),
        }
    }

    /// The row that was begun last. Sets it to another.
    fn swap_row(&self, scope: &mut v8::PinScope<'_, '_>, name: &str, next: u32) -> Result<u32, Reason> {
        let next = v8::Integer::new_from_unsigned(scope, next).into();
        Ok(part(scope, name, &self.row, &[next])?.uint32_value(scope).unwrap_or_default())
    }
}

/// What a loop collected, or what it ended for.
pub(crate) type Ended<'s> = Result<v8::Local<'s, v8::Value>, Wrong<'s>>;

/// A value that a loop ended for, because it does not belong to its type.
pub(crate) struct Wrong<'s> {
    /// The row of the batch.
    pub(crate) row: usize,
    /// The result, or an item of it.
    pub(crate) value: v8::Local<'s, v8::Value>,
    /// The index of the item, if the result is a list.
    pub(crate) item: Option<usize>,
}

/// Calls a part of a loop.
fn part<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    part: &v8::Global<v8::Function>,
    arguments: &[v8::Local<'s, v8::Value>],
) -> script::Outcome<'s> {
    let part = v8::Local::new(scope, part);
    let undefined = v8::undefined(scope).into();
    script::catching(scope, name, |scope| part.call(scope, undefined, arguments))
}

/// The text of a loop. There is no `try` around the loop: in a function that V8 inlines into a `try`, it moves nothing out of loops.
/// The rows that are called are found by the bits that are set: to test each bit would cost a branch that no CPU predicts.
fn text(Code { is_in_pieces, before, parameters, extra, body }: Code<'_>) -> String {
    // V8 compiles better code if it knows that no row is negative.
    let first = if is_in_pieces { "begin & 0x3fffffff" } else { "0" };
    let names = BUILT_INS.map(|(name, _)| name).join(", ");
    format!(
        "(({names}, f) => {{ 'use strict';
let row = 0;
{before}
const memory = (type, length) => {{ try {{ return new type(length); }} catch {{ return undefined; }} }};
const run = (begin, n, V{parameters}) => {{
  begin = {first};
  n = n | 0;
  row = begin;
  let i = begin, extra = {extra};
  if (V === undefined) {{ for (; i < n; i++) {{ row = i; {body} }} }}
  else {{
    for (let first = begin; first < n; first += 32) {{
      for (let bits = V[first >> 5]; bits !== 0; bits &= bits - 1) {{ row = i = first + 31 - clz32(bits & -bits); {body} }}
    }}
  }}
  return [extra, -1, -1];
}};
return [run, (next) => {{ const last = row; row = next; return last; }}];
}})"
    )
}

/// What a loop does with a result that does not belong to the type: it ends.
pub(crate) const WRONG: &str = "return [r, i, -1];";

/// What a loop does with an item `v` at index `j` that does not belong to the type of a list: it ends.
pub(crate) const WRONG_ITEM: &str = "return [v, i, j];";

/// What a loop does with a string that would make all strings of the batch too long, by their length: it ends.
pub(crate) const TOO_LONG: &str = "return [extra.length + r.length, -3, -1];";

/// What a loop does if there is no memory for the items of a result: it ends.
pub(crate) const NO_MEMORY: &str = "return [i, -2, -1];";

/// The number of rows that one batch may have. Bits are counted in 32 bits.
pub(crate) const MAX_ROW_COUNT: usize = 1 << 30;
