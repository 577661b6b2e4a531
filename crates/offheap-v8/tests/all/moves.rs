//! Random steps with isolates between which a program moves V8's blocks. The test records where the buffers and blocks
//! are. Bytes may only be lent if no other code has them.

use std::time::{Duration, Instant};

use fastrand::Rng;
use offheap_v8::offheap::{self, BackingStore, UniqueStore};
use offheap_v8::{Error, Handle, Isolate, JsArrayBuffer, ScopeExt, v8};

use crate::common::{in_child, isolate, run, set, start};

const ISOLATES: usize = 3;
const MEMORIES: usize = 4;
const BYTES: usize = 4;

/// One memory, with the buffers and blocks that refer to it.
#[derive(Default)]
struct Memory {
    store: Option<BackingStore>,
    block: Option<v8::SharedRef<v8::BackingStore>>,
    /// The isolates that have a buffer over it, with a handle or without.
    buffers: [Option<Option<Handle<JsArrayBuffer>>>; ISOLATES],
    bytes: [u8; BYTES],
    resizable: bool,
}

impl Memory {
    fn is_alive(&self) -> bool {
        self.store.is_some() || self.block.is_some() || self.buffers.iter().any(Option::is_some)
    }

    /// Whether only `isolate` has it.
    fn is_only_in(&self, isolate: Option<usize>) -> bool {
        self.block.is_none() && (0..ISOLATES).all(|other| self.buffers[other].is_none() || Some(other) == isolate)
    }
}

#[derive(Default, Debug)]
struct Seen {
    lent: usize,
    refused: usize,
    moved: usize,
    outside: usize,
    ended: usize,
}

struct World {
    isolates: Vec<Isolate>,
    memories: Vec<Memory>,
    random: Rng,
    seen: Seen,
}

/// Its isolates have V8's allocator, or ours.
fn fresh(index: usize) -> Isolate {
    start();
    if index == 0 { Isolate::builder().v8_allocator().build().unwrap() } else { isolate() }
}

fn name(memory: usize) -> String {
    format!("globalThis.m{memory}")
}

impl World {
    fn new(seed: u64) -> Self {
        World {
            isolates: (0..ISOLATES).map(fresh).collect(),
            memories: (0..MEMORIES).map(|_| Memory::default()).collect(),
            random: Rng::with_seed(seed),
            seen: Seen::default(),
        }
    }

    fn step(&mut self) {
        let (memory, isolate) = (self.random.usize(..MEMORIES), self.random.usize(..ISOLATES));
        match self.random.usize(..100) {
            0..15 if !self.memories[memory].is_alive() => self.make(memory, isolate),
            0..25 => self.give(memory, isolate),
            25..35 => self.take_block(memory, isolate),
            35..47 => self.memories[memory].block = None,
            47..57 => self.detach(memory, isolate),
            57..62 => self.write(memory, isolate),
            62..66 => self.handle(memory, isolate),
            66..68 => {
                self.memories[memory].buffers[isolate] = self.memories[memory].buffers[isolate].as_ref().map(|_| None)
            }
            68..71 => self.isolates[isolate].enter(|scope| scope.collect()),
            71..72 => self.end(isolate),
            72..74 => self.memories[memory].store = None,
            74..82 => self.look_outside(memory),
            _ => self.lend(memory, isolate),
        }
    }

    fn make(&mut self, memory: usize, isolate: usize) {
        let (name, kind) = (name(memory), self.random.usize(..3));
        let here = &mut self.memories[memory];
        *here = Memory { bytes: [1, 2, 3, 4], resizable: kind == 1, ..Memory::default() };
        let buffer = self.isolates[isolate].enter(|scope| match kind {
            2 => {
                let store = BackingStore::from(UniqueStore::from_owner(vec![1_u8, 2, 3, 4]).unwrap());
                let buffer = scope.expose(&store).unwrap();
                scope.set_global(&name["globalThis.".len()..], &buffer).unwrap();
                here.store = Some(store);
                buffer.into_handle()
            }
            _ => {
                let maximum = if kind == 1 { ", { maxByteLength: 8 }" } else { "" };
                let source =
                    format!("{name} = new ArrayBuffer(4{maximum}); new Uint8Array({name}).set([1, 2, 3, 4]); {name}");
                scope.eval_buffer(&source).unwrap().into_handle()
            }
        });
        here.buffers[isolate] = Some(Some(buffer));
    }

    /// Makes a buffer over the block in another isolate.
    fn give(&mut self, memory: usize, isolate: usize) {
        let here = &mut self.memories[memory];
        let Some(block) = &here.block else { return };
        // Two buffers that resize one block would fault. Preventing that is up to the crate `v8`.
        if here.buffers[isolate].is_some() || here.resizable && here.buffers.iter().any(Option::is_some) {
            return;
        }
        self.isolates[isolate].enter(|scope| {
            scope.with_v8(|scope| {
                let buffer = v8::ArrayBuffer::with_backing_store(scope, block);
                set(scope, &name(memory)["globalThis.".len()..], buffer.into());
            });
        });
        here.buffers[isolate] = Some(None);
        self.seen.moved += 1;
    }

    fn take_block(&mut self, memory: usize, isolate: usize) {
        let here = &mut self.memories[memory];
        if here.buffers[isolate].is_none() {
            return;
        }
        here.block = Some(self.isolates[isolate].enter(|scope| {
            scope.with_v8(|scope| {
                let buffer = run(scope, &name(memory));
                v8::Local::<v8::ArrayBuffer>::try_from(buffer).unwrap().get_backing_store()
            })
        }));
    }

    fn detach(&mut self, memory: usize, isolate: usize) {
        if self.memories[memory].buffers[isolate].take().is_some() {
            self.isolates[isolate].enter(|scope| {
                let buffer = scope.eval_buffer(&name(memory)).unwrap();
                scope.detach(&buffer, None).unwrap();
            });
        }
    }

    fn write(&mut self, memory: usize, isolate: usize) {
        let (index, value) = (self.random.usize(..BYTES), self.random.usize(..256));
        let here = &mut self.memories[memory];
        if here.buffers[isolate].is_some() {
            let source = format!("new Uint8Array({})[{index}] = {value}; undefined", name(memory));
            self.isolates[isolate].enter(|scope| scope.eval::<()>(&source)).unwrap();
            here.bytes[index] = value as u8;
        }
    }

    /// A handle to the buffer, with its store.
    fn handle(&mut self, memory: usize, isolate: usize) {
        let here = &mut self.memories[memory];
        if here.buffers[isolate].is_none() {
            return;
        }
        let (buffer, store) = self.isolates[isolate].enter(|scope| {
            let buffer = scope.eval_buffer(&name(memory)).unwrap().into_handle();
            let store = scope.externalize(&buffer).unwrap();
            (buffer, store)
        });
        assert!(here.store.as_ref().is_none_or(|there| *there == store), "one memory, one store");
        here.store = Some(store);
        here.buffers[isolate] = Some(Some(buffer));
    }

    fn end(&mut self, isolate: usize) {
        for memory in &mut self.memories {
            memory.buffers[isolate] = None;
        }
        self.isolates[isolate] = fresh(isolate);
        self.seen.ended += 1;
    }

    /// A step that uses no isolate.
    fn look_outside(&mut self, memory: usize) {
        let here = &mut self.memories[memory];
        let Some(store) = &here.store else { return };
        match store.to_vec() {
            Ok(bytes) => assert_eq!(bytes, here.bytes),
            Err(error) => assert!(matches!(error, offheap::Error::EngineMayShrink { .. }), "{error}"),
        }
        if let Ok(bytes) = store.bytes() {
            assert!(here.is_only_in(None), "lent outside an isolate while an isolate has it");
            assert_eq!(bytes[..], here.bytes);
            self.seen.outside += 1;
        }
    }

    fn lend(&mut self, memory: usize, isolate: usize) {
        let (by_handle, value) = (self.random.bool(), self.random.u8(..));
        let here = &mut self.memories[memory];
        let handle = here.buffers[isolate].clone().flatten();
        let is_only_here = here.is_only_in(Some(isolate));
        let seen = &mut self.seen;
        let bytes = &mut here.bytes;
        self.isolates[isolate].enter(|scope| {
            let lent = match (&handle, &here.store) {
                (Some(handle), _) if by_handle => scope.bytes_mut(handle),
                (_, Some(store)) => scope.store_bytes_mut(store),
                _ => return,
            };
            match lent {
                Ok(mut lent) => {
                    assert!(is_only_here, "lent while another isolate has it");
                    assert_eq!(lent[..], *bytes);
                    (lent[0], bytes[0]) = (value, value);
                    seen.lent += 1;
                }
                Err(Error::NotLent { .. } | Error::Memory(_)) => seen.refused += 1,
                Err(error) => panic!("{error}"),
            }
        });
    }
}

#[test]
fn a5_what_is_lent_is_nobody_elses_whatever_moved_before() {
    // It runs in its own process, where no other code takes ids and memory.
    if let Some(output) = in_child("moves::a5_what_is_lent_is_nobody_elses_whatever_moved_before") {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let until = Instant::now() + Duration::from_secs(3);
    // At least one, because valgrind is slow.
    for seed in 1.. {
        let mut world = World::new(seed);
        (0..5_000).for_each(|_| world.step());
        println!("seed {seed}: {:?}", world.seen);
        let Seen { lent, refused, moved, outside, ended } = world.seen;
        assert!([lent, refused, moved, outside, ended].iter().all(|&count| count > 10), "{:?}", world.seen);
        if Instant::now() > until {
            return;
        }
    }
}
