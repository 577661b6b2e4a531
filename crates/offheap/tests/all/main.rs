//! The tests of this crate, in one program: each program takes time to link. A file beside this folder is a program of its own,
//! since it sets something for the whole process: an allocator, the
//! observer, a budget, or because it takes most of the addresses.

#[cfg(feature = "arrow")]
mod arrow;
mod atomic_slices;
mod between;
mod conversions;
mod cursors;
mod cut_short;
mod exposure;
mod foreign;
mod frozen;
mod guards;
mod host;
mod layers;
mod manual_races;
mod mapped;
mod messages;
mod owners;
mod parts;
mod places;
mod quarantine;
mod rejected;
mod resizable;
mod shared;
mod sizes;
mod vec_round_trip;
mod weak;
