//! The cases.

#[macro_use]
mod kit;
mod access;
mod errors;
mod frozen;
mod lifetime;
mod operations;
mod order;
mod v8_api;
mod v8_collect;
mod v8_limits;
mod v8_script;
mod v8_shared;
mod v8_typed;
mod v8_views;
mod v8_wasm;

use crate::Case;

const GROUPS: [&[Case]; 15] = [
    v8_api::CASES,
    v8_script::CASES,
    v8_shared::CASES,
    v8_limits::CASES,
    v8_views::CASES,
    v8_typed::CASES,
    v8_wasm::CASES,
    v8_collect::CASES,
    lifetime::CASES,
    access::CASES,
    operations::CASES,
    frozen::CASES,
    order::CASES,
    errors::CASES,
    errors::of_stores::CASES,
];

const COUNT: usize = {
    let (mut count, mut group) = (0, 0);
    while group < GROUPS.len() {
        count += GROUPS[group].len();
        group += 1;
    }
    count
};

const ALL: [Case; COUNT] = {
    let mut all = [GROUPS[0][0]; COUNT];
    let (mut next, mut group) = (0, 0);
    while group < GROUPS.len() {
        let mut index = 0;
        while index < GROUPS[group].len() {
            all[next] = GROUPS[group][index];
            next += 1;
            index += 1;
        }
        group += 1;
    }
    all
};

/// All cases: first those that mirror tests of V8, then this project's promises.
pub static CASES: &[Case] = &ALL;
