//! Foreign memory: V8's `NewBackingStore(data, length, deleter, deleter_data)` in three forms.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use offheap::{BackingStore, Error, UniqueStore};

fn leaked(byte_length: usize) -> *mut u8 {
    Box::leak(vec![7u8; byte_length].into_boxed_slice()).as_mut_ptr()
}

fn unleak(data: *mut u8, byte_length: usize) {
    // SAFETY: the memory that `leaked` leaked, taken back once.
    drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(data, byte_length)) });
}

#[test]
fn a_closure_is_called_once_with_the_address_and_length_that_were_given() {
    let (sender, receiver) = mpsc::channel();
    let data = leaked(10);
    let deleter = move |data: *mut u8, byte_length| {
        sender.send((data.addr(), byte_length)).unwrap();
        unleak(data, byte_length);
    };
    // SAFETY: 10 bytes, which the deleter frees.
    let mut store = unsafe { UniqueStore::from_raw_parts(data, 10, deleter) }.unwrap();
    assert_eq!(&store[..], [7; 10]);
    store[9] = 1;
    let store = BackingStore::from(store);
    assert_eq!(store.as_ptr(), data.cast());
    drop(store);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [(data.addr(), 10)]);
}

#[test]
fn a_deleter_runs_on_the_thread_of_the_last_reference() {
    let (sender, receiver) = mpsc::channel();
    let deleter = move |data, byte_length| {
        unleak(data, byte_length);
        sender.send(thread::current().id()).unwrap();
    };
    // SAFETY: 3 bytes, which the deleter frees on any thread.
    let store = BackingStore::from(unsafe { UniqueStore::from_raw_parts(leaked(3), 3, deleter) }.unwrap());
    let elsewhere = thread::spawn(move || drop(store)).thread().id();
    assert_eq!(receiver.recv().unwrap(), elsewhere);
}

#[test]
fn null_of_length_0_is_an_empty_store_whose_deleter_is_called() {
    let (sender, receiver) = mpsc::channel();
    let deleter = move |data: *mut u8, byte_length| sender.send((data.is_null(), byte_length)).unwrap();
    // SAFETY: no bytes.
    let store = BackingStore::from(unsafe { UniqueStore::from_raw_parts(ptr::null_mut(), 0, deleter) }.unwrap());
    assert_eq!(store.byte_length(), 0);
    assert!(!store.as_ptr().is_null(), "engines get an address");
    assert_eq!(&store.bytes().unwrap()[..], [0_u8; 0]);
    drop(store);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [(true, 0)]);
}

#[test]
fn an_address_of_length_0_is_an_empty_store_whose_deleter_is_called() {
    let (sender, receiver) = mpsc::channel();
    let mut byte = 0u8;
    let deleter = move |data: *mut u8, byte_length| sender.send((data.addr(), byte_length)).unwrap();
    // SAFETY: no bytes.
    drop(unsafe { UniqueStore::from_raw_parts(&raw mut byte, 0, deleter) }.unwrap());
    assert_eq!(receiver.recv().unwrap(), ((&raw const byte).addr(), 0));
}

#[test]
fn null_with_a_length_gives_the_deleter_back_uncalled() {
    let called = Box::new(AtomicUsize::new(0));
    let deleter = move |_: *mut u8, _: usize| called.fetch_add(1, Ordering::SeqCst);
    let deleter = move |data: *mut u8, byte_length: usize| {
        assert_eq!(deleter(data, byte_length), 0, "called before");
    };
    // SAFETY: refused.
    let rejected = unsafe { UniqueStore::from_raw_parts(ptr::null_mut(), 8, deleter) }.unwrap_err();
    assert!(matches!(rejected.error(), Error::NullData { byte_length: 8 }));
    rejected.into_inner()(ptr::null_mut(), 0);
}

#[test]
fn a_length_beyond_all_memory_gives_the_deleter_back_uncalled() {
    let deleter = |_: *mut u8, _: usize| panic!("called");
    for byte_length in [isize::MAX as usize + 1, usize::MAX] {
        // SAFETY: refused.
        let rejected = unsafe { UniqueStore::from_raw_parts(leaked(0), byte_length, deleter) }.unwrap_err();
        assert!(matches!(rejected.error(), Error::TooLarge { requested, .. } if *requested == byte_length));
    }
}

/// The arguments of the C function below: address, length, and the number behind its data.
type Call = (usize, usize, u32);

extern "C" fn c_deleter(data: *mut c_void, byte_length: usize, deleter_data: *mut c_void) {
    if !data.is_null() {
        unleak(data.cast(), byte_length);
    }
    // SAFETY: the tests below pass such a box, and pass it once.
    let (sender, number) = *unsafe { Box::from_raw(deleter_data.cast::<(mpsc::Sender<Call>, u32)>()) };
    sender.send((data.addr(), byte_length, number)).unwrap();
}

#[test]
fn a_function_of_c_is_called_once_with_its_data() {
    let (sender, receiver) = mpsc::channel::<Call>();
    let data = leaked(6);
    let deleter_data = Box::into_raw(Box::new((sender, 42u32)));
    // SAFETY: 6 bytes, which `c_deleter` frees on any thread.
    let store = unsafe { UniqueStore::from_c(data.cast(), 6, c_deleter, deleter_data.cast()) }.unwrap();
    let store = BackingStore::from(store);
    let clone = store.clone();
    drop(store);
    thread::spawn(move || drop(clone)).join().unwrap();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [(data.addr(), 6, 42)]);
}

#[test]
fn a_function_of_c_is_called_for_null_of_length_0() {
    let (sender, receiver) = mpsc::channel::<Call>();
    let deleter_data = Box::into_raw(Box::new((sender, 1u32)));
    // SAFETY: no bytes.
    drop(unsafe { UniqueStore::from_c(ptr::null_mut(), 0, c_deleter, deleter_data.cast()) }.unwrap());
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [(0, 0, 1)]);
}

#[test]
fn a_function_of_c_is_not_called_where_the_memory_is_refused() {
    extern "C" fn never(_: *mut c_void, _: usize, _: *mut c_void) {
        std::process::abort();
    }
    // SAFETY: refused.
    let null = unsafe { UniqueStore::from_c(ptr::null_mut(), 1, never, ptr::null_mut()) };
    assert!(matches!(null, Err(Error::NullData { byte_length: 1 })));
}

#[test]
fn the_deleter_of_a_safe_owner_may_own_a_value_that_is_not_sync() {
    let calls = Cell::new(0);
    let (sender, receiver) = mpsc::channel();
    let deleter = move |_: *mut u8, byte_length| {
        calls.set(calls.get() + 1);
        sender.send((calls.get(), byte_length)).unwrap();
    };
    drop(UniqueStore::from_owner_with_deleter(vec![0u16; 3], deleter).unwrap());
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [(1, 6)]);
}
