use offheap::UniqueStore;

fn main() {
    let _ = UniqueStore::from_owner(Vec::from("text"));
}
