//! What a scope runs: scripts and microtasks.

use super::Scope;
use crate::host::Host;
use crate::{Error, FromJs, Handle, JsArrayBuffer, Local, ViewState, unexpected_value};

impl<'s, H: Host> Scope<'s, H> {
    /// Runs a script and returns its value. Microtasks run only when [asked](Self::run_microtasks).
    ///
    /// # Errors
    /// [`Error::Script`] if the script throws, does not parse, or its value is of another type; see [`FromJs`].
    pub fn eval<T: FromJs>(&mut self, source: &str) -> Result<T, Error> {
        let value = self.run(|host| host.evaluate(source))?;
        T::from_js(value).map_err(|value| unexpected_value::<T>(H::NAME, &value))
    }

    /// Runs a script whose value is an ArrayBuffer, a SharedArrayBuffer or a view, and returns that buffer or the
    /// view's buffer.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`] if the value is none of these, [`Error::Script`] if the script throws or does
    /// not parse.
    pub fn eval_buffer(&mut self, source: &str) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.make(|host| host.evaluate_buffer(source))
    }

    pub(crate) fn eval_view(&mut self, source: &str) -> Result<ViewState, Error> {
        self.run(|host| host.evaluate_view(source))
    }

    /// Runs the microtasks that are due, and those that they queue.
    ///
    /// # Errors
    /// [`Error::Script`]. On QuickJS, if a microtask throws; the microtasks after it stay queued. On V8, if
    /// execution was terminated; an exception that a microtask throws is lost. Promises that reject are reported to
    /// the engine's own rejection callback.
    pub fn run_microtasks(&mut self) -> Result<(), Error> {
        self.run(H::run_microtasks)
    }

    /// Makes a buffer, or another object that has a handle, a global variable of script.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Script`] if a setter throws.
    pub fn set_global<T>(&mut self, name: &str, object: &Handle<T>) -> Result<(), Error> {
        self.step_on(object, |host, object| host.set_global(name, object))
    }
}
