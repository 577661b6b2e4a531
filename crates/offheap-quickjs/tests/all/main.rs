//! The tests of this crate in one program, because each program takes time to link. A file next to this folder is a
//! separate program, because it changes something for the whole process: the allocator or the observer.

mod advice;
mod common;
mod copies;
mod ending;
mod engine_facts;
mod functions;
mod growth;
mod guards;
mod lent;
mod manually_externalized_buffer;
mod middle;
mod moved;
mod names;
mod newtypes;
mod out_of_memory;
mod own_context;
mod parallel;
mod programs;
mod read_only;
mod reentrant;
mod reentry;
mod resizable;
mod retarget;
mod script;
mod shared;
mod slices;
mod stack;
mod still;
mod take;
mod taken;
mod teardown;
mod throw;
mod traced;
mod typed;
mod views;
