//! A failed hand-over gives the value back.

use std::error::Error as StdError;

use offheap::{BackingStore, Error, Rejected, UniqueStore};

fn is_error<T: StdError + Send + Sync + 'static>() {}

#[test]
fn rejected_is_an_error_for_every_value_that_can_be_sent() {
    is_error::<Rejected<BackingStore>>();
    is_error::<Rejected<std::cell::Cell<u8>>>();
    is_error::<Rejected<Box<dyn FnOnce() + Send>>>();
}

#[test]
fn rejected_says_what_its_error_says() {
    let rejected = Rejected::new(Error::OutOfMemory { requested: 5 }, ());
    assert_eq!(rejected.to_string(), Error::OutOfMemory { requested: 5 }.to_string());
    assert!(format!("{rejected:?}").contains("OutOfMemory"));
}

#[test]
fn a_question_mark_boxes_a_rejected_store() {
    fn alone(store: BackingStore) -> Result<UniqueStore, Box<dyn StdError + Send + Sync>> {
        Ok(store.try_into_unique()?)
    }
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let error = alone(store.clone()).unwrap_err();
    let rejected = error.downcast::<Rejected<BackingStore>>().unwrap();
    assert_eq!(rejected.into_inner(), store);
}

#[test]
fn a_question_mark_makes_the_cores_error_of_it() {
    fn alone(store: BackingStore) -> Result<UniqueStore, Error> {
        Ok(store.try_into_unique()?)
    }
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    assert!(matches!(alone(store.clone()), Err(Error::NotUnique { .. })));
    assert_eq!(store.reference_count(), 1);
}
