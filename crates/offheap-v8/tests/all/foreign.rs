//! Memory that the crate `v8` made (`new_backing_store_from_bytes`). V8 drops its owner in the middle of an operation.

use std::cell::RefCell;

use offheap_v8::offheap::BackingStore;
use offheap_v8::{BackingStoreExt, Error, Handle, JsArrayBuffer, ManuallyExternalizedBuffer, Scope, ScopeExt, v8};

use crate::common::{isolate, run, set};

/// The code that the owner runs when V8 drops it.
struct Reenters(Vec<u8>);

thread_local! {
    static HANDLES: RefCell<Vec<Handle<JsArrayBuffer>>> = const { RefCell::new(Vec::new()) };
    static ANSWERS: RefCell<Vec<Result<BackingStore, String>>> = const { RefCell::new(Vec::new()) };
}

impl AsMut<[u8]> for Reenters {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Reenters {
    fn drop(&mut self) {
        for handle in HANDLES.take() {
            let answer = ManuallyExternalizedBuffer::new(handle);
            let answer = answer.map(|held| held.store().clone()).map_err(|rejected| rejected.to_string());
            ANSWERS.with_borrow_mut(|answers| answers.push(answer));
        }
    }
}

/// Makes a buffer over such memory, as script's `b`.
fn foreign(scope: &mut Scope<'_>, byte: u8) -> Handle<JsArrayBuffer> {
    scope.with_v8(|scope| {
        let block = v8::ArrayBuffer::new_backing_store_from_bytes(Box::new(Reenters(vec![byte; 64]))).make_shared();
        let buffer = v8::ArrayBuffer::with_backing_store(scope, &block);
        set(scope, "b", buffer.into());
    });
    scope.eval_buffer("b").unwrap().into_handle()
}

fn assert_refused(answers: &[Result<BackingStore, String>]) {
    for answer in answers {
        let message = answer.as_ref().expect_err("the memory is being freed");
        assert!(message.contains("owner's drop or an observer"), "{message}");
    }
}

#[test]
fn a3_an_owner_that_a_detach_drops_cannot_externalize_the_buffer_that_is_detached() {
    for ends in ["b.transfer(0); undefined", ""] {
        let mut isolate = isolate();
        isolate.enter(|scope| {
            let buffer = foreign(scope, 7);
            HANDLES.with_borrow_mut(|handles| handles.extend([buffer.clone(), buffer.clone()]));
            match ends {
                "" => scope.detach(&buffer, None).unwrap(),
                script => scope.eval::<()>(script).unwrap(),
            }
            // A store that the owner got would now be over freed memory.
            let answers = ANSWERS.take();
            assert!(answers.iter().flatten().all(|store| store.to_vec().unwrap() == [7; 64]), "freed memory was read");
            assert_eq!(answers.len(), 2);
            assert_refused(&answers);
            assert!(scope.state(&buffer).unwrap().detached);
            assert!(matches!(scope.externalize(&buffer), Err(Error::Detached { .. })));
        });
    }
}

#[test]
fn a3_an_owner_that_a_detach_drops_may_externalize_another_buffer() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let other = scope.eval_buffer("globalThis.other = new Uint8Array([1, 2, 3]).buffer").unwrap().into_handle();
        let buffer = foreign(scope, 7);
        HANDLES.with_borrow_mut(|handles| handles.push(other.clone()));
        scope.detach(&buffer, None).unwrap();
        let answers = ANSWERS.take();
        assert_eq!(answers[0].as_ref().unwrap().to_vec().unwrap(), [1, 2, 3]);
        assert_eq!(scope.externalize(&other).unwrap(), *answers[0].as_ref().unwrap());
    });
}

#[test]
fn a3_an_owner_that_a_collection_drops_externalizes_what_lives() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let other = scope.eval_buffer("globalThis.other = new Uint8Array([1, 2, 3]).buffer").unwrap().into_handle();
        drop(foreign(scope, 7));
        HANDLES.with_borrow_mut(|handles| handles.push(other.clone()));
        scope.eval::<()>("delete globalThis.b; undefined").unwrap();
        scope.collect();
        let answers = ANSWERS.take();
        assert_eq!(answers[0].as_ref().unwrap().to_vec().unwrap(), [1, 2, 3]);
        assert_eq!(scope.eval::<String>("new Uint8Array(other).join()").unwrap(), "1,2,3");
    });
}

#[test]
fn a3_memory_that_is_externalized_outlives_a_detach() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let buffer = foreign(scope, 7);
        let store = scope.with_v8(|scope| {
            let value = run(scope, "b");
            BackingStore::externalize(scope, value).unwrap()
        });
        HANDLES.with_borrow_mut(|handles| handles.push(buffer.clone()));
        scope.detach(&buffer, None).unwrap();
        assert_eq!(store.to_vec().unwrap(), [7; 64]);
        // The owner is dropped with the store. By then the buffer is detached.
        drop(store);
        assert_eq!(ANSWERS.take()[0].as_ref().unwrap().byte_length(), 0);
    });
}
