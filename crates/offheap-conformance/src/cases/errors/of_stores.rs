//! Errors of a store that native code got from an engine, or gave to it. The engine's memory behaves like any other.

use offheap_engine::Engine;
use offheap_engine::offheap::{BackingStore, ManualHeap, MapMode, Mapped, SharedStore};

use super::{Met, Refused, check, refused_outright};
use crate::cases::kit::frozen;
use crate::{Capabilities, Case, Failure, Lab};

met! {
    "P-ERROR-35" "p_error_a_part_beyond_the_bytes_of_a_buffer" needs [] slice_too_far
        => "Memory(OutOfRange)" "OUT_OF_RANGE" "RangeError" "new Uint8Array(new ArrayBuffer(8), 4, 8)";
    "P-ERROR-36" "p_error_an_element_that_begins_between_two" needs [] slice_between_elements
        => "Memory(Misaligned)" "MISALIGNED" "RangeError" "new Uint32Array(new ArrayBuffer(8), 2)";
    "P-ERROR-37" "p_error_bytes_that_are_no_whole_number_of_elements" needs [] copy_half_an_element
        => "Memory(PartialElement)" "PARTIAL_ELEMENT" "RangeError" "new Uint32Array(new ArrayBuffer(9))";
    "P-ERROR-38" "p_error_a_store_of_one_length_resized_by_native_code" needs [] resize_in_rust
        => "Memory(NotResizable)" "NOT_RESIZABLE" "TypeError" "new ArrayBuffer(8).resize(9)";
    "P-ERROR-39" "p_error_unshared_memory_as_shared" needs [] share
        => "Memory(OtherKind)" "OTHER_KIND" "TypeError";
    "P-ERROR-40" "p_error_shared_memory_borrowed" needs [SHARED] borrow_shared
        => "Memory(SharedSlice)" "NO_SLICE" "TypeError";
    "P-ERROR-41" "p_error_read_only_memory_written_by_native_code" needs [IMMUTABLE] write_read_only
        => "Memory(ReadOnly)" "READ_ONLY" "TypeError";
    "P-ERROR-42" "p_error_a_mapped_file_borrowed" needs [IMMUTABLE] borrow_mapped
        => "Memory(MappedSlice)" "NO_SLICE" "TypeError";
    "P-ERROR-43" "p_error_memory_of_the_engine_freed_by_hand" needs [] free_what_the_engine_has
        => "Memory(UnknownAddress)" "UNKNOWN_ADDRESS" "TypeError";
    "P-ERROR-44" "p_error_a_second_buffer_over_memory_whose_length_changes" needs [RESIZABLE] expose_resizable_again
        => "Memory(OneBuffer)" "EXPOSED" "TypeError";
    "P-ERROR-45" "p_error_exposed_shared_memory_grown_to_less_by_native_code" needs [RESIZABLE, SHARED] shrink_shared
        => "Memory(SharedShrink)" "INVALID_LENGTH" "RangeError" "new SharedArrayBuffer(8, { maxByteLength: 16 }).grow(7)";
    "P-ERROR-46" "p_error_exposed_shared_memory_grown_beyond_its_maximum" needs [RESIZABLE, SHARED] grow_too_much
        => "Memory(AboveMaximum)" "INVALID_LENGTH" "RangeError" "new SharedArrayBuffer(8, { maxByteLength: 16 }).grow(17)";
    "P-ERROR-47" "p_error_memory_of_the_engine_as_another_owner" needs [] another_owner
        => "Memory(OtherOwner)" "OTHER_OWNER" "TypeError";
}

/// The store of a buffer that the engine made.
fn of_engine(engine: &mut dyn Engine, byte_length: usize) -> Result<BackingStore, Failure> {
    let buffer = engine.allocate(byte_length, None)?;
    Ok(engine.externalize(&buffer)?)
}

fn slice_too_far(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    refused_outright(of_engine(engine, 8)?.slice(4..12))
}

fn slice_between_elements(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    refused_outright(of_engine(engine, 8)?.slice_elements::<u32>(2, 1))
}

fn copy_half_an_element(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    refused_outright(of_engine(engine, 9)?.copy_out::<u32>())
}

fn resize_in_rust(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    refused_outright(of_engine(engine, 8)?.resize(9))
}

fn share(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    refused_outright(SharedStore::try_from(of_engine(engine, 8)?))
}

fn borrow_shared(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = engine.allocate_shared(8, None)?;
    let store = engine.externalize(&buffer)?;
    let borrowed = store.bytes().map(drop);
    refused_outright(borrowed)
}

fn write_read_only(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let (buffer, _) = engine.expose(&frozen(8)?)?;
    let store = engine.externalize(&buffer)?;
    refused_outright(store.copy_from_store(0, &store, ..1))
}

fn borrow_mapped(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::new(error.to_string()))?;
    let store = Mapped::open(program, MapMode::ReadOnly)?.store().slice(..64)?;
    let (buffer, _) = engine.expose(&store)?;
    let store = engine.externalize(&buffer)?;
    let borrowed = store.bytes().map(drop);
    refused_outright(borrowed)
}

fn expose_resizable_again(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = engine.allocate(8, Some(16))?;
    let store = engine.externalize(&buffer)?;
    refused_outright(engine.expose(&store))
}

fn shrink_shared(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let shared = SharedStore::growable(8, 16)?;
    let _exposed = engine.expose(shared.as_store())?;
    refused_outright(shared.grow(7))
}

fn grow_too_much(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let shared = SharedStore::growable(8, 16)?;
    let _exposed = engine.expose(shared.as_store())?;
    refused_outright(shared.grow(17))
}

fn another_owner(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let buffer = engine.allocate(8, None)?;
    refused_outright(engine.take(&buffer, None)?.try_into_owner::<Vec<u32>>())
}

fn free_what_the_engine_has(_: &Lab<'_>, engine: &mut dyn Engine) -> Result<Refused, Failure> {
    let store = of_engine(engine, 8)?;
    let freed = ManualHeap::free(store.as_ptr());
    store.to_vec()?;
    refused_outright(freed)
}
