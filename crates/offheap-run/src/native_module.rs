//! What a program gives to its scripts.

use std::io;

use offheap::Mapped;
use offheap_ledger::Ledger;

use crate::Stream;

/// The global `nativeModule` of a script, before it is installed in an engine: mapped files, arguments, and where
/// `console` prints.
///
/// A script gets the function `nativeModule.allocateMemory` and its siblings in any case.
#[must_use = "install it in an engine, or run a script with it"]
pub struct NativeModule {
    pub(crate) ledger: &'static Ledger,
    pub(crate) mapped: Vec<(String, Mapped)>,
    pub(crate) arguments: Vec<String>,
    pub(crate) print: Box<Print>,
}

pub(crate) type Print = dyn Fn(Stream, &str) -> io::Result<()>;

impl NativeModule {
    /// A module without files or arguments. `ledger` records what script allocates and frees, and has the numbers of
    /// `nativeModule.stats()`.
    pub fn new(ledger: &'static Ledger) -> Self {
        NativeModule {
            ledger,
            mapped: Vec::new(),
            arguments: Vec::new(),
            print: Box::new(|stream, text| stream.write_line(text)),
        }
    }

    /// Adds a mapped file, which script finds as `nativeModule.mapped[name]`. It replaces an earlier one of that name.
    pub fn mapped(mut self, name: impl Into<String>, file: Mapped) -> Self {
        let name = name.into();
        self.mapped.retain(|(other, _)| *other != name);
        self.mapped.push((name, file));
        self
    }

    /// Adds arguments, which script finds in `nativeModule.args`.
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets where the lines of `console` go. Without this call they go to the [streams of the
    /// process](Stream::write_line). Where `print` fails, the call of script's throws an Error. `print` must not keep a
    /// value of the engine.
    pub fn print_with(mut self, print: impl Fn(Stream, &str) -> io::Result<()> + 'static) -> Self {
        self.print = Box::new(print);
        self
    }
}
