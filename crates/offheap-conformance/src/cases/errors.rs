//! Errors that users meet: the variant, its code, and its class in JavaScript, on every engine.
//!
//! Each case makes an engine refuse an operation, and compares the error with the expected one. If script can do the
//! same operation, it must get an error of the same class.

use offheap_engine::offheap::adapter::InFinalizer;
use offheap_engine::offheap::{BackingStore, ManualMemory, SharedStore, UniqueStore};
use offheap_engine::{Engine, Error, Handle, JsArrayBuffer, ManuallyExternalizedBuffer};

use super::kit::{frozen, store_of, text};
use crate::{Capabilities, Case, Failure, Lab};

/// An error that a user can meet, and the operation that provokes it.
pub(super) struct Met {
    number: &'static str,
    /// The variant, the code and the class.
    expected: [&'static str; 3],
    provoke: Provoke,
    /// Script that gets an error of that class from the buffer `b`. Empty if script has no such operation.
    script: &'static str,
}

/// Makes an engine refuse an operation. The refused buffer becomes the global `b` of script afterwards.
type Provoke = fn(&Lab<'_>, &mut dyn Engine) -> Result<Refused, Failure>;

struct Refused {
    error: Error,
    buffer: Option<Handle<JsArrayBuffer>>,
}

macro_rules! met {
    ($($number:literal $name:literal needs [$($needs:ident),*] $provoke:ident
        => $variant:literal $code:literal $class:literal $($script:literal)?;)*) => {
        pub(super) const MET: &[Met] = &[$(Met {
            number: $number,
            expected: [$variant, $code, $class],
            provoke: $provoke,
            script: concat!("", $($script)?),
        }),*];
        pub(in crate::cases) const CASES: &[Case] = &[$(Case {
            number: $number,
            name: $name,
            needs: Capabilities::empty()$(.union(Capabilities::$needs))*,
            summary: concat!("It is ", $variant, ", with the code ", $code, ", and a ", $class, "."),
            run: |lab| check(lab, MET, $number),
        }),*];
    };
}

pub(super) mod of_stores;

met! {
    "P-ERROR-1" "p_error_script_that_throws" needs [SCRIPT] throw
        => "Script" "SCRIPT" "TypeError";
    "P-ERROR-2" "p_error_a_buffer_beyond_the_limit_of_the_engine" needs [] allocate_too_much
        => "TooLargeForEngine" "TOO_LARGE_FOR_ENGINE" "RangeError" "new ArrayBuffer(2 ** 53)";
    "P-ERROR-3" "p_error_a_length_beyond_its_maximum" needs [RESIZABLE] allocate_beyond_maximum
        => "Memory(MaximumTooSmall)" "INVALID_LENGTH" "RangeError" "new ArrayBuffer(9, { maxByteLength: 8 })";
    "P-ERROR-4" "p_error_resized_beyond_the_maximum" needs [RESIZABLE] resize_too_much
        => "InvalidLength" "INVALID_LENGTH" "RangeError" "b.resize(17)";
    "P-ERROR-5" "p_error_transferred_beyond_the_maximum" needs [RESIZABLE] transfer_too_much
        => "InvalidLength" "INVALID_LENGTH" "RangeError" "b.transfer(17)";
    "P-ERROR-6" "p_error_shared_memory_grown_to_less" needs [RESIZABLE, SHARED] grow_to_less
        => "InvalidLength" "INVALID_LENGTH" "RangeError" "b.grow(7)";
    "P-ERROR-7" "p_error_a_detached_buffer_transferred" needs [] transfer_detached
        => "Detached" "DETACHED" "TypeError" "b.transfer()";
    "P-ERROR-8" "p_error_a_detached_buffer_resized" needs [RESIZABLE] resize_detached
        => "Detached" "DETACHED" "TypeError" "b.resize(1)";
    "P-ERROR-9" "p_error_a_detached_buffer_read" needs [] read_detached
        => "Detached" "DETACHED" "TypeError" "new Uint8Array(b)";
    "P-ERROR-10" "p_error_shared_memory_detached" needs [SHARED] detach_shared
        => "NotDetachable" "NOT_DETACHABLE" "TypeError" "ArrayBuffer.prototype.transfer.call(b)";
    "P-ERROR-11" "p_error_shared_memory_transferred" needs [SHARED] transfer_shared
        => "NotDetachable" "NOT_DETACHABLE" "TypeError" "ArrayBuffer.prototype.transfer.call(b)";
    "P-ERROR-12" "p_error_a_key_of_shared_memory" needs [SHARED, DETACH_KEYS] key_of_shared
        => "NotDetachable" "NOT_DETACHABLE" "TypeError";
    "P-ERROR-13" "p_error_detached_without_its_key" needs [DETACH_KEYS] detach_without_key
        => "WrongDetachKey" "WRONG_DETACH_KEY" "TypeError" "b.transfer()";
    "P-ERROR-14" "p_error_transferred_without_its_key" needs [DETACH_KEYS] transfer_without_key
        => "WrongDetachKey" "WRONG_DETACH_KEY" "TypeError" "b.transfer()";
    "P-ERROR-15" "p_error_detached_with_a_key_that_was_not_set" needs [] detach_with_key
        => "WrongDetachKey" "WRONG_DETACH_KEY" "TypeError";
    "P-ERROR-16" "p_error_an_immutable_buffer_written" needs [IMMUTABLE] write_immutable
        => "Immutable" "IMMUTABLE" "TypeError" "new DataView(b).setUint8(0, 1)";
    "P-ERROR-17" "p_error_an_immutable_buffer_detached" needs [IMMUTABLE] detach_immutable
        => "Immutable" "IMMUTABLE" "TypeError" "b.transfer()";
    "P-ERROR-18" "p_error_an_immutable_buffer_transferred" needs [IMMUTABLE] transfer_immutable
        => "Immutable" "IMMUTABLE" "TypeError" "b.transfer()";
    "P-ERROR-19" "p_error_an_immutable_buffer_resized" needs [IMMUTABLE] resize_immutable
        => "Immutable" "IMMUTABLE" "TypeError" "b.resize(1)";
    "P-ERROR-20" "p_error_a_buffer_of_one_length_resized" needs [] resize_fixed
        => "NotResizable" "NOT_RESIZABLE" "TypeError" "b.resize(8)";
    "P-ERROR-21" "p_error_shared_memory_of_one_length_grown" needs [SHARED] grow_fixed
        => "NotResizable" "NOT_RESIZABLE" "TypeError" "b.grow(8)";
    "P-ERROR-22" "p_error_a_number_where_a_buffer_is_expected" needs [SCRIPT] number_for_buffer
        => "NotAnArrayBuffer" "NOT_AN_ARRAY_BUFFER" "TypeError" "new DataView(1)";
    "P-ERROR-23" "p_error_a_number_where_a_view_is_expected" needs [SCRIPT] number_for_view
        => "NotAnArrayBuffer" "NOT_AN_ARRAY_BUFFER" "TypeError" "DataView.prototype.getInt8.call(1)";
    "P-ERROR-24" "p_error_a_handle_of_another_isolate" needs [] other_isolate
        => "WrongIsolate" "WRONG_ISOLATE" "TypeError";
    "P-ERROR-25" "p_error_a_handle_of_an_isolate_that_ended" needs [] ended_isolate
        => "IsolateGone" "ISOLATE_GONE" "TypeError";
    "P-ERROR-26" "p_error_an_engine_called_in_a_finalizer" needs [] in_finalizer
        => "Unsupported" "UNSUPPORTED" "TypeError";
    "P-ERROR-27" "p_error_bytes_at_an_address_for_no_element" needs [] misaligned
        => "Misaligned" "MISALIGNED" "RangeError" "new Uint32Array(new ArrayBuffer(8), 1)";
    "P-ERROR-28" "p_error_a_store_exposed_in_two_isolates" needs [] expose_twice
        => "Memory(OtherIsolate)" "EXPOSED" "TypeError";
    "P-ERROR-29" "p_error_an_exposed_store_borrowed" needs [] borrow_exposed
        => "Memory(Exposed)" "EXPOSED" "TypeError";
    "P-ERROR-30" "p_error_an_exposed_store_taken_as_unique" needs [] take_exposed
        => "Memory(NotUnique)" "NOT_UNIQUE" "TypeError";
    "P-ERROR-31" "p_error_a_borrowed_store_exposed" needs [] expose_borrowed
        => "Memory(Busy)" "BUSY" "TypeError";
    "P-ERROR-32" "p_error_freed_memory_exposed" needs [] expose_freed
        => "Memory(Freed)" "FREED" "TypeError";
    "P-ERROR-33" "p_error_exposed_memory_freed" needs [] free_exposed
        => "Memory(FreeInUse)" "FREE_IN_USE" "TypeError";
    "P-ERROR-34" "p_error_exposed_memory_freed_twice" needs [] free_twice
        => "Memory(DoubleFree)" "DOUBLE_FREE" "TypeError";
}

/// Errors that no case here provokes, with the reason for each.
#[cfg(test)]
const NOT_MET: &[(&str, &str)] = &[
    ("AddressTaken", "two stores over one memory require unsafe code, or V8: tests of `offheap-v8`"),
    ("OutOfBounds", "only a view of script's is out of bounds: random sequences, and tests of the adapters"),
    ("Argument", "only native functions: `check_functions`, and random sequences"),
    ("Function", "only native functions: `check_functions`, and random sequences"),
    ("PartialElement", "`copy_of`, in a program's own context: tests of the adapters"),
    ("NotLent", "only the crate `v8` hands out an engine's memory: tests of `offheap-v8`"),
    ("LayoutChanged", "only with another build of QuickJS: unit tests of `offheap-quickjs`"),
    ("Flag", "only V8 is started with flags: tests of `offheap-v8`"),
    ("HeapLimit", "only V8 stops script for it: tests of `offheap-v8`"),
    ("EngineFailed", "an engine out of memory: the sweeps over each allocation"),
    ("Memory(TooLarge)", "no engine is involved: tests of `offheap`"),
    ("Memory(OutOfMemory)", "a process out of memory: the sweeps over each allocation"),
    ("Memory(OverBudget)", "a limit for the whole process: A4"),
    ("Memory(InvalidAlignment)", "no engine is involved: tests of `offheap`"),
    ("Memory(EngineResizes)", "only V8's own memory: tests of `offheap-v8`"),
    ("Memory(EngineMayShrink)", "only V8's own memory: tests of `offheap-v8`"),
    ("Memory(HostMayWrite)", "no engine here is a host: tests of `offheap`, and of the model engine"),
    ("Memory(ReadOnlyInHost)", "no engine here is a host: tests of `offheap`"),
    ("Memory(TooManyBuffers)", "32,767 buffers over one store: tests of `offheap`"),
    ("Memory(TooManyIsolates)", "more isolates than a test should make: tests of `offheap`"),
    ("Memory(NullData)", "requires unsafe code: tests of `offheap`"),
    ("Memory(AddressReused)", "requires unsafe code: tests of `offheap`"),
    ("Memory(AlreadyManual)", "requires unsafe code: tests of `offheap`"),
    ("Memory(Map)", "no engine is involved: tests of `offheap`"),
    ("Memory(ObserverSet)", "no engine is involved: tests of `offheap`"),
];

fn check(lab: &Lab<'_>, met: &[Met], number: &str) -> Result<(), Failure> {
    let met = met.iter().find(|met| met.number == number).expect("a row of the table");
    let mut engine = lab.isolate()?;
    let refused = (met.provoke)(lab, &mut *engine)?;
    let error = &refused.error;
    let variant = crate::errors::kind_of(error);
    let seen = [variant.as_str(), error.code(), error.class().name()];
    expect_eq!(seen, met.expected, "the error, its code and its class");
    let has_script = engine.capabilities().contains(Capabilities::SCRIPT);
    if met.script.is_empty() || !has_script {
        return Ok(());
    }
    if let Some(buffer) = &refused.buffer {
        engine.set_global("b", buffer)?;
    }
    let source = format!("try {{ {}; 'nothing' }} catch (error) {{ error.name }}", met.script);
    expect_eq!(text(&mut *engine, &source)?, met.expected[2], "what `{}` throws", met.script);
    Ok(())
}

/// The error of `result`, with the buffer of the refused operation.
#[track_caller]
fn refused<T>(result: Result<T, impl Into<Error>>, buffer: Handle<JsArrayBuffer>) -> Result<Refused, Failure> {
    Ok(Refused { buffer: Some(buffer), ..refused_outright(result)? })
}

/// The error of `result`, for an operation without a buffer.
#[track_caller]
fn refused_outright<T>(result: Result<T, impl Into<Error>>) -> Result<Refused, Failure> {
    match result {
        Err(error) => Ok(Refused { error: error.into(), buffer: None }),
        Ok(_) => Err(Failure::new("expected an error, saw success")),
    }
}

fn throw(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    refused_outright(engine.evaluate("throw new RangeError('far')"))
}

fn allocate_too_much(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    refused_outright(engine.allocate(engine.max_byte_length() + 1, None))
}

fn allocate_beyond_maximum(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    refused_outright(engine.allocate(9, Some(8)))
}

fn resize_too_much(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = engine.allocate(8, Some(16))?;
    refused(engine.resize(&buffer, 17), buffer)
}

fn transfer_too_much(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = engine.allocate(8, Some(16))?;
    refused(engine.transfer(&buffer, Some(17)), buffer)
}

fn grow_to_less(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = engine.allocate_shared(8, Some(16))?;
    refused(engine.resize(&buffer, 7), buffer)
}

fn transfer_detached(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = detached(engine, None)?;
    refused(engine.transfer(&buffer, None), buffer)
}

fn resize_detached(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = detached(engine, Some(16))?;
    refused(engine.resize(&buffer, 1), buffer)
}

fn read_detached(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = detached(engine, None)?;
    refused(engine.read(&buffer, 0), buffer)
}

fn detached(engine: &mut dyn Engine, max_byte_length: Option<usize>) -> Result<Handle<JsArrayBuffer>, Failure> {
    let buffer = engine.allocate(8, max_byte_length)?;
    engine.detach(&buffer, None)?;
    Ok(buffer)
}

fn detach_shared(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = shared(engine)?;
    refused(engine.detach(&buffer, None), buffer)
}

fn transfer_shared(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = shared(engine)?;
    refused(engine.transfer(&buffer, None), buffer)
}

fn key_of_shared(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = shared(engine)?;
    refused(engine.set_detach_key(&buffer, Some("key")), buffer)
}

fn grow_fixed(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = shared(engine)?;
    refused(engine.resize(&buffer, 8), buffer)
}

fn shared(engine: &mut dyn Engine) -> Result<Handle<JsArrayBuffer>, Failure> {
    Ok(engine.expose(SharedStore::zeroed(8)?.as_store())?.0)
}

fn detach_without_key(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = keyed(engine)?;
    refused(engine.detach(&buffer, None), buffer)
}

fn transfer_without_key(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = keyed(engine)?;
    refused(engine.transfer(&buffer, None), buffer)
}

fn detach_with_key(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = engine.allocate(8, None)?;
    refused(engine.detach(&buffer, Some("key")), buffer)
}

fn keyed(engine: &mut dyn Engine) -> Result<Handle<JsArrayBuffer>, Failure> {
    let buffer = engine.allocate(8, None)?;
    engine.set_detach_key(&buffer, Some("key"))?;
    Ok(buffer)
}

fn write_immutable(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = immutable(engine)?;
    refused(engine.write(&buffer, 0, 1), buffer)
}

fn detach_immutable(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = immutable(engine)?;
    refused(engine.detach(&buffer, None), buffer)
}

fn transfer_immutable(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = immutable(engine)?;
    refused(engine.transfer(&buffer, None), buffer)
}

fn resize_immutable(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = immutable(engine)?;
    refused(engine.resize(&buffer, 1), buffer)
}

fn immutable(engine: &mut dyn Engine) -> Result<Handle<JsArrayBuffer>, Failure> {
    Ok(engine.expose(&frozen(8)?)?.0)
}

fn resize_fixed(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = engine.allocate(8, None)?;
    refused(engine.resize(&buffer, 8), buffer)
}

fn number_for_buffer(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    refused_outright(engine.evaluate_buffer("1"))
}

fn number_for_view(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    refused_outright(engine.evaluate_view("1"))
}

fn other_isolate(lab: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let mut other = lab.isolate()?;
    let buffer = other.allocate(8, None)?;
    refused_outright(engine.externalize(&buffer))
}

fn ended_isolate(lab: &Lab<'_>, _: &mut dyn Engine) -> Result<Refused, Failure> {
    let mut other = lab.isolate()?;
    let buffer = other.allocate(8, None)?;
    other.shut_down();
    refused_outright(ManuallyExternalizedBuffer::new(buffer))
}

fn in_finalizer(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = engine.allocate(8, None)?;
    let _in_finalizer = InFinalizer::enter();
    refused_outright(ManuallyExternalizedBuffer::new(buffer))
}

fn misaligned(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    // The bytes of a `Vec<u64>` begin at a multiple of 8.
    let store: BackingStore = UniqueStore::from_owner(vec![0_u64; 2])?.into();
    refused_outright(engine.expose(&store.slice(1..)?))
}

fn expose_twice(lab: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let store = store_of(vec![1; 8])?;
    let mut other = lab.isolate()?;
    let _exposed = other.expose(&store)?;
    refused_outright(engine.expose(&store))
}

fn borrow_exposed(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let mut store = store_of(vec![1; 8])?;
    let _exposed = engine.expose(&store)?;
    let borrowed = store.bytes_mut().map(drop);
    refused_outright(borrowed)
}

fn take_exposed(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let store = store_of(vec![1; 8])?;
    let _exposed = engine.expose(&store)?;
    refused_outright(store.try_into_unique())
}

fn expose_borrowed(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let mut store = store_of(vec![1; 8])?;
    let other = store.clone();
    let _bytes = store.bytes_mut()?;
    refused_outright(engine.expose(&other))
}

fn expose_freed(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let memory = ManualMemory::allocate(8)?;
    memory.free()?;
    refused_outright(engine.expose(memory.store()))
}

fn free_exposed(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let memory = ManualMemory::allocate(8)?;
    let (buffer, _) = engine.expose(memory.store())?;
    let freed = memory.free();
    engine.detach(&buffer, None)?;
    memory.free()?;
    refused_outright(freed)
}

fn free_twice(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let memory = ManualMemory::allocate(8)?;
    let (buffer, _) = engine.expose(memory.store())?;
    engine.detach(&buffer, None)?;
    memory.free()?;
    refused_outright(memory.free())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_met_in_a_case_or_said_not_to_be() {
        for error in crate::one_of_each_error() {
            let variant = crate::errors::kind_of(&error);
            let rows: Vec<_> = MET.iter().chain(of_stores::MET).filter(|met| met.expected[0] == variant).collect();
            let is_listed = NOT_MET.iter().any(|(listed, _)| *listed == variant);
            assert!(
                rows.is_empty() == is_listed,
                "{variant}: {} cases, and listed in NOT_MET: {is_listed}",
                rows.len()
            );
            for met in rows {
                assert_eq!(met.expected, [variant.as_str(), error.code(), error.class().name()]);
            }
        }
        let all: Vec<_> = crate::one_of_each_error().iter().map(crate::errors::kind_of).collect();
        assert!(NOT_MET.iter().all(|(listed, _)| all.iter().any(|variant| variant == listed)), "an error that is gone");
    }
}
