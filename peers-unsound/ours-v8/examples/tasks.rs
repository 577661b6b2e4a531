//! Not prevented by offheap: a program's own platform gets V8's tasks, and runs them through the crate's safe API,
//! without a scope. This one does so while a guard lives, and the task calls a FinalizationRegistry of script.
//! Seen: SIGSEGV, because no isolate is entered.
#![forbid(unsafe_code)]

use std::ffi::c_void;
use std::sync::Mutex;

use adapter::Isolate;
use adapter::v8::{self, IdleTask, PlatformImpl, Task};

static TASKS: Mutex<Vec<Task>> = Mutex::new(Vec::new());

struct Keeps;

impl PlatformImpl for Keeps {
    fn post_task(&self, _: *mut c_void, task: Task) {
        TASKS.lock().unwrap().push(task);
    }
    fn post_non_nestable_task(&self, _: *mut c_void, task: Task) {
        TASKS.lock().unwrap().push(task);
    }
    fn post_delayed_task(&self, _: *mut c_void, _: Task, _: f64) {}
    fn post_non_nestable_delayed_task(&self, _: *mut c_void, _: Task, _: f64) {}
    fn post_idle_task(&self, _: *mut c_void, _: IdleTask) {}
}

fn main() {
    v8::V8::initialize_platform(v8::new_custom_platform(1, false, true, Keeps).make_shared());
    v8::V8::initialize();
    adapter::started_by_the_program();
    Isolate::new().unwrap().enter(|scope| {
        let source = "globalThis.b = new Uint8Array([7, 7, 7, 7]).buffer;
             globalThis.registry = new FinalizationRegistry(() => new Uint8Array(b).fill(9));
             (() => registry.register({}, 0))(); b";
        let buffer = scope.eval_buffer(source).unwrap();
        scope.collect();
        let bytes = scope.bytes(&buffer).unwrap();
        let before = bytes[0];
        println!("a &[u8] holds {before}");
        let tasks = std::mem::take(&mut *TASKS.lock().unwrap());
        tasks.into_iter().for_each(Task::run);
        println!("a &[u8] was {before} and is {}", std::hint::black_box(&bytes)[0]);
    });
}
