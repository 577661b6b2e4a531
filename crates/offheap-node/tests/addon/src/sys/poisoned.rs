//! Memory that shows whether it is used after it was freed: it is filled with 0xDD then, and stays mapped.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offheap_node::offheap::{Owner, UniqueStore};

const POISON: u8 = 0xdd;

/// An owner that keeps its memory when it is dropped, and counts. Scenarios know it by its id.
pub(crate) struct Poisoned {
    id: u32,
    memory: Vec<u8>,
}

impl Poisoned {
    pub(crate) fn new(id: u32, byte_length: usize, byte: u8) -> Self {
        Poisoned { id, memory: vec![byte; byte_length] }
    }
}

// SAFETY: I-OWNER-SEND: a `Vec`'s elements are on the heap and stay there, and nobody else reaches them.
unsafe impl Owner for Poisoned {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::from(self.memory.as_mut_slice())
    }
}

/// Two stores over one memory, which is freed with the second of them. This is the mistake that is refused later.
pub(crate) fn two_stores(mut memory: Poisoned) -> [UniqueStore; 2] {
    let bytes = memory.memory();
    let memory = Arc::new(memory);
    [(); 2].map(|()| {
        let memory = Arc::clone(&memory);
        let deleter = move |_, _| drop(memory);
        // SAFETY: none, for the second store: both have these bytes. Only one of them is used.
        unsafe { UniqueStore::from_raw_parts(bytes.as_ptr().cast(), bytes.len(), deleter) }
            .unwrap_or_else(|rejected| panic!("{}", rejected.error()))
    })
}

impl Drop for Poisoned {
    fn drop(&mut self) {
        let mut memory = std::mem::take(&mut self.memory);
        memory.fill(POISON);
        let mut all = all();
        let freed = all.get_or_insert_default().entry(self.id).or_default();
        freed.count += 1;
        // For tools that check the allocator, it is really freed.
        if std::env::var_os("OFFHEAP_TEST_FREES").is_none() {
            freed.memory.push(memory);
        }
    }
}

/// What was freed under an id.
#[derive(Default)]
struct Freed {
    count: u32,
    memory: Vec<Vec<u8>>,
}

static ALL: Mutex<Option<HashMap<u32, Freed>>> = Mutex::new(None);

fn all() -> MutexGuard<'static, Option<HashMap<u32, Freed>>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often memory with this id was freed.
pub(crate) fn freed(id: u32) -> u32 {
    all().as_ref().and_then(|all| all.get(&id)).map_or(0, |freed| freed.count)
}

/// How many bytes were written after the memory was freed.
pub(crate) fn written(id: u32) -> usize {
    let all = all();
    let memory = all.as_ref().and_then(|all| all.get(&id)).map_or(&[][..], |freed| &freed.memory);
    memory.iter().flatten().filter(|byte| **byte != POISON).count()
}
