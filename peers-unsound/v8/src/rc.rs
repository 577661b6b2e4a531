//! The owner of a store need not be `Send`, although the store is: two threads change the count of an `Rc` at once.
//! Seen: "Possible data race" (helgrind), and a wrong count after all owners were dropped: the memory is never freed,
//! or freed while in use.

use std::rc::Rc;

use v8::ArrayBuffer;

struct Owner {
    bytes: [u8; 8],
    _counted: Rc<()>,
}

impl AsMut<[u8]> for Owner {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

pub(super) fn main() {
    let counted = Rc::new(());
    let rounds = super::rounds(256_000);
    let stores: Vec<_> = (0..rounds)
        .map(|_| {
            ArrayBuffer::new_backing_store_from_bytes(Box::new(Owner { bytes: [0; 8], _counted: counted.clone() }))
        })
        .map(|store| store.make_shared())
        .collect();
    std::thread::scope(|threads| {
        threads.spawn(move || drop(stores));
        for _ in 0..40 {
            drop(std::hint::black_box(vec![counted.clone(); rounds]));
        }
    });
    println!("count {}, one is left", Rc::strong_count(&counted));
}
