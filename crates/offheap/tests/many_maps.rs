//! At the limit of maps that the system gives a process, files are refused before the program itself gets none. It has a separate
//! file, because all maps of a process count.
#![cfg(target_os = "linux")]

use std::fs;
use std::thread;

use offheap::{Error, MapMode, MapProblem, Mapped};

#[test]
fn files_are_refused_before_the_program_has_no_map_left() {
    let path = std::env::temp_dir().join(format!("offheap-many-maps-{}", std::process::id()));
    fs::write(&path, "some bytes").unwrap();
    let most: usize = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    // Some systems have a limit that no test reaches.
    assert!(most < 1 << 20, "vm.max_map_count is {most}; run this test where it is less");
    let mut kept = Vec::new();
    let error = loop {
        match Mapped::open(&path, MapMode::ReadOnly) {
            Ok(mapped) => kept.push(mapped),
            Err(error) => break error,
        }
    };
    let Error::Map { problem: MapProblem::TooManyMaps { maps, limit }, .. } = error else { panic!("{error}") };
    let left = 4096.min(most / 8);
    assert_eq!(limit, most);
    assert!((most - left..most - left + 64).contains(&maps), "{maps} of {most}");
    assert_eq!(error.code(), "TOO_MANY_MAPS");
    assert!(kept.len() > most / 2);

    // The program goes on: each thread takes maps for its stack.
    let threads: Vec<_> = (0..64).map(|index| thread::spawn(move || vec![index; 1 << 20].len())).collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 1 << 20));
    assert!(Mapped::open(&path, MapMode::ReadOnly).is_err());

    // Those that are dropped can be used again, less what the threads left.
    kept.truncate(kept.len() - 2000);
    let again: Vec<_> = (0..500).map(|_| Mapped::open(&path, MapMode::ReadOnly).unwrap()).collect();
    assert_eq!(again[499].store().to_vec().unwrap(), b"some bytes");
    fs::remove_file(&path).unwrap();
}
