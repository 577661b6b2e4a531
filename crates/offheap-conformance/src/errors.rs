//! One error of each sort, for tests about all errors.

use std::num::NonZeroU64;

use offheap_engine::offheap::adapter::IsolateRegistration;
use offheap_engine::offheap::{self, Holder, IsolateId, MapProblem, NotUnique, Site, StoreId, StoreKind};
use offheap_engine::{Error, ScriptError};

/// One error of each sort that the core and the adapters have, in the order of their declarations.
///
/// # Panics
/// If no isolate can be registered: some of the errors name one.
pub fn one_of_each_error() -> Vec<Error> {
    let isolate = IsolateRegistration::new("Test").expect("an isolate can be registered").id();
    let core = core_errors(isolate).into_iter().map(Error::Memory);
    core.chain(engine_errors(isolate)).collect()
}

fn core_errors(isolate: IsolateId) -> Vec<offheap::Error> {
    use offheap::Error::*;
    let store = StoreId::from(NonZeroU64::MIN);
    let (attempted, holder, site) = ("read", Holder::Writer, Site::here());
    vec![
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
        OneBuffer { store, isolate },
        TooManyBuffers { store, isolate, limit: 1 },
        TooManyIsolates { limit: 1 },
        NotUnique { store, reason: self::NotUnique::Kind },
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
        ObserverSet,
    ]
}

fn engine_errors(isolate: IsolateId) -> Vec<Error> {
    let store = StoreId::from(NonZeroU64::MIN);
    let (engine, attempted) = ("Engine", "detach");
    vec![
        ScriptError::new(engine, "Error".into(), String::new()).into(),
        Error::TooLargeForEngine { engine, store: None, byte_length: 2, limit: 1 },
        Error::Misaligned { engine, store, byte_offset: 1, alignment: 8 },
        Error::AddressTaken { engine, store, other: store },
        Error::PartialElement { engine, byte_length: 3, element: "u16" },
        Error::InvalidLength { engine, attempted, requested: 2, limit: 1 },
        Error::Detached { engine, attempted },
        Error::OutOfBounds { engine, attempted },
        Error::NotDetachable { engine, attempted, why: "it is shared" },
        Error::WrongDetachKey { engine, attempted, given: "no key was given" },
        Error::Immutable { engine, attempted },
        Error::NotResizable { engine, attempted },
        Error::NotAnArrayBuffer { engine, found: "a number".into() },
        Error::Argument { engine, function: "f".into(), index: 0, expected: "a string".into(), found: "null".into() },
        Error::function("the program's own words"),
        Error::NotLent { engine, attempted, store, here: isolate, why: "it moved" },
        Error::WrongIsolate { handle: isolate, here: isolate },
        Error::IsolateGone,
        Error::LayoutChanged { engine, version: "1".into() },
        Error::Unsupported { engine, what: "do it", instead: "do something else" },
        Error::Flag { engine, flag: "--help".into(), why: "it ends the process" },
        Error::EngineFailed { engine, attempted },
    ]
}
