//! One scenario that uses the whole API, in which the n-th allocation fails, for every n. Each time there is an error,
//! values come back, nothing leaks and nothing aborts. Prints how many n were reached.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use offheap::adapter::{self, Hold, IsolateRegistration};
use offheap::{
    BackingStore, Error, FrozenStore, ManualHeap, ManualMemory, ManualOptions, MapMode, MapProblem, Mapped, Owner,
    Rejected, SharedStore, UniqueStore,
};

/// With fewer allocations than this the scenario no longer covers the API.
const LEAST: usize = 30;

thread_local! {
    /// How many allocations of this thread succeed before one fails; `None` if all do.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    /// The number of live blocks of this thread.
    static BLOCKS: Cell<isize> = const { Cell::new(0) };
}

struct Failing;

fn fails() -> bool {
    match LEFT.get() {
        None => false,
        Some(0) => {
            LEFT.set(None);
            true
        }
        Some(left) => {
            LEFT.set(Some(left - 1));
            false
        }
    }
}

fn counted(data: *mut u8) -> *mut u8 {
    BLOCKS.set(BLOCKS.get() + isize::from(!data.is_null()));
    data
}

// SAFETY: passes everything on to the system's allocator, or fails.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        counted(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        counted(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        BLOCKS.set(BLOCKS.get() - 1);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(data, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Makes a value that the scenario hands over: its own allocations do not count.
fn spared<T>(make: impl FnOnce() -> T) -> T {
    let left = LEFT.take();
    let made = make();
    LEFT.set(left);
    made
}

/// The error of a refused hand-over. Checks that the given value came back.
fn back<T>(is_whole: impl FnOnce(&T) -> bool) -> impl FnOnce(Rejected<T>) -> Error {
    |rejected| {
        let (error, value) = rejected.into_parts();
        assert!(is_whole(&value), "another value came back");
        error
    }
}

/// Hands the memory of `owner` over, back, and over again.
fn hand_over<O: Owner>(owner: O, is_whole: fn(&O) -> bool) -> Result<(), Error> {
    let store = UniqueStore::from_owner(owner).map_err(back(is_whole))?;
    let store = BackingStore::from(store);
    let weak = store.downgrade();
    let id = store.id();
    let store = store.try_into_unique().map_err(back(|store: &BackingStore| store.id() == id))?;
    drop(weak);
    let owner: O = store.try_into_owner().map_err(Error::from)?;
    let shared = SharedStore::from_owner(owner).map_err(back(is_whole))?;
    drop(shared.clone());
    Ok(())
}

fn copies(store: &BackingStore) -> Result<(), Error> {
    let part = store.slice_elements::<u32>(4, 1)?;
    drop((store.to_vec()?, store.copy_out::<u16>()?, part.copy_out::<u32>()?));
    store.copy_to_slice(0, &mut [0; 4])
}

fn unique_and_shared() -> Result<(), Error> {
    copies(&UniqueStore::zeroed(16)?.into())?;
    copies(&UniqueStore::zeroed_aligned(16, 64)?.into())?;
    copies(&UniqueStore::filled(16, |bytes| bytes.fill(1))?.into())?;
    let mut resizable = UniqueStore::resizable(16, 1 << 20)?;
    resizable.resize(1 << 20)?;
    resizable.resize(16)?;
    copies(&resizable.into())?;
    copies(&BackingStore::from(UniqueStore::resizable(16, 100)?))?;
    copies(&SharedStore::zeroed(16)?.into())?;
    let growable = SharedStore::growable(8, 1 << 20)?;
    growable.grow(16)?;
    growable.copy_from_slice(0, &growable.to_vec()?)?;
    atomics_and_cursors(&growable)?;
    copies(growable.as_store())
}

fn handed_over() -> Result<(), Error> {
    hand_over(spared(|| vec![1u32, 2]), |vec| vec[..] == [1, 2])?;
    hand_over(spared(|| Box::<[u8]>::from([3, 4])), |boxed| **boxed == [3, 4])?;
    let store = UniqueStore::from_owner_with_deleter(spared(|| vec![5u8]), |_, _| ());
    drop(store.map_err(back(|(vec, _): &(Vec<u8>, _)| vec[..] == [5]))?);
    // SAFETY: no bytes.
    drop(unsafe { UniqueStore::from_raw_parts(std::ptr::null_mut(), 0, |_, _| ()) }.map_err(Error::from)?);
    let numbers = spared(|| Arc::<[u8]>::from([6, 7]));
    let frozen = FrozenStore::from_owner(numbers.clone()).map_err(back(|numbers: &Arc<[u8]>| **numbers == [6, 7]))?;
    drop(BackingStore::from(frozen).to_vec()?);
    drop(FrozenStore::from_owner(&[8u8][..]).map_err(Error::from)?);
    let text =
        FrozenStore::from_owner(spared(|| String::from("text"))).map_err(back(|text: &String| text == "text"))?;
    drop(FrozenStore::try_from(spared(|| vec![9u8])).map_err(back(|vec: &Vec<u8>| vec[..] == [9]))?);
    let store = BackingStore::try_from(spared(|| vec![0u8; 9])).map_err(back(|vec: &Vec<u8>| vec.len() == 9))?;
    copies_between(&store, &text.slice(1..)?.into())
}

/// Needs no memory.
fn atomics_and_cursors(store: &SharedStore) -> Result<(), Error> {
    let left = LEFT.replace(Some(0));
    store.atomic_slice::<u64>()?.fetch_add(0, 1);
    let mut cursor = store.as_store().cursor();
    let copied =
        cursor.write(&[1, 2]).and_then(|_| cursor.seek(SeekFrom::Start(1))).and_then(|_| cursor.read(&mut [0]));
    assert_eq!(LEFT.replace(left), Some(0), "a use of shared memory took memory");
    assert_eq!(copied.expect("in bounds"), 1);
    Ok(())
}

/// Needs no memory.
fn copies_between(store: &BackingStore, text: &BackingStore) -> Result<(), Error> {
    let shared = SharedStore::zeroed(9)?;
    let left = LEFT.replace(Some(0));
    let copied = [
        store.copy_from_store(0, text, ..),
        store.copy_from_store(1, store, ..8),
        shared.copy_from_store(0, text, ..),
        shared.copy_from_store(0, store, ..),
        shared.copy_from_store(1, shared.as_store(), ..8),
    ];
    assert_eq!(LEFT.replace(left), Some(0), "a copy took memory");
    for copied in copied {
        copied?;
    }
    Ok(())
}

fn exposed() -> Result<(), Error> {
    let isolate = IsolateRegistration::new("Test")?;
    let store = BackingStore::from(UniqueStore::resizable(1, 100)?);
    let hold = Hold::new(&store, isolate.id())?;
    hold.resize(100)?;
    drop((hold.store(hold.data().as_ptr(), 100), store));
    Ok(())
}

fn freed_by_hand() -> Result<(), Error> {
    for byte_length in [0, 100, 1 << 20] {
        let memory = ManualMemory::allocate(byte_length)?;
        let copied = memory.store().to_vec();
        let listed = ManualHeap::unfreed();
        // A free needs no memory.
        memory.free()?;
        drop((copied?, listed?));
    }
    for shared in [false, true] {
        let options = ManualOptions { shared, max_byte_length: Some(100), ..ManualOptions::default() };
        ManualMemory::allocate_with(10, options)?.free()?;
    }
    // SAFETY: any size may be asked for.
    let data = unsafe { libc::calloc(10, 1) };
    // SAFETY: ten bytes that nobody else uses; `free` takes them on any thread.
    match unsafe { ManualMemory::adopt(data, 10, libc::free) } {
        Ok(memory) => memory.free(),
        Err(error) => {
            // SAFETY: refused, so the memory is still the test's.
            unsafe { libc::free(data) };
            Err(error)
        }
    }
}

fn mapped(path: &Path) -> Result<(), Error> {
    let map = Mapped::open(path, MapMode::CopyOnWrite)?;
    map.copy_from_slice(0, b"more")?;
    drop(map.store().to_vec()?);
    let missing = Mapped::open("/nowhere/at/all", MapMode::ReadOnly).unwrap_err();
    match missing {
        Error::Map { problem: MapProblem::Io(_), .. } => Ok(()),
        other => Err(other),
    }
}

fn scenario(path: &Path) -> Result<(), Error> {
    unique_and_shared()?;
    handed_over()?;
    exposed()?;
    freed_by_hand()?;
    mapped(path)
}

/// Runs `step` with its first allocation failing, then its second, until none is left to fail. Returns how many failed.
fn for_every_allocation(mut step: impl FnMut() -> Result<(), Error>) -> usize {
    for count in 0.. {
        LEFT.set(Some(count));
        let result = step();
        let reached = LEFT.replace(None).is_none();
        match result {
            Ok(()) if !reached => return count,
            Ok(()) => panic!("allocation {count} failed and nobody noticed"),
            Err(error) => assert!(matches!(error, Error::OutOfMemory { .. }), "allocation {count}: {error}"),
        }
    }
    unreachable!()
}

/// Makes the heap forget memory that was freed by hand, whose blocks it keeps for a while.
fn forget_freed() {
    for _ in 0..1024 {
        ManualMemory::allocate(0).unwrap().free().unwrap();
    }
}

fn file(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("offheap-{name}-{}", std::process::id()));
    std::fs::write(&path, "some bytes").unwrap();
    path
}

#[test]
fn whichever_allocation_fails_there_is_an_error_and_nothing_is_lost() {
    let path = file("every-allocation");
    // Run once before, to make everything that is kept for the life of the process.
    scenario(&path).unwrap();
    forget_freed();
    let before = BLOCKS.get();
    let reached = for_every_allocation(|| scenario(&path));
    forget_freed();
    assert_eq!(BLOCKS.get(), before, "blocks are left");
    println!("{reached} allocations of the scenario failed in turn");
    assert!(reached >= LEAST, "{reached} allocations are fewer than {LEAST}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn memory_kept_for_the_life_of_the_process_is_an_error_too_if_there_is_none() {
    // In a child process the tables are empty, and each failing step leaves them as they were.
    let path = file("kept-for-life");
    assert!(for_every_allocation(|| mapped(&path)) >= 6);
    std::fs::remove_file(&path).unwrap();
    let mut isolates = spared(|| Vec::with_capacity(100));
    for_every_allocation(|| {
        while isolates.len() < 100 {
            let isolate = IsolateRegistration::new("Test")?;
            isolate.set_name("one of many")?;
            isolates.push(isolate);
        }
        Ok(())
    });
    // Dropping these needs no memory.
    LEFT.set(Some(0));
    isolates.clear();
    assert_eq!(LEFT.take(), Some(0));
}

#[test]
fn a_place_in_a_script_that_cannot_be_kept_is_out_of_memory_and_no_abort() {
    let mut failed = 0;
    let place = loop {
        LEFT.set(Some(failed));
        let site = adapter::script_site("a.js", 3, 7);
        if LEFT.take().is_some() {
            break site;
        }
        assert_eq!(site.to_string(), "(out of memory)");
        failed += 1;
    };
    assert!(failed >= 2, "{failed}");
    assert_eq!(place.to_string(), "a.js:3:7");
    LEFT.set(Some(0));
    assert_eq!(adapter::script_site("a.js", 3, 7), place, "a known place needs no memory");
    LEFT.set(None);
}
