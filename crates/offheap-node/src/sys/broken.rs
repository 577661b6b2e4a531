//! For tests: a table of V8's functions that is not what it seems, as a V8 that nobody has tried may have.

use super::symbols::Functions;

const COUNT: usize = size_of::<Functions>() / size_of::<usize>();

/// Breaks the table as `OFFHEAP_NODE_BROKEN` says. `wild 3`: the function at index 3 is at an address without code.
/// `abort 3` and `loop 3`: it is another function. `swap 3 5`: two functions change places.
pub(super) fn table(functions: Functions) -> Functions {
    let Ok(how) = std::env::var("OFFHEAP_NODE_BROKEN") else {
        return functions;
    };
    // SAFETY: I-TRIED: a table of functions is as many addresses.
    let mut addresses = unsafe { std::mem::transmute::<Functions, [usize; COUNT]>(functions) };
    let words: Vec<&str> = how.split_whitespace().collect();
    let index = |word: usize| words.get(word).and_then(|word| word.parse::<usize>().ok()).map(|index| index % COUNT);
    match (words.first().copied(), index(1), index(2)) {
        (Some("wild"), Some(one), _) => addresses[one] = 8,
        (Some("abort"), Some(one), _) => addresses[one] = abort as *const () as usize,
        (Some("loop"), Some(one), _) => addresses[one] = hang as *const () as usize,
        (Some("swap"), Some(one), Some(two)) => addresses.swap(one, two),
        _ => {}
    }
    // SAFETY: I-TRIED: still as many addresses, none of them null. They are called in a child process first.
    unsafe { std::mem::transmute::<[usize; COUNT], Functions>(addresses) }
}

extern "C" fn abort() {
    std::process::abort()
}

extern "C" fn hang() {
    loop {
        std::hint::spin_loop();
    }
}
