//! Writing to memory that must not change for script. Counterpart of `v8/src/immutable.rs`.
use adapter::Isolate;
use adapter::offheap::FrozenStore;

fn main() {
    let store = FrozenStore::from_owner(&[7_u8; 8][..]).unwrap();
    Isolate::new().unwrap().enter(|scope| {
        let (_buffer, _exposure) = scope.expose_or_copy(&store.clone().into()).unwrap();
        #[cfg(feature = "refused")] // E0594
        {
            store[0] = 9;
        }
    });
    assert_eq!(store[0], 7);
}
