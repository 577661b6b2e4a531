//! `Scoped`: what sequences need of an engine besides `Engine`. Each isolate has it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use offheap_engine::offheap::BackingStore;
use offheap_engine::{
    Element, Engine, Error, Handle, Host, Isolate, JsArrayBuffer, JsArrayBufferView, Local, Scope, ScriptValue,
    TypedElement, Value,
};
use proptest::sample::select;
use proptest::strategy::Strategy;

use super::act::{Act, Kept, Object, perform};
use super::native::{NativeCall, Planned};

/// An engine whose scopes can be used: views, and native functions. Any [`Isolate`] is one.
pub trait Scoped: Engine {
    /// Makes script make a view of a buffer.
    ///
    /// # Errors
    /// [`Error::Script`] if the constructor throws, [`Error::Unsupported`] on an engine without script, and those of
    /// [`Engine::set_global`].
    fn view(&mut self, buffer: &Handle<JsArrayBuffer>, shows: Shows) -> Result<Handle<JsArrayBufferView>, Error>;

    /// A typed array over a part of a store; see [`Scope::expose_typed`].
    ///
    /// # Errors
    /// Those of that method.
    fn expose_typed(&mut self, store: &BackingStore, part: Part) -> Result<Handle<JsArrayBufferView>, Error>;

    /// Performs an act in a scope, and returns what it saw.
    ///
    /// # Errors
    /// Those of the scope's method.
    fn act(&mut self, act: Act, object: &Object, kept: &RefCell<Kept>) -> Result<String, Error>;

    /// Makes script call a native function with two objects, and returns the value of the script.
    ///
    /// # Errors
    /// [`Error::Script`], [`Error::Unsupported`] on an engine without script.
    fn call_native(
        &mut self,
        call: NativeCall,
        objects: [&Object; 2],
        kept: &Rc<RefCell<Kept>>,
    ) -> Result<ScriptValue, Error>;
}

/// The part of a buffer that a view shows: the arguments of its constructor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shows {
    /// `None` for a DataView.
    element: Option<Element>,
    byte_offset: usize,
    /// In elements. If there is none, the view shows all bytes from the offset on, and if the buffer is resizable, its
    /// length follows that of the buffer.
    length: Option<usize>,
}

/// The part of a store that a typed array shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// [`Uint8`](Element::Uint8), [`Uint16`](Element::Uint16) or [`Float64`](Element::Float64).
    element: Element,
    byte_offset: usize,
    element_count: usize,
}

impl Shows {
    pub(super) fn any() -> impl Strategy<Value = Shows> {
        let elements: Vec<_> = Element::ALL.into_iter().map(Some).chain([None, None, Some(Element::Uint8)]).collect();
        // Usually a multiple of 8, and usually few elements.
        (select(elements), 0..20_usize, 0..24_usize).prop_map(|(element, offset, length)| Shows {
            element,
            byte_offset: if offset < 14 { 8 * (offset / 7) } else { offset - 14 },
            length: (length < 12).then_some(length / 2),
        })
    }
}

impl fmt::Display for Shows {
    /// The constructor and its arguments after the buffer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let constructor = self.element.map_or("DataView".to_owned(), |element| format!("{element:?}Array"));
        let length = self.length.map_or(String::new(), |length| format!(", {length}"));
        write!(f, "new {constructor}(a, {}{length})", self.byte_offset)
    }
}

impl Part {
    pub(super) fn any() -> impl Strategy<Value = Part> {
        let elements = vec![Element::Uint8, Element::Uint16, Element::Float64];
        (select(elements), 0..20_usize, 0..8_usize).prop_map(|(element, offset, element_count)| Part {
            element,
            byte_offset: if offset < 14 { 8 * (offset / 7) } else { offset - 14 },
            element_count,
        })
    }

    fn expose<'s, T: TypedElement, H: Host>(
        self,
        scope: &mut Scope<'s, H>,
        store: &BackingStore,
    ) -> Result<Local<'s, JsArrayBufferView>, Error> {
        scope.expose_typed::<T>(store, self.byte_offset, self.element_count)
    }
}

impl<H: Host> Scoped for Isolate<H> {
    fn view(&mut self, buffer: &Handle<JsArrayBuffer>, shows: Shows) -> Result<Handle<JsArrayBufferView>, Error> {
        self.enter(|scope| {
            scope.set_global("a", buffer)?;
            let view = scope.eval::<Local<'_, JsArrayBufferView>>(&shows.to_string());
            scope.set_global("a", ())?;
            Ok(view?.into_handle())
        })
    }

    fn expose_typed(&mut self, store: &BackingStore, part: Part) -> Result<Handle<JsArrayBufferView>, Error> {
        self.enter(|scope| {
            let view = match part.element {
                Element::Uint16 => part.expose::<u16, H>(scope, store),
                Element::Float64 => part.expose::<f64, H>(scope, store),
                _ => part.expose::<u8, H>(scope, store),
            };
            Ok(view?.into_handle())
        })
    }

    fn act(&mut self, act: Act, object: &Object, kept: &RefCell<Kept>) -> Result<String, Error> {
        self.enter(|scope| {
            let seen = perform(scope, act, object, None, kept)?;
            if matches!(act, Act::Read | Act::Write(_)) {
                // Some engines lent a store, and others their own memory. From here on all have a store.
                match object {
                    Object::Buffer(buffer) => drop(scope.externalize(buffer)?),
                    Object::View(view) => drop(scope.externalize(view)?),
                }
            }
            Ok(seen)
        })
    }

    fn call_native(
        &mut self,
        call: NativeCall,
        objects: [&Object; 2],
        kept: &Rc<RefCell<Kept>>,
    ) -> Result<ScriptValue, Error> {
        let (kept, depth) = (Rc::clone(kept), Cell::new(0));
        self.enter(|scope| {
            let native =
                scope.function("native", move |scope, arguments| call.run(scope, &arguments, &depth, &kept))?;
            scope.set_global("native", &native)?;
            for (whole, buffer, object) in [("x", "a", objects[0]), ("y", "b", objects[1])] {
                match object {
                    Object::Buffer(object) => scope.set_global(whole, object)?,
                    Object::View(object) => scope.set_global(whole, object)?,
                }
                scope.eval::<()>(&format!("{buffer} = {whole}.buffer ?? {whole}"))?;
            }
            let answer = catch_unwind(AssertUnwindSafe(|| scope.eval::<Value<'_>>(&call.source())));
            scope.eval::<()>("a = b = x = y = native = undefined")?;
            match answer {
                Ok(answer) => Ok(answer?.into()),
                Err(panic) if panic.is::<Planned>() => Ok(ScriptValue::String("panicked, as planned".to_owned())),
                Err(panic) => resume_unwind(panic),
            }
        })
    }
}
