//! Native functions that script calls in the middle of a call of one of the engine's own functions.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::resume_unwind;

use offheap_engine::{Arguments, Capabilities, Error, Host, JsFunction, Local, Scope, Value};
use proptest::sample::select;
use proptest::strategy::Strategy;

use super::act::{Act, Kept, Object, perform};
use super::callback::{Callback, script};
use crate::errors::kind_of;

/// A call of a native function by script. The function has two objects, `x` and `y`, and a function of script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NativeCall {
    /// Where script calls the function, and what script does when the function calls it back.
    callback: Callback,
    /// What the function does, and whether it does that with `y` instead of `x`.
    acts: [(Act, bool); 3],
    /// Whether the first act that fails ends the function, with that error.
    stops: bool,
    end: End,
}

/// How a native function ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It returns `undefined`.
    Nothing,
    /// It returns `x`.
    Object,
    /// It returns the buffer that it made last.
    Buffer,
    /// It returns an error of its own.
    Error,
    /// It asks for a number where it has `x`.
    WrongArgument,
    /// It panics.
    Panic,
}

/// The payload of a panic that a sequence contains.
pub(super) struct Planned;

/// How many calls of the native function are in each other at most.
const DEPTH: u32 = 2;

impl NativeCall {
    pub(super) fn any(can: Capabilities) -> impl Strategy<Value = NativeCall> {
        let act = || (Act::any_in_function(), proptest::bool::ANY);
        let ends =
            [End::Nothing, End::Object, End::Object, End::Buffer, End::Error, End::WrongArgument, End::Panic].to_vec();
        (Callback::any(can), proptest::bool::ANY, [act(), act(), act()], proptest::bool::ANY, select(ends)).prop_map(
            |(callback, is_direct, acts, stops, end)| {
                let callback = if is_direct { callback.called_directly("native(x, y, back)") } else { callback };
                NativeCall { callback, acts, stops, end }
            },
        )
    }

    /// The call of the engine's function.
    pub(super) fn callback(&self) -> Callback {
        self.callback
    }

    /// Whether the function may change the bytes, or the number of bytes, that are being sorted.
    pub(super) fn changes_while_sorting(&self) -> bool {
        self.callback.sorts() && self.has_act(|act| act.may_change_bytes())
    }

    /// Whether an act meets this.
    pub(super) fn has_act(&self, is_meant: impl Fn(Act) -> bool) -> bool {
        self.acts.iter().any(|(act, _)| is_meant(*act))
    }

    /// Script that makes the call. Its value is a string.
    pub(super) fn source(&self) -> String {
        script(self.callback, "native(x, y, back)")
    }

    /// The native function.
    pub(super) fn run<'c, H: Host>(
        &self,
        scope: &mut Scope<'c, H>,
        arguments: &Arguments<'c, H>,
        depth: &Cell<u32>,
        kept: &RefCell<Kept>,
    ) -> Result<Value<'c>, Error> {
        if depth.get() == DEPTH {
            return Ok(Value::Undefined);
        }
        depth.set(depth.get() + 1);
        let returned = self.run_once(scope, arguments, kept);
        depth.set(depth.get() - 1);
        returned
    }

    fn run_once<'c, H: Host>(
        &self,
        scope: &mut Scope<'c, H>,
        arguments: &Arguments<'c, H>,
        kept: &RefCell<Kept>,
    ) -> Result<Value<'c>, Error> {
        let objects = [object(arguments.get(scope, 0)?), object(arguments.get(scope, 1)?)];
        let back: Local<'_, JsFunction> = arguments.get(scope, 2)?;
        for (act, is_second) in self.acts {
            let object = &objects[usize::from(is_second)];
            let result = perform(scope, act, object, Some(&back), kept);
            let seen = match &result {
                Ok(seen) => format!("{act:?}: {seen}"),
                Err(error) => format!("{act:?}: {}", kind_of(error)),
            };
            kept.borrow_mut().seen.push(seen);
            if self.stops {
                result?;
            }
        }
        match self.end {
            End::Nothing => Ok(Value::Undefined),
            End::Object => Ok(match &objects[0] {
                Object::Buffer(buffer) => buffer.into(),
                Object::View(view) => view.into(),
            }),
            End::Buffer => Ok(kept.borrow().buffers.last().map_or(Value::Undefined, Value::from)),
            End::Error => Err(Error::function("as planned")),
            End::WrongArgument => arguments.get::<u32>(scope, 0).map(Value::from),
            End::Panic => resume_unwind(Box::new(Planned)),
        }
    }
}

/// # Panics
/// If the value is neither a buffer nor a view: script passes only these.
fn object(value: Value<'_>) -> Object {
    match value {
        Value::ArrayBuffer(buffer) => Object::Buffer(buffer.into_handle()),
        Value::View(view) => Object::View(view.into_handle()),
        other => panic!("the native function got {other}"),
    }
}

impl fmt::Display for NativeCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} // the native function: ", self.callback)?;
        for (act, is_second) in self.acts {
            write!(f, "{act:?} of {}, ", if is_second { "y" } else { "x" })?;
        }
        write!(f, "{}then {:?}", if self.stops { "ends at the first error, " } else { "" }, self.end)
    }
}
