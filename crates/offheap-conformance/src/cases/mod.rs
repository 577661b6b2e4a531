//! The cases.

#[macro_use]
mod kit;
mod access;
mod frozen;
mod lifetime;
mod operations;
mod v8;
mod v8_script;

use crate::Case;

const GROUPS: [&[Case]; 6] =
    [v8::CASES, v8_script::CASES, lifetime::CASES, access::CASES, operations::CASES, frozen::CASES];

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

/// All cases: those that mirror tests of V8, then those of this project's promises.
pub static CASES: &[Case] = &ALL;
