//! A store over a borrowed local, which outlives the local. Counterpart of `v8/src/borrowed.rs`.
use adapter::offheap::FrozenStore;

fn main() {
    let store = {
        let local = [7_u8; 4096];
        let lent = &[7_u8; 4096][..];
        #[cfg(feature = "refused")] // E0597
        let lent = &local[..];
        assert_eq!(lent, local);
        FrozenStore::from_owner(lent).unwrap()
    };
    assert_eq!(store[0], 7);
}
