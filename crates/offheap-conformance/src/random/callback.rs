//! Functions of an engine that call script back, and the actions of script in such a call.

use std::fmt;

use offheap_engine::Capabilities;
use proptest::sample::select;
use proptest::strategy::Strategy;

/// A call of one of the engine's own functions with the buffers `a` and `b`. In the middle of the call, script does
/// something to one of the buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    called: &'static str,
    action: &'static str,
    number: usize,
}

/// The calls. `act(value)` performs the action and returns `value`; `n` is a number.
const CALLED: &[&str] = &[
    // The function converts an argument to a number.
    "new Uint8Array(a).fill({ valueOf: () => act(n) })",
    "new Uint8Array(a).fill(n, { valueOf: () => act(1) }, 30)",
    "new Uint8Array(a).copyWithin(2, { valueOf: () => act(0) }, 24)",
    "new Uint8Array(a).set([1, { valueOf: () => act(n) }, 3])",
    "new Uint8Array(a).with(1, { valueOf: () => act(n) })",
    "new Uint8Array(a, { valueOf: () => act(0) })",
    "a.detached || new Uint8Array(a, 0, { valueOf: () => act(4) })",
    "new Uint8Array(a).subarray({ valueOf: () => act(1) }, 5)",
    "new Uint8Array(a).slice({ valueOf: () => act(1) }, 9)",
    "new Uint8Array(a)[1] = { valueOf: () => act(n) }",
    "new Uint8Array(a).lastIndexOf(n, { valueOf: () => act(20) })",
    "new DataView(a).setInt16({ valueOf: () => act(2) }, n)",
    "new DataView(a).setInt16(2, { valueOf: () => act(n) })",
    "a.slice({ valueOf: () => act(1) }, 30)",
    "a.slice(2, { valueOf: () => act(30) })",
    "a.transfer({ valueOf: () => act(n) })",
    "a.resizable && a.resize({ valueOf: () => act(n) })",
    // The function calls script for each element.
    "new Uint8Array(a).sort((x, y) => act(y - x))",
    "new Uint8Array(a).map((x, i) => i ? x : act(n))",
    "new Uint8Array(a).reduce((sum, x, i) => i === 2 ? act(sum) : sum + x, 0)",
    "Uint8Array.from(new Uint8Array(a), (x, i) => i ? x : act(n))",
    // The function asks script for the result object.
    "bySpecies(a, () => act(b)).slice(1, 20)",
    "bySpecies(a, () => act(b)).slice(0)",
    "bySpecies(new Uint8Array(a), () => act(new Uint8Array(b))).slice(1, 20)",
    "bySpecies(new Uint8Array(a), () => act(new Uint16Array(b, 0, 4))).slice(0, 4)",
    "bySpecies(new Uint8Array(a), () => act(new Uint8Array(b))).map((x) => x + 1)",
    "bySpecies(new Uint8Array(a), () => act(new Uint8Array(b))).filter((x) => x % 2)",
    "bySpecies(new Uint8Array(a), () => act(new Uint8Array(b))).subarray(1, 5)",
    "new Uint8Array(b).set(new Uint8Array(a, 0, 6), act(1))",
];

/// The action of script when it is called.
const ACTIONS: &[&str] = &[
    "",
    "a.transfer(0)",
    "b.transfer(0)",
    "a.transfer()",
    "b.transfer(64)",
    "a.resize(n)",
    "b.resize(n)",
    "a.resize(0)",
    "a.grow(n)",
    "new Uint8Array(b).fill(n)",
];

impl Callback {
    pub(super) fn any(can: Capabilities) -> impl Strategy<Value = Callback> {
        let is_possible = |action: &&str| can.contains(Capabilities::RESIZABLE) || !action.contains("resize");
        let actions: Vec<_> = ACTIONS.iter().copied().filter(is_possible).collect();
        (select(CALLED), select(actions), 0..40_usize).prop_map(|(called, action, number)| Callback {
            called,
            action,
            number,
        })
    }

    /// Whether the action may change the bytes, or the number of bytes, that are being sorted.
    pub(super) fn changes_while_sorting(self) -> bool {
        self.sorts() && !self.action.is_empty()
    }

    /// Whether the function of the engine sorts.
    pub(super) fn sorts(self) -> bool {
        self.called.contains("sort")
    }

    /// This callback, in a function that script calls by this call.
    pub(super) fn called_directly(self, called: &'static str) -> Self {
        Callback { called, ..self }
    }

    /// Whether script chooses the buffer that a slice is copied into.
    pub(super) fn slices_by_species(self) -> bool {
        self.called.contains("bySpecies(a,")
    }

    /// Script whose value is a string: the bytes of the result, or a note that it throws.
    pub(super) fn source(self) -> String {
        script(self, self.action)
    }
}

/// Script that makes a call. `acts` is what `act` does. Its value is a string: the bytes of the result, or a note that it
/// throws, with the code of an error that only a native function has. The class is left out because engines differ in it.
pub(super) fn script(callback: Callback, acts: &str) -> String {
    let Callback { called, action, number } = callback;
    // `act` does its action once, because engines may compare elements in different orders. `kept` holds buffers whose
    // memory has no other owner until the end, because some engines drop them at once and others later.
    format!(
        "(() => {{
           'use strict';
           const n = {number}, kept = [];
           let done = false;
           globalThis.back = () => {{ kept.push({action}); return kept.length; }};
           const act = (value) => {{
             if (!done) {{ done = true; kept.push({acts}); }}
             return value;
           }};
           const bySpecies = (object, result) => {{
             const constructor = {{ [Symbol.species]: function () {{ return result(); }} }};
             Object.defineProperty(object, 'constructor', {{ value: constructor, configurable: true }});
             return object;
           }};
           const text = (value) => {{
             if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {{
               return value.detached ? 'detached' : 'buffer ' + new Uint8Array(value).join();
             }}
             return ArrayBuffer.isView(value) && !(value instanceof DataView) ? 'view ' + value.join() : String(value);
           }};
           try {{
             return text({called});
           }} catch (error) {{
             return 'throws ' + (['ARGUMENT', 'FUNCTION'].includes(error.code) ? error.code : '');
           }} finally {{
             delete a.constructor;
             globalThis.back = undefined;
           }}
         }})()"
    )
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; // act: {}; n is {}", self.called, self.action, self.number)
    }
}
