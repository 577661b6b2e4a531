//! Errors of Rust thrown into script, and what script threw as an error of Rust.

use offheap::{ErrorClass, Rejected};
use rquickjs::Ctx;
use rquickjs::object::Property;

use crate::Error;
use crate::script::from_rquickjs;

/// An error that script sees as a JavaScript error of the class [`Error::class`], with [`Error::code`] as its `code`.
/// On a `Result`, call [`or_throw`](OrThrow::or_throw).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error that offheap throws into script",
    note = "offheap throws its own errors and those of rquickjs; for another error, throw an exception of your own: \
            `.map_err(|error| rquickjs::Exception::throw_message(&ctx, &error.to_string()))`"
)]
pub trait Throw {
    /// Makes the error the pending exception of `ctx`, and returns the value that a callback returns then.
    fn throw(self, ctx: &Ctx<'_>) -> rquickjs::Error;
}

impl Throw for Error {
    fn throw(self, ctx: &Ctx<'_>) -> rquickjs::Error {
        let (message, code) = (self.to_string(), self.code());
        match self.class() {
            ErrorClass::RangeError => rquickjs::Exception::throw_range(ctx, ""),
            _ => rquickjs::Exception::throw_type(ctx, ""),
        };
        // QuickJS cuts the message off at 255 bytes when it throws, and our messages may name several places, so
        // set it afterwards. If that fails, there is no memory for the message or for the error, and the value that
        // was thrown instead stays thrown.
        let error = ctx.catch();
        if let Some(object) = error.as_object() {
            let _ = object.set("message", message);
            let _ = object.prop("code", Property::from(code).writable().configurable());
        }
        ctx.throw(error)
    }
}

impl Throw for offheap::Error {
    fn throw(self, ctx: &Ctx<'_>) -> rquickjs::Error {
        Error::from(self).throw(ctx)
    }
}

/// Drops the value that was not accepted.
impl<T, E: Throw> Throw for Rejected<T, E> {
    fn throw(self, ctx: &Ctx<'_>) -> rquickjs::Error {
        self.into_parts().0.throw(ctx)
    }
}

/// An error of offheap that `?` made an error of rquickjs is thrown as what it was. Any other error stays as it is:
/// rquickjs throws it when the callback returns it.
impl Throw for rquickjs::Error {
    fn throw(self, ctx: &Ctx<'_>) -> rquickjs::Error {
        match &self {
            rquickjs::Error::Io(error) if is_own(error) => Error::from(self).throw(ctx),
            _ => self,
        }
    }
}

fn is_own(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Error>() || inner.is::<offheap::Error>())
}

/// Throws the error of a `Result` into script: `store.expose(&ctx).or_throw(&ctx)?` in a function that returns
/// `rquickjs::Result`. It is for every error of offheap.
///
/// ```
/// use offheap_quickjs::prelude::*;
/// use offheap_quickjs::rquickjs::{self, Context, Ctx, Function, Runtime};
///
/// fn first(ctx: Ctx<'_>, Buffer(store): Buffer) -> rquickjs::Result<u8> {
///     let mut byte = [0];
///     store.copy_to_slice(0, &mut byte).or_throw(&ctx)?;
///     Ok(byte[0])
/// }
///
/// # fn main() -> Result<(), offheap_quickjs::Error> {
/// Context::full(&Runtime::new()?)?.with(|ctx| {
///     ctx.globals().set("first", Function::new(ctx.clone(), first)?)?;
///     let script = "try { first(new ArrayBuffer(0)) } catch (e) { e.name + ' ' + e.code }";
///     assert_eq!(ctx.eval::<String, _>(script).caught(&ctx)?, "RangeError OUT_OF_RANGE");
///     Ok(())
/// })
/// # }
/// ```
///
/// `?` without it works too, also where there is no `Ctx`. Script then sees an `Error` with the same message, which
/// begins with `IO Error: `, without a code: rquickjs makes it, and its `rquickjs::Error::Io` is the only variant that
/// can have an error of others.
pub trait OrThrow<T, E> {
    /// Returns the value, or throws the error in `ctx`.
    ///
    /// # Errors
    /// `rquickjs::Error::Exception`, with the exception pending. An error of rquickjs itself is returned as it is.
    fn or_throw(self, ctx: &Ctx<'_>) -> rquickjs::Result<T>
    where
        E: Throw;
}

impl<T, E> OrThrow<T, E> for Result<T, E> {
    fn or_throw(self, ctx: &Ctx<'_>) -> rquickjs::Result<T>
    where
        E: Throw,
    {
        self.map_err(|error| error.throw(ctx))
    }
}

/// Turns an error of rquickjs into one that says what script threw, and where.
///
/// `rquickjs::Error::Exception` is only a mark: what was thrown is pending in the `Ctx`, and a `main` that returns the
/// mark prints `Error: Exception`. rquickjs's own `catch` gives an error with the lifetime of the `Ctx`. The error of
/// `caught` has no lifetime, so `?` takes it out of `Context::with`:
///
/// ```
/// use offheap_quickjs::prelude::*;
/// use offheap_quickjs::rquickjs::{Context, Runtime};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::full(&Runtime::new()?)?;
/// let error = context.with(|ctx| ctx.eval::<(), _>("\n  null.x").caught(&ctx)).unwrap_err();
/// assert_eq!(error.to_string(), "QuickJS: TypeError: cannot read property 'x' of null at eval_script:2:3");
/// # Ok(())
/// # }
/// ```
pub trait Caught<T> {
    /// Returns the value, or the error with the text of the pending exception, which this takes.
    ///
    /// # Errors
    /// [`Error::Script`] for an exception; its [`ScriptError`](crate::ScriptError) has message, place and stack. The
    /// text of a thrown object is found as script would, so script may run. An error of offheap comes back as it was.
    fn caught(self, ctx: &Ctx<'_>) -> Result<T, Error>;
}

impl<T> Caught<T> for rquickjs::Result<T> {
    fn caught(self, ctx: &Ctx<'_>) -> Result<T, Error> {
        self.map_err(|error| from_rquickjs(ctx, error))
    }
}
