//! A failed hand-over gives the value back.

use std::error::Error as StdError;

use offheap::{BackingStore, Error, FrozenStore, Rejected, SharedStore, UniqueStore};

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
    fn unique(store: BackingStore) -> Result<UniqueStore, Box<dyn StdError + Send + Sync>> {
        Ok(store.try_into_unique()?)
    }
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let error = unique(store.clone()).unwrap_err();
    let rejected = error.downcast::<Rejected<BackingStore>>().unwrap();
    assert_eq!(rejected.into_inner(), store);
}

#[test]
fn a_question_mark_makes_the_cores_error_of_it() {
    fn unique(store: BackingStore) -> Result<UniqueStore, Error> {
        Ok(store.try_into_unique()?)
    }
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    assert!(matches!(unique(store.clone()), Err(Error::NotUnique { .. })));
    assert_eq!(store.reference_count(), 1);
}

#[test]
fn a_store_of_another_kind_comes_back_with_its_kind() {
    fn shared(store: BackingStore) -> Result<SharedStore, Box<dyn StdError + Send + Sync>> {
        Ok(SharedStore::try_from(store)?)
    }
    fn frozen(store: BackingStore) -> Result<FrozenStore, Box<dyn StdError + Send + Sync>> {
        Ok(FrozenStore::try_from(store)?)
    }
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    for (error, requested) in
        [(shared(store.clone()).unwrap_err(), "SharedStore"), (frozen(store.clone()).unwrap_err(), "FrozenStore")]
    {
        assert_eq!(
            error.to_string(),
            format!(
                "store {} is not a `{requested}`: it is unshared memory; copy its bytes into a new `{requested}` (`to_vec`)",
                store.id()
            )
        );
        assert_eq!(error.downcast::<Rejected<BackingStore>>().unwrap().into_inner(), store);
    }
    let part = BackingStore::from(FrozenStore::from_owner(&[1u8, 2][..]).unwrap()).slice(1..).unwrap();
    let back = shared(part.clone()).unwrap_err().downcast::<Rejected<BackingStore>>().unwrap();
    assert_eq!(back.into_inner(), part);
    assert_eq!(frozen(part).unwrap()[..], [2]);
}
