//! One error of each sort, for tests about all errors, and their names.

use std::mem::{Discriminant, discriminant};
use std::num::NonZeroU64;
use std::sync::LazyLock;

use offheap_engine::offheap::adapter::IsolateRegistration;
use offheap_engine::offheap::{Error as CoreError, Holder, IsolateId, MapProblem, NotUnique, Site, StoreId, StoreKind};
use offheap_engine::{Error, ScriptError};

/// One error of each sort that the core and the adapters have, in the order of their declarations.
///
/// # Panics
/// If no isolate can be registered: some of the errors name one.
pub fn one_of_each_error() -> Vec<Error> {
    let isolate = IsolateRegistration::new("Test").expect("an isolate can be registered").id();
    let core = core_errors(isolate).into_iter().map(|(_, error)| Error::Memory(error));
    core.chain(engine_errors(isolate).into_iter().map(|(_, error)| error)).collect()
}

/// The name of an error's variant, without the values that differ between engines: `Detached`, `Memory(Busy)`.
///
/// It does not come from `Debug`, whose text is for people.
pub(crate) fn kind_of(error: &Error) -> String {
    static NAMES: LazyLock<Names> = LazyLock::new(Names::new);
    match error {
        Error::Memory(core) => format!("Memory({})", name_in(&NAMES.core, core).unwrap_or(error.code())),
        error => name_in(&NAMES.engine, error).unwrap_or(error.code()).to_owned(),
    }
}

struct Names {
    core: Vec<(&'static str, Discriminant<CoreError>)>,
    engine: Vec<(&'static str, Discriminant<Error>)>,
}

impl Names {
    fn new() -> Self {
        let isolate = IsolateRegistration::new("Test").expect("an isolate can be registered").id();
        Names {
            core: core_errors(isolate).iter().map(|(name, error)| (*name, discriminant(error))).collect(),
            engine: engine_errors(isolate).iter().map(|(name, error)| (*name, discriminant(error))).collect(),
        }
    }
}

fn name_in<E>(names: &[(&'static str, Discriminant<E>)], error: &E) -> Option<&'static str> {
    names.iter().find(|(_, variant)| *variant == discriminant(error)).map(|(name, _)| *name)
}

/// Errors with the names of their variants.
macro_rules! named {
    ($error:ident: $($name:ident $values:tt),* $(,)?) => {
        vec![$((stringify!($name), named!(@ $error, $name $values))),*]
    };
    (@ $error:ident, $name:ident ()) => { $error::$name };
    (@ $error:ident, $name:ident ($value:expr)) => { $error::$name($value) };
    (@ $error:ident, $name:ident { $($values:tt)* }) => { $error::$name { $($values)* } };
}

fn core_errors(isolate: IsolateId) -> Vec<(&'static str, CoreError)> {
    let store = StoreId::from(NonZeroU64::MIN);
    let (attempted, holder, site) = ("read", Holder::Writer, Site::here());
    named![CoreError:
        TooLarge { requested: 2, limit: 1 },
        OutOfMemory { requested: 1 },
        OverBudget { requested: 1, used: 1, limit: 1 },
        OutOfRange { store, offset: 1, byte_length: 1, store_byte_length: 1 },
        InvalidAlignment { alignment: 3 },
        MaximumTooSmall { byte_length: 2, max_byte_length: 1 },
        AboveMaximum { store, attempted, requested: 2, max_byte_length: 1 },
        NotResizable { store, attempted, is_part: false, requested: 1 },
        EngineResizes { store, attempted, requested: 1 },
        EngineMayShrink { store, attempted, isolate },
        SharedShrink { store, requested: 1, byte_length: 2 },
        SharedSlice { store, attempted },
        Misaligned { store, byte_offset: 1, element: "f64", alignment: 8 },
        Busy { store, attempted, holder },
        Exposed { store, attempted, isolate, buffers: 1 },
        OtherIsolate { store, attempted, isolate, requested: isolate, buffers: 1 },
        HostMayWrite { store, attempted, host: isolate, buffers: 0 },
        ReadOnlyInHost { store, host: isolate },
        OneBuffer { store, isolate },
        TooManyBuffers { store, isolate, limit: 1 },
        TooManyIsolates { limit: 1 },
        NotUnique { store, reason: NotUnique::Kind },
        OtherOwner { store, requested: "Vec<u8>" },
        OtherKind { store, requested: "SharedStore", kind: StoreKind::FIXED },
        PartialElement { store, byte_length: 3, element: "u16", element_size: 2 },
        ReadOnly { store, attempted },
        MappedSlice { store, attempted },
        NullData { byte_length: 1 },
        Freed { store, attempted, freed: site },
        DoubleFree { store, address: 1, byte_length: 1, allocated: site, first: site, second: site },
        FreeInUse { store, address: 1, byte_length: 1, allocated: site, attempted: site, holder },
        UnknownAddress { address: 1, attempted: site, remembered: 1 },
        AddressReused { address: 1, first: site, allocated: site, attempted: site },
        AlreadyManual { address: 1, allocated: site },
        Map { path: "file".into(), problem: MapProblem::NotAFile },
        ObserverSet (),
    ]
}

fn engine_errors(isolate: IsolateId) -> Vec<(&'static str, Error)> {
    let store = StoreId::from(NonZeroU64::MIN);
    let (engine, attempted) = ("Engine", "detach");
    named![Error:
        Script (ScriptError::new(engine, "Error".into(), String::new())),
        HeapLimit { engine, limit: 1, keeps_too_much: false },
        TooLargeForEngine { engine, store: None, byte_length: 2, limit: 1 },
        Misaligned { engine, store, byte_offset: 1, alignment: 8 },
        AddressTaken { engine, store, other: store },
        PartialElement { engine, byte_length: 3, element: "u16" },
        InvalidLength { engine, attempted, requested: 2, limit: 1 },
        Detached { engine, attempted },
        OutOfBounds { engine, attempted },
        NotDetachable { engine, attempted, why: "it is shared" },
        WrongDetachKey { engine, attempted, given: "no key was given" },
        Immutable { engine, attempted },
        NotResizable { engine, attempted },
        NotAnArrayBuffer { engine, found: "a number".into() },
        Argument { engine, function: "f".into(), index: 0, expected: "a string".into(), found: "null".into() },
        Function { message: "the program's own words".into() },
        NotLent { engine, attempted, store, here: isolate, why: "it moved" },
        WrongIsolate { handle: isolate, here: isolate },
        IsolateGone (),
        LayoutChanged { engine, version: "1".into() },
        Unsupported { engine, what: "do it", instead: "do something else" },
        Flag { engine, flag: "--help".into(), why: "it ends the process" },
        EngineFailed { engine, attempted },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_name_of_its_variant() {
        let script: Error = ScriptError::new("Engine", "Memory: no".into(), String::new()).into();
        let names = [script, Error::IsolateGone, CoreError::ObserverSet.into(), Error::function("no")];
        assert_eq!(names.map(|error| kind_of(&error)), ["Script", "IsolateGone", "Memory(ObserverSet)", "Function"]);
        let all: std::collections::HashSet<_> = one_of_each_error().iter().map(kind_of).collect();
        assert_eq!(all.len(), one_of_each_error().len(), "two errors have one name");
    }
}
