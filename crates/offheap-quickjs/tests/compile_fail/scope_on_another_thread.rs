//! A scope stays on its thread.
use offheap_quickjs::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        std::thread::scope(|threads| {
            threads.spawn(|| scope.eval::<u32>("1").unwrap());
        });
    });
}
