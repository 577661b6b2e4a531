//! The cases and what is around them, in one program: each program takes time to link. The files beside this folder are programs of
//! their own: they run for as long as they are told to, or set the observer of the whole process.
#![forbid(unsafe_code)]

mod circles;
mod common;
mod errors;
mod model;
mod quickjs;
mod runner;
