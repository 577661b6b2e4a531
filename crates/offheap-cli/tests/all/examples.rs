//! Every script in `examples/`, with its output and exit status.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::Stdio;

use crate::common::{Engine, Folder, Ran, root, run_in_root};

on_each_engine!(
    externalize,
    seed,
    resizable,
    shared,
    leak,
    double_free,
    wrong_constructor,
    lines_prints_the_rows_that_are_asked_for,
    lines_says_how_it_is_used,
    c23_lines_without_a_mark_or_returns_and_a_row_that_is_not_there,
    lines_finds_rows_in_a_file_that_is_larger_than_a_buffer,
    lines_looks_at_a_large_file_through_windows_and_keeps_none_of_it,
    patch_mends_the_header_and_nothing_else,
    patch_refuses_a_file_that_it_cannot_write,
    c23_patch_leaves_right_files_as_they_are,
    c23_patch_refuses_what_it_does_not_understand,
    c23_patch_mends_what_was_left_open,
);

fn externalize(engine: Engine) {
    run_in_root(engine, &["examples/externalize.js"]).expect(
        0,
        "externalized: 1024 bytes, native code reads Uint8Array(4) [ 1, 2, 3, 4 ]\n\
         detached:     true and the view has length 0\n\
         read back:    Uint8Array(8) [ 1, 2, 3, 4, 5, 6, 7, 0 ] ... Uint8Array(4) [ 255, 255, 255, 255 ]\n\
         released:     1 store lives, 7 is still there\n\
         freed:        0 stores live\n",
        "offheap: 1 store, 1.0 KiB external, 0 leaked, 0 refused\n",
    );
}

fn seed(engine: Engine) {
    run_in_root(engine, &["examples/seed.js"]).expect(
        0,
        "allocated: 1024 bytes, freed: false\n\
         TypeError: native memory is not a number, and `new ArrayBuffer` makes new memory of a length; for a buffer \
         over this memory call nativeModule.arrayBuffer(memory)\n\
         a buffer over it: ArrayBuffer { byteLength: 1024 } sum 7168\n\
         externalized: 1024 bytes, the first is 42\n\
         freed: true\n",
        "offheap: 2 stores, 2.0 KiB external, 0 leaked, 0 refused\n",
    );
}

fn resizable(engine: Engine) {
    run_in_root(engine, &["examples/resizable.js"]).expect(
        0,
        "empty:    0 of at most 1048576 bytes\n\
         appended: 13 bytes, script reads \"first\\nsecond\\n\"\n\
         shrunk:   8 bytes, native code reads Uint8Array(4) [ 116, 10, 0, 0 ]\n\
         detached: 8 bytes, native code reads Uint8Array(5) [ 102, 105, 114, 115, 116 ] and 1 store is resizable\n",
        "offheap: 1 store (1 resizable), ⟦13|8⟧ B external, 0 leaked, 0 refused\n",
    );
}

fn shared(engine: Engine) {
    run_in_root(engine, &["examples/shared.js"]).expect(
        0,
        "two buffers: SharedArrayBuffer { byteLength: 1024 } and SharedArrayBuffer { byteLength: 512 }\n\
         one memory:  42\n\
         held:        7 and Uint8Array(4) [ 42, 0, 0, 0 ]\n\
         freed:       true and 0 stores live\n",
        "offheap: 1 store (1 shared), 1.0 KiB external, 0 leaked, 0 refused\n",
    );
}

fn leak(engine: Engine) {
    run_in_root(engine, &["examples/leak.js"]).expect(
        3,
        "everything looks fine from here\n",
        "offheap: leak: 1228800 bytes at 0x…, allocated at examples/leak.js:4:⟦46|31⟧: never freed\n\
         offheap: leak: 4000 bytes, held by a reference taken at examples/leak.js:17:⟦32|14⟧: never released\n\
         offheap: 2 stores, 1.2 MiB external, 2 leaked, 0 refused\n",
    );
}

fn double_free(engine: Engine) {
    run_in_root(engine, &["examples/double_free.js"]).expect(
        3,
        "FREE_IN_USE\nfreed: true\nDOUBLE_FREE\n",
        "offheap: refused: cannot free 1024 bytes at 0x…, allocated at examples/double_free.js:4:29: ⟦engine⟧ isolate 1 \
         uses its bytes through 1 live buffer; the free at examples/double_free.js:17:⟦33|28⟧ touched nothing, detach \
         the buffer or drop the guard first\n\
         offheap: refused: double free of 1024 bytes at 0x…, allocated at examples/double_free.js:4:29: freed at \
         examples/double_free.js:20:⟦19|14⟧, and again at examples/double_free.js:24:⟦33|28⟧; nothing was touched, remove the \
         second free\n\
         offheap: 1 store, 1.0 KiB external, 0 leaked, 2 refused\n",
    );
}

fn wrong_constructor(engine: Engine) {
    run_in_root(engine, &["examples/wrong_constructor.js"]).expect(
        1,
        "",
        "offheap: uncaught TypeError: native memory is not a number, and `new ArrayBuffer` makes new memory of a \
         length; for a buffer over this memory call nativeModule.arrayBuffer(memory)\n    \
         at ⟦ArrayBuffer (native)|new ArrayBuffer (<anonymous>)⟧\n    \
         at ⟦<eval> (examples/wrong_constructor.js:6:34)|examples/wrong_constructor.js:6:18⟧\n\
         offheap: 1 store, 1.0 KiB external, 0 leaked, 0 refused\n",
    );
}

fn lines(engine: Engine, folder: &Folder, file: &str, rows: &[&str]) -> Ran {
    let map = format!("log={}", folder.path(file).display());
    let arguments = [&["--map", &map, "examples/lines.js"], rows].concat();
    run_in_root(engine, &arguments)
}

fn lines_prints_the_rows_that_are_asked_for(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("t.csv", "id,name\n\n2,Bé\r\n3,the last has no newline");
    lines(engine, &folder, "t.csv", &["0", "1", "3", "2"]).expect(
        0,
        "id,name\n\n3,the last has no newline\n2,Bé\n",
        "offheap: 1 store, 41 B external, 0 leaked, 0 refused\n",
    );
}

fn c23_lines_without_a_mark_or_returns_and_a_row_that_is_not_there(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("t.csv", "\u{feff}id\r\n\r\n\rlast\r");
    let ran = lines(engine, &folder, "t.csv", &["0", "4", "1", "2", "3"]);
    assert_eq!((ran.stdout.as_str(), ran.status), ("id\n\n\rlast\n", Some(1)), "{ran:?}");
    let why = "offheap: uncaught Error: there is no row 4: the file has 3, and the first is row 0\n    at ";
    assert!(ran.stderr.starts_with(why), "{ran:?}");
    folder.write("empty", "");
    let ran = lines(engine, &folder, "empty", &["0"]);
    assert_eq!((ran.stdout.as_str(), ran.status), ("", Some(1)), "{ran:?}");
    assert!(
        ran.stderr.starts_with("offheap: uncaught Error: there is no row 0: the file is empty\n    at "),
        "{ran:?}"
    );
    folder.write("one", "a");
    let ran = lines(engine, &folder, "one", &["1"]);
    let why = "offheap: uncaught Error: there is no row 1: the file has 1, and the first is row 0\n    at ";
    assert!(ran.stderr.starts_with(why), "{ran:?}");
    folder.write("mark", "\u{feff}");
    assert_eq!(lines(engine, &folder, "mark", &["0"]).stdout, "\n");
}

fn lines_says_how_it_is_used(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("t.csv", "a\n");
    for rows in [&[][..], &["x"], &["-1"], &["1.5"], &[""], &["0x1"]] {
        let ran = lines(engine, &folder, "t.csv", rows);
        assert_eq!(ran.status, Some(1), "{rows:?}");
        assert!(ran.stderr.starts_with("offheap: uncaught Error: usage: offheap run --map log=FILE"), "{ran:?}");
    }
}

fn lines_finds_rows_in_a_file_that_is_larger_than_a_buffer(engine: Engine) {
    let folder = Folder::new(engine);
    let mut file = File::create(folder.path("large")).unwrap();
    file.write_all(b"first\nsecond\n").unwrap();
    file.set_len(5 << 30).unwrap();
    lines(engine, &folder, "large", &["1"]).expect(
        0,
        "second\n",
        "offheap: 1 store, 5.0 GiB external, 0 leaked, 0 refused\n",
    );
}

/// Rows that end at a window's end and that span windows.
fn lines_looks_at_a_large_file_through_windows_and_keeps_none_of_it(engine: Engine) {
    const WINDOW: u64 = 64 << 20;
    const LENGTH: u64 = 4 * WINDOW;
    let folder = Folder::new(engine);
    let mut file = File::create(folder.path("large")).unwrap();
    file.set_len(LENGTH).unwrap();
    for (offset, text) in [(0, "first\n"), (WINDOW - 1, "\nsecond\n"), (LENGTH - 5, "\nlast")] {
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
    drop(file);

    let map = format!("log={}", folder.path("large").display());
    let mut command = folder.command(&["--map", &map, "examples/lines.js", "0", "2", "4"]);
    command.current_dir(root());
    let output = File::create(folder.path("output")).unwrap();
    let mut child = command.stdout(output).stderr(Stdio::null()).spawn().unwrap();
    let mut anonymous_kib = 0;
    while child.try_wait().unwrap().is_none() {
        anonymous_kib = anonymous_kib.max(anonymous_resident_kib(child.id()).unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path("output")).unwrap(), "first\nsecond\nlast\n");
    assert!(anonymous_kib < 32 << 10, "{anonymous_kib} KiB");
    if cfg!(target_os = "linux") {
        assert_ne!(anonymous_kib, 0);
    }
}

/// What Linux says that a process keeps in memory without a file behind it.
fn anonymous_resident_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// A WAV file as a recorder leaves it that was cut off: with a chunk before the samples, and no lengths.
fn cut_off_wav() -> Vec<u8> {
    let mut wav = b"RIFF\0\0\0\0WAVE".to_vec();
    for (name, chunk) in [(b"fmt ", &[1, 0, 1, 0, 64, 31, 0, 0, 64, 31, 0, 0, 1, 0, 8, 0][..]), (b"LIST", b"odd")] {
        wav.extend_from_slice(name);
        wav.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
        wav.extend_from_slice(chunk);
        wav.resize(wav.len().next_multiple_of(2), 0);
    }
    wav.extend_from_slice(b"data\0\0\0\0");
    wav.resize(wav.len() + 9000, 128);
    wav
}

fn patch_mends_the_header_and_nothing_else(engine: Engine) {
    let folder = Folder::new(engine);
    let broken = cut_off_wav();
    let path = folder.write("a.wav", &broken);
    let map = format!("file={}:rw", path.display());
    run_in_root(engine, &["--map", &map, "examples/patch.js"]).expect(
        0,
        "length of the data: 0 -> 9000\nlength of the file: 0 -> 9048\n",
        "offheap: 1 store (1 shared), 8.8 KiB external, 0 leaked, 0 refused\n",
    );
    let mut mended = broken;
    mended[4..8].copy_from_slice(&9048_u32.to_le_bytes());
    let data = mended.windows(4).position(|window| window == b"data").unwrap();
    mended[data + 4..data + 8].copy_from_slice(&9000_u32.to_le_bytes());
    assert!(fs::read(&path).unwrap() == mended);
    run_in_root(engine, &["--map", &map, "examples/patch.js"]).expect(
        0,
        "length of the data: 9000, right\nlength of the file: 9048, right\n",
        "offheap: 1 store (1 shared), 8.8 KiB external, 0 leaked, 0 refused\n",
    );
}

fn patch_refuses_a_file_that_it_cannot_write(engine: Engine) {
    let folder = Folder::new(engine);
    let path = folder.write("a.wav", cut_off_wav());
    let ran = run_in_root(engine, &["--map", &format!("file={}", path.display()), "examples/patch.js"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    let usage = "offheap: uncaught Error: usage: offheap run --map file=FILE.wav:rw examples/patch.js\n";
    assert!(ran.stderr.starts_with(usage), "{ran:?}");
    assert!(fs::read(&path).unwrap() == cut_off_wav());

    let path = folder.write("b.wav", "no WAV file");
    let ran = run_in_root(engine, &["--map", &format!("file={}:rw", path.display()), "examples/patch.js"]);
    assert!(ran.stderr.starts_with("offheap: uncaught Error: this is not a WAV file\n"), "{ran:?}");
}

/// A WAV file of 16-bit mono with these lengths in its header, these bytes of sound, and what follows them.
fn wav(file: u32, data: u32, sound: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut wav = [b"RIFF", &file.to_le_bytes()[..], b"WAVEfmt \x10\0\0\0\x01\0\x01\0"].concat();
    wav.extend_from_slice(&[0x40, 0x1f, 0, 0, 0x80, 0x3e, 0, 0, 2, 0, 16, 0]);
    [&wav, &b"data"[..], &data.to_le_bytes(), sound, rest].concat()
}

/// What `patch.js` prints, and what it makes of the file.
fn patched(engine: Engine, before: &[u8]) -> (Ran, Vec<u8>) {
    let folder = Folder::new(engine);
    let path = folder.write("a.wav", before);
    let ran = run_in_root(engine, &["--map", &format!("file={}:rw", path.display()), "examples/patch.js"]);
    (ran, fs::read(path).unwrap())
}

const SOUND: &[u8] = &[200; 10];
const LIST: &[u8] = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.29.100\0";

fn c23_patch_leaves_right_files_as_they_are(engine: Engine) {
    for (right, data, file) in [
        (wav(46, 10, SOUND, b""), 10, 46),
        (wav(80, 10, SOUND, LIST), 10, 80),
        // Padded, with and without a chunk after it; not padded at the end; and nothing in it.
        (wav(44, 7, &SOUND[..7], b"\0"), 7, 44),
        (wav(78, 7, &SOUND[..7], &[b"\0", LIST].concat()), 7, 78),
        (wav(43, 7, &SOUND[..7], b""), 7, 43),
        (wav(36, 0, b"", b""), 0, 36),
        (wav(70, 0, b"", LIST), 0, 70),
        // Bytes after the end are not the file's.
        (wav(46, 10, SOUND, b"\x01\x02\x03"), 10, 46),
    ] {
        let (ran, after) = patched(engine, &right);
        let said = format!("length of the data: {data}, right\nlength of the file: {file}, right\n");
        assert_eq!((ran.status, ran.stdout), (Some(0), said), "{}", ran.stderr);
        assert!(after == right);
    }
}

fn c23_patch_refuses_what_it_does_not_understand(engine: Engine) {
    let no_format = [&b"RIFF\x0e\0\0\0WAVEdata"[..], &[2, 0, 0, 0, 1, 1]].concat();
    let mut too_long = wav(46, 10, SOUND, b"");
    too_long[16] = 200;
    for (odd, why) in [
        (wav(80, 4, SOUND, b"\x01\x02\x03"), "what follows the data, at 48, is not a chunk"),
        (wav(40, 10, SOUND, LIST), "its header says that it ends in the middle of a chunk"),
        (no_format, "it does not say how long a sample is"),
        (too_long, "the chunk \"fmt \" at 12 is longer than the file"),
        (b"RIFF\x04\0\0\0WAVE".to_vec(), "it has no data chunk"),
    ] {
        let (ran, after) = patched(engine, &odd);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
        assert!(
            ran.stderr.starts_with(&format!("offheap: uncaught Error: {why}; the file stays as it is\n")),
            "{ran:?}"
        );
        assert!(after == odd);
    }
    // Lengths have 32 bits.
    let folder = Folder::new(engine);
    let path = folder.write("large.wav", wav(0, 0, SOUND, b""));
    OpenOptions::new().write(true).open(&path).unwrap().set_len((1 << 32) + 100).unwrap();
    let ran = run_in_root(engine, &["--map", &format!("file={}:rw", path.display()), "examples/patch.js"]);
    let why =
        "offheap: uncaught Error: a WAV file has at most 4294967303 bytes, and this one has 4294967396; the file stays";
    assert!(ran.status == Some(1) && ran.stderr.starts_with(why), "{ran:?}");
    let mut header = vec![0; 54];
    File::open(&path).unwrap().read_exact(&mut header).unwrap();
    assert!(header == wav(0, 0, SOUND, b""));
}

fn c23_patch_mends_what_was_left_open(engine: Engine) {
    for (open, mended) in [
        (wav(0, 0, SOUND, b""), wav(46, 10, SOUND, b"")),
        (wav(u32::MAX, u32::MAX, SOUND, b""), wav(46, 10, SOUND, b"")),
        (wav(0x7fff_ffff, 0x7fff_0000, SOUND, b""), wav(46, 10, SOUND, b"")),
        // Half a sample at the end is none.
        (wav(0, 0, SOUND, b"\xff"), wav(46, 10, SOUND, b"\xff")),
        // Only the length of the file is missing.
        (wav(0, 10, SOUND, LIST), wav(80, 10, SOUND, LIST)),
    ] {
        let (ran, after) = patched(engine, &open);
        assert!(ran.status == Some(0) && after == mended, "{ran:?}");
        let (again, unchanged) = patched(engine, &after);
        assert!(again.stdout.matches(", right\n").count() == 2 && unchanged == mended, "{again:?}");
    }
}
