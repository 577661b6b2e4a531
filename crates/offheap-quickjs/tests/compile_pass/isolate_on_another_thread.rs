//! An isolate stays on its thread, and so do its handles.
use offheap_quickjs::Isolate;

fn main() {
    std::thread::spawn(|| {
        let mut isolate = Isolate::new().unwrap();
        assert_eq!(isolate.enter(|scope| scope.eval::<u32>("1").unwrap()), 1);
    })
    .join()
    .unwrap();
}
