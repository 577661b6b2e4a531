//! Functions of an engine that call script back, and what that does there.

use std::fmt;

use offheap_engine::Capabilities;
use proptest::sample::select;
use proptest::strategy::Strategy;

/// A call of one of the engine's own functions with the buffers `a` and `b`, in the middle of which script does something to
/// one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    called: &'static str,
    action: &'static str,
    number: usize,
}

/// What is called. `act(value)` does something and is `value`; `n` is a number.
const CALLED: &[&str] = &[
    // Numbers that are asked for in the middle.
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
    // Functions that are called for each element.
    "new Uint8Array(a).sort((x, y) => act(y - x))",
    "new Uint8Array(a).map((x, i) => i ? x : act(n))",
    "new Uint8Array(a).reduce((sum, x, i) => i === 2 ? act(sum) : sum + x, 0)",
    "Uint8Array.from(new Uint8Array(a), (x, i) => i ? x : act(n))",
    // What a function makes its result of.
    "bySpecies(a, () => act(b)).slice(1, 20)",
    "bySpecies(a, () => act(b)).slice(0)",
    "bySpecies(new Uint8Array(a), () => act(new Uint8Array(b))).slice(1, 20)",
    "bySpecies(new Uint8Array(a), () => act(new Uint16Array(b, 0, 4))).slice(0, 4)",
    "bySpecies(new Uint8Array(a), () => act(new Uint8Array(b))).map((x) => x + 1)",
    "bySpecies(new Uint8Array(a), () => act(new Uint8Array(b))).filter((x) => x % 2)",
    "bySpecies(new Uint8Array(a), () => act(new Uint8Array(b))).subarray(1, 5)",
    "new Uint8Array(b).set(new Uint8Array(a, 0, 6), act(1))",
];

/// What script does when it is called.
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

    /// Whether the action may change bytes, or how many there are, of what is being sorted.
    pub(super) fn changes_while_sorting(self) -> bool {
        self.called.contains("sort") && !self.action.is_empty()
    }

    /// Whether script says which buffer a slice goes into.
    pub(super) fn slices_by_species(self) -> bool {
        self.called.contains("bySpecies(a,")
    }

    /// Script whose value is text: the bytes of what comes, or that it throws: engines differ in the classes of their errors.
    pub(super) fn source(self) -> String {
        let Callback { called, action, number } = self;
        // The action is done once: a comparison may be called in another order by each engine. Buffers whose memory goes to
        // nobody are dropped at once by some engines and later by others, so `kept` has them to the end.
        format!(
            "(() => {{
               'use strict';
               const n = {number}, kept = [];
               let done = false;
               const act = (value) => {{
                 if (!done) {{ done = true; kept.push({action}); }}
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
               }} catch {{
                 return 'throws';
               }} finally {{
                 delete a.constructor;
               }}
             }})()"
        )
    }
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; // act: {}; n is {}", self.called, self.action, self.number)
    }
}
