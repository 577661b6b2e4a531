//! Whether an isolate may lend the bytes of a store: whether nobody else has them.
//!
//! A store counts as exposed in the isolate in which its buffer was made or found. A program may take V8's block from that
//! buffer, by the crate `v8`, and make a buffer of it in another isolate, whose script runs on another thread. V8 does not
//! say who has a block, only how many references there are to it. So a slice is lent where each block of the store has a
//! buffer here that a handle is for, and no reference beside that and ours. Nobody can make another one then: it would be
//! of an existing one, and the scope is borrowed while the slice lives. Where no scope was ever lent no block was taken.

use std::ffi::c_long;
use std::sync::atomic::{Ordering, fence};

use offheap::{BackingStore, IsolateId, StoreKind};

use super::engine_memory::{find, release_let_go};
use super::natives;
use super::object::Buffer;
use super::roots::Roots;
use super::table;
use crate::{ENGINE, Error};

type Block = v8::SharedRef<v8::BackingStore>;

const UNKNOWN: &str = "since `with_v8` lent a scope a program may have taken the memory to another isolate, and V8 does not \
    say who has it; keep a handle to each of its buffers, let go of what else refers to their `v8::BackingStore`s, or copy \
    the bytes";
const MOVED: &str = "its buffer was moved here by means of V8's own, and it counts as exposed where it was until V8 lets go \
    of the memory; copy the bytes, and move the store instead: externalize and detach there, expose here";
const HELD: &str = "something beside its buffer refers to its `v8::BackingStore`, which may be a buffer in another isolate; \
    let go of that, or copy the bytes";

fn not_lent(attempted: &'static str, store: &BackingStore, here: IsolateId, why: &'static str) -> Error {
    Error::NotLent { engine: ENGINE, attempted, store: store.id(), here, why }
}

/// How many references to a block are ours, of those that stay: where a store was made of V8's memory, that of its owner,
/// the table's, and that of its exposure.
fn kept_by_us(block: &Block) -> c_long {
    if table::is_made_by_engine(block) { 3 } else { 0 }
}

/// Whether what refers to the block of a live buffer is that buffer, and we.
fn has_one_buffer(block: &Block) -> bool {
    let count = natives::use_count(block);
    // What others did with the bytes came before they let go.
    fence(Ordering::Acquire);
    count == kept_by_us(block) + 2
}

/// Refuses what would lend the bytes of `store`, of which `slot` may be a buffer, unless nobody else has them.
pub(crate) fn check_lendable(
    roots: &Roots,
    store: &BackingStore,
    slot: Option<usize>,
    attempted: &'static str,
) -> Result<(), Error> {
    let here = roots.state().isolate();
    match store.exposure() {
        // Another isolate has it, which the core refuses by itself.
        Some((isolate, _)) if isolate != here && slot.is_none() => Ok(()),
        Some((isolate, _)) if isolate != here => Err(not_lent(attempted, store, here, MOVED)),
        Some(_) if roots.state().was_lent() => match is_all_here(roots, store, slot)? {
            true => Ok(()),
            false => Err(not_lent(attempted, store, here, UNKNOWN)),
        },
        Some(_) | None => Ok(()),
    }
}

/// Whether all blocks of a store are those of buffers that handles are for.
#[cold]
fn is_all_here(roots: &Roots, store: &BackingStore, slot: Option<usize>) -> Result<bool, Error> {
    let buffers = || store.exposure().map_or(0, |(_, buffers)| buffers);
    let counted = buffers();
    if are_known(roots, store, slot, counted)? {
        return Ok(true);
    }
    // What V8 let go of counts as a buffer until it is looked at.
    release_let_go(roots.state());
    let left = buffers();
    Ok(left == 0 || left != counted && are_known(roots, store, slot, left)?)
}

/// Whether handles are for so many buffers over a store, each the only one of its block.
fn are_known(roots: &Roots, store: &BackingStore, slot: Option<usize>, buffers: u16) -> Result<bool, Error> {
    let mut seen = Vec::new();
    roots.any_object(slot, |scope, object| {
        let Ok(buffer) = Buffer::of(scope, object.into()) else { return false };
        if find(&buffer).is_none_or(|there| there.id() != store.id()) {
            return false;
        }
        let block = buffer.block();
        let address = &raw const *block;
        if !seen.contains(&address) && has_one_buffer(&block) {
            seen.push(address);
        }
        seen.len() == usize::from(buffers)
    })
}

/// Refuses to touch bytes of V8's memory as they are, where something beside one buffer refers to it.
pub(super) fn check_not_held(store: &BackingStore, here: IsolateId, attempted: &'static str) -> Result<(), Error> {
    if matches!(store.kind(), StoreKind::Shared | StoreKind::Frozen | StoreKind::Mapped) || store.exposure().is_none() {
        return Ok(());
    }
    // Ours, the buffer's, and this one. Memory of WebAssembly has an object that refers to it, too.
    let expected = if store.kind() == StoreKind::EngineGrowable { 3 + 3 } else { 3 + 2 };
    match table::made_block(store) {
        Some(block) if natives::use_count(&block) > expected => Err(not_lent(attempted, store, here, HELD)),
        _ => Ok(()),
    }
}
