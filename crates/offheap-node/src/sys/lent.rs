//! Whether a block of V8 is over memory that another addon lent to Node by `napi_create_external_arraybuffer` or
//! `napi_create_external_buffer`. Node makes the addon free such memory when the environment ends, whoever still has the
//! block (seen on Node 20 to 26), so a reference to the block does not keep it.
//!
//! Node gives all such blocks one deleter. V8's API does not tell it, so it is read from the block. Where it is in there, and
//! which one it is, is found out by two blocks that are made for that.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use napi::Env;
use offheap_engine::memory::Block as _;

use super::block::Block;
use super::napi::{detach, external_array_buffer};
use super::symbols::{Pointer, is_of_the_host};
use super::v8::{Handle, V8};

/// Node's deleter, and its place in a block.
#[derive(Clone, Copy)]
struct Deleter {
    word: usize,
    address: usize,
}

static NODES: OnceLock<Deleter> = OnceLock::new();

/// Whether an addon lent the memory of this block to Node. Also true if that cannot be told. The first call finds out how to
/// tell.
#[inline]
pub(super) fn may_be_lent(v8: V8, env: &Env, block: &Block) -> bool {
    let deleter = NODES.get().copied().or_else(|| find(v8, env));
    deleter.is_none_or(|Deleter { word, address }| {
        // SAFETY: I-LAYOUT: a live block, and `find` looked whether blocks have this word.
        let found = unsafe { word_at(block, word) };
        found == address
    })
}

/// The memory of the two blocks. Nobody uses it.
static MEMORY: AtomicU64 = AtomicU64::new(0);
/// A word that nothing else in a block can have.
static DATA: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn ours(_: Pointer, _: usize, _: Pointer) {}

#[cold]
fn find(v8: V8, env: &Env) -> Option<Deleter> {
    const BYTE_LENGTH: usize = size_of::<AtomicU64>();
    let (memory, data) = (NonNull::from(&MEMORY).cast(), NonNull::from(&DATA).cast::<c_void>());
    // SAFETY: I-MAPPED: a static, and a deleter that does nothing.
    let block = unsafe { v8.new_block(false, memory, BYTE_LENGTH, ours, data) };
    let word_count = block.allocated_bytes() / size_of::<usize>();
    // SAFETY: I-LAYOUT: the block is that long, and no other code has it.
    let words: Vec<usize> = (0..word_count).map(|word| unsafe { word_at(&block, word) }).collect();
    // The deleter and its data are next to each other.
    let expected = [ours as *const () as usize, data.addr().get()];
    let mut places = words.windows(2).enumerate().filter(|(_, words)| *words == expected);
    let (word, _) = places.next().filter(|_| places.next().is_none())?;

    let buffer = external_array_buffer(env, memory, BYTE_LENGTH)?;
    let block = v8.as_array_buffer(Handle::of(&buffer)?).and_then(|buffer| v8.block(buffer));
    detach(&buffer);
    let block =
        block.filter(|block| block.data() == Some(memory) && word < block.allocated_bytes() / size_of::<usize>())?;
    // SAFETY: I-LAYOUT: the block is that long. Nobody writes its deleter.
    let address = unsafe { word_at(&block, word) };
    is_of_the_host(address).then(|| *NODES.get_or_init(|| Deleter { word, address }))
}

/// # Safety
/// The block has that many words, and nobody writes this one.
unsafe fn word_at(block: &Block, index: usize) -> usize {
    let words = block.address().cast::<usize>();
    // SAFETY: I-LAYOUT: the caller's promise.
    let word = unsafe { words.add(index) };
    // SAFETY: I-LAYOUT: the caller's promise; any word is a number.
    unsafe { word.read() }
}
