//! Two isolates on two threads parse a file of comma-separated numbers. Both read the one memory that the file is mapped
//! into, without copying it. Script writes each column into a `Float64Array` over a `Vec<f64>` of Rust.
//!
//! `csv_workers ROWS.csv`; without an argument it makes a file itself. The first line has the names of the columns.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::{iter, thread};

use offheap_v8::offheap::{self, BackingStore, MapMode, Mapped};
use offheap_v8::{Isolate, JsFunction, Local, Source, Value};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SCRIPT: &str = r#"
const [NEWLINE, COMMA, MINUS, POINT, ZERO] = Array.from("\n,-.0", (character) => character.charCodeAt(0));

function countRows(file, from, to) {
    const bytes = new Uint8Array(file);
    let count = 0;
    for (let at = from; at < to; at++) if (bytes[at] === NEWLINE || at === to - 1) count++;
    return count;
}

function parse(file, from, to, ...columns) {
    const bytes = new Uint8Array(file);
    for (let at = from, row = 0; at < to; row++) {
        for (let column = 0; column < columns.length; column++, at++) {
            const sign = bytes[at] === MINUS ? -1 : 1;
            if (sign < 0) at++;
            let digits = 0, count = 0, divisor = 0;
            for (; at < to && bytes[at] !== COMMA && bytes[at] !== NEWLINE; at++) {
                const digit = bytes[at] - ZERO;
                if (bytes[at] === POINT && divisor === 0) divisor = 1;
                else if (digit < 0 || digit > 9) throw new SyntaxError(`byte ${at} is not part of a number`);
                else digits = digits * 10 + digit, divisor *= 10, count++;
            }
            if (count < 1 || count > 15) throw new SyntaxError(`the number before byte ${at} has ${count} digits`);
            const last = column === columns.length - 1;
            if ((at === to || bytes[at] === NEWLINE) !== last) {
                throw new SyntaxError(`the row at byte ${at} does not have ${columns.length} columns`);
            }
            columns[column][row] = sign * digits / (divisor || 1);
        }
    }
}"#;

/// The columns of a part of the file that begins with a row and ends with one.
fn parse(file: &BackingStore, from: u64, to: u64, column_count: usize) -> Result<Vec<Vec<f64>>> {
    let mut isolate = Isolate::new()?;
    let columns = isolate.enter(|scope| -> Result<_> {
        scope.eval::<()>(Source::named("parse.js", SCRIPT))?;
        let count_rows: Local<JsFunction> = scope.global("countRows")?;
        let parse: Local<JsFunction> = scope.global("parse")?;

        let file = scope.expose(file)?; // script can only read it
        let part = [Value::from(&file), (from as f64).into(), (to as f64).into()];
        let row_count: usize = scope.call(&count_rows, part.to_vec())?;

        let columns = iter::repeat_with(|| BackingStore::from_owner(vec![0.0_f64; row_count]));
        let columns = columns.take(column_count).collect::<std::result::Result<Vec<_>, _>>()?;
        let mut arguments = part.to_vec();
        for column in &columns {
            arguments.push(scope.expose_as::<f64>(column)?.into());
        }
        scope.call::<()>(&parse, arguments)?;
        Ok(columns)
    })?;
    drop(isolate); // and with it, script's arrays over the columns
    columns.into_iter().map(|column| Ok(column.try_into_unique()?.try_into_owner()?)).collect()
}

/// Writes a file with three columns.
fn make_rows(path: &Path) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "second,celsius,pascal")?;
    for row in 0..200_000_i64 {
        let (celsius, pascal) = (row * 7919 % 40_001 - 20_000, 95_000 + row * 104_729 % 20_000);
        writeln!(
            file,
            "{row},{}{}.{:03},{pascal}",
            if celsius < 0 { "-" } else { "" },
            celsius.abs() / 1000,
            celsius.abs() % 1000
        )?;
    }
    Ok(file.flush()?)
}

fn main() -> Result<()> {
    offheap_v8::start("")?; // before the threads: on some machines an older thread cannot run V8
    offheap::exit_when_a_mapped_file_is_cut_short(2);
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let path = given.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("rows-{}.csv", std::process::id())));
    if given.is_none() {
        make_rows(&path)?;
    }

    let mapped = Mapped::open(&path, MapMode::ReadOnly)?;
    let file = mapped.store();
    let mut text = BufReader::new(file.cursor());
    let mut names = String::new();
    let begin = text.read_line(&mut names)? as u64;
    let names: Vec<_> = names.trim_end().split(',').collect();

    // Each isolate gets the rows that begin in its half of the file.
    let end = file.byte_length() as u64;
    text.seek(SeekFrom::Start(begin.midpoint(end)))?;
    text.skip_until(b'\n')?;
    let middle = text.stream_position()?;
    let halves = thread::scope(|threads| {
        let second = threads.spawn(|| parse(file, middle, end, names.len()));
        [parse(file, begin, middle, names.len()), second.join().expect("the thread does not panic")]
    });
    let [first, second] = halves;
    let (first, second) = (first?, second?);

    // The same sums without script.
    let mut sums = vec![0.0; names.len()];
    text.seek(SeekFrom::Start(begin))?;
    for line in text.lines() {
        for (sum, number) in sums.iter_mut().zip(line?.split(',')) {
            *sum += number.parse::<f64>()?;
        }
    }
    println!("{} and {} rows", first[0].len(), second[0].len());
    for (index, name) in names.iter().enumerate() {
        let sum = first[index].iter().chain(&second[index]).fold(0.0, |sum, number| sum + number);
        println!("{name}: the sum is {sum}, in Rust {}", sums[index]);
        assert_eq!(sum, sums[index]);
    }
    if given.is_none() {
        fs::remove_file(&path)?;
    }
    Ok(())
}
