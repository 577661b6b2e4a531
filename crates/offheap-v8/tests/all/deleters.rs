//! Where deleters run: inside a detach, on a sweeper thread, after the end of the isolate. And what deleters must not
//! do.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use offheap_v8::offheap::{BackingStore, UniqueStore};
use offheap_v8::{BackingStoreExt, Handle, Isolate, JsArrayBuffer, ManuallyExternalizedBuffer, ScopeExt, v8};

use crate::common::{counted, in_child, isolate, run, set};

thread_local! {
    static HANDLE: RefCell<Option<Handle<JsArrayBuffer>>> = const { RefCell::new(None) };
    static ISOLATE: RefCell<Option<Isolate>> = const { RefCell::new(None) };
    static REFUSED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Makes a store with this deleter.
fn with_deleter(deleter: impl FnOnce() + Send + 'static) -> BackingStore {
    UniqueStore::from_owner_with_deleter(vec![1_u8; 64], move |_, _| deleter()).unwrap().into()
}

fn externalize_the_kept_handle() {
    if let Some(handle) = HANDLE.take()
        && let Err(rejected) = ManuallyExternalizedBuffer::new(handle)
    {
        REFUSED.with_borrow_mut(|refused| refused.push(rejected.to_string()));
    }
}

/// Script that releases the memory at once.
const DETACH: &str = "b.transfer(0); delete globalThis.b; undefined";

#[test]
fn a_deleter_inside_of_a_detach_cannot_externalize_the_buffer_whose_memory_it_frees() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let store = with_deleter(externalize_the_kept_handle);
        let buffer = scope.expose(&store).unwrap().into_handle();
        scope.set_global("b", &buffer).unwrap();
        HANDLE.set(Some(buffer));
        drop(store);
        scope.eval::<()>(DETACH).unwrap();
    });
    let refused = REFUSED.take();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("owner's drop or an observer"), "{}", refused[0]);
}

#[test]
fn a_handle_that_a_deleter_drops_is_released_afterwards() {
    let mut isolate = isolate();
    let (other, dropped) = counted(vec![2; 8]);
    isolate.enter(|scope| {
        HANDLE.set(Some(scope.expose(&other).unwrap().into_handle()));
        let buffer = scope.expose(&with_deleter(|| drop(HANDLE.take()))).unwrap();
        scope.set_global("b", &buffer).unwrap();
        scope.eval::<()>(DETACH).unwrap();
        assert!(HANDLE.with_borrow(Option::is_none));
        scope.collect();
    });
    assert_eq!(other.exposure(), None);
    drop(other);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn an_isolate_that_a_deleter_enters_ends_the_process() {
    let Some(output) = in_child("deleters::an_isolate_that_a_deleter_enters_ends_the_process") else {
        let mut isolate = isolate();
        let store = with_deleter(|| {
            ISOLATE.with_borrow_mut(|isolate| isolate.as_mut().unwrap().enter(|scope| scope.collect()));
            eprintln!("not reached");
        });
        ISOLATE.set(Some(Isolate::new().unwrap()));
        isolate.enter(|scope| {
            let buffer = scope.expose(&store).unwrap();
            drop(store);
            scope.set_global("b", &buffer).unwrap();
            scope.eval::<()>(DETACH).unwrap();
        });
        eprintln!("not reached");
        return;
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(stderr.contains("entered an isolate that is freeing a buffer"), "{stderr}");
    assert!(stderr.contains("panicked while V8 was freeing a buffer"), "{stderr}");
    assert!(!stderr.contains("not reached"), "{stderr}");
}

#[test]
fn a_panic_in_a_deleter_ends_the_process_with_a_message() {
    let Some(output) = in_child("deleters::a_panic_in_a_deleter_ends_the_process_with_a_message") else {
        isolate().enter(|scope| {
            let buffer = scope.expose(&with_deleter(|| panic!("the owner's own words"))).unwrap();
            scope.set_global("b", &buffer).unwrap();
            scope.eval::<()>(DETACH).unwrap();
        });
        eprintln!("not reached");
        return;
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(stderr.contains("the owner's own words"), "{stderr}");
    assert!(stderr.contains("panicked while V8 was freeing a buffer"), "{stderr}");
    assert!(!stderr.contains("not reached"), "{stderr}");
}

#[test]
fn deleters_run_on_a_thread_that_sweeps() {
    let mut isolate = isolate();
    let here = thread::current().id();
    let threads: Arc<Mutex<Vec<ThreadId>>> = Arc::default();
    let (mut made, mut collections) = (0, 0);
    // V8 decides where it sweeps. A collection that is not asked to save memory leaves the work to a thread.
    while !threads.lock().unwrap().iter().any(|&thread| thread != here) {
        collections += 1;
        assert!(collections < 1000, "no deleter ran on another thread in so many collections");
        isolate.enter(|scope| {
            for _ in 0..100 {
                let threads = Arc::clone(&threads);
                let deleter = move || threads.lock().unwrap().push(thread::current().id());
                drop(scope.expose(&with_deleter(deleter)).unwrap());
                made += 1;
            }
            scope.with_v8(|scope| scope.request_garbage_collection_for_testing(v8::GarbageCollectionType::Full));
            thread::sleep(Duration::from_millis(20));
        });
    }
    isolate.enter(|scope| scope.collect());
    assert_eq!(threads.lock().unwrap().len(), made, "each deleter ran once");
}

#[test]
fn a_block_that_v8_keeps_beyond_the_isolate_keeps_its_id_too() {
    let mut isolate = isolate();
    let id = isolate.id();
    let (store, dropped) = counted(vec![5; 16]);
    let block = isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let buffer = store.expose(scope).unwrap();
            set(scope, "b", buffer.into());
            run(scope, "new Uint8Array(b)[0] = 6");
            buffer.get_backing_store()
        })
    });
    drop(isolate);
    assert_eq!(store.exposure(), Some((id, 1)));
    let others: Vec<Isolate> = (0..4).map(|_| Isolate::new().unwrap()).collect();
    assert!(others.iter().all(|other| other.id() != id), "the id is not given out again");
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        drop(block);
        send.send(()).unwrap();
    });
    receive.recv().unwrap();
    assert_eq!(store.exposure(), None);
    assert_eq!(store.to_vec().unwrap()[..2], [6, 5]);
    drop(store);
    assert_eq!(dropped.get(), 1);
}
