//! All tests of this crate in one program, except the conformance suite, because linking V8 takes long.
#![deny(unsafe_code)]

mod addresses;
mod again;
mod allocator;
mod blocks;
mod callbacks;
mod common;
mod crate_v8;
mod current;
mod deleters;
mod detaching;
mod ends;
mod extension;
mod externalize;
mod facts;
mod foreign;
mod guards;
mod heap;
mod loops;
mod maps;
mod messages;
mod modules;
mod moves;
mod observing;
mod own_scope;
mod pressure;
mod quiet;
mod resizable;
mod script;
mod side_by_side;
mod snapshot;
mod stack;
mod take;
mod typed;
mod views;
mod wasm;
