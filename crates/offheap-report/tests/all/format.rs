//! docs/ledger-format.md and its schema say what the types of Rust read and write.

use std::collections::HashSet;

use offheap_report::format::{
    Buffers, Change, Counted, Created, Dropped, End, Event, Frame, Holders, Isolate, Labels, Line, Reference, Refused,
    Stack, Start, Thread,
};
use serde_json::Value;

use crate::common::Followed;

const PAGE: &str = include_str!("../../../../docs/ledger-format.md");
const SCHEMA: &str = include_str!("../../../../docs/ledger-format.schema.json");
const EXAMPLE: &str = include_str!("../../../../examples/leak.jsonl");

/// The lines of the page's examples.
fn examples() -> impl Iterator<Item = &'static str> {
    let blocks = PAGE.split("```json\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().expect("the block ends").lines())
}

#[test]
fn each_example_of_the_page_is_read_and_written_the_same() {
    let mut seen = HashSet::new();
    for text in examples() {
        let line = Line::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        seen.insert(line.event.name());
        let written: Value = serde_json::to_value(&line).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(text).unwrap(), "{text}");
    }
    assert_eq!(seen, Event::NAMES.iter().copied().collect(), "each event has an example");
}

#[test]
fn the_example_streams_have_no_problem() {
    let small = PAGE.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    Followed::of(small).assert_no_problem();
    Followed::of(EXAMPLE).assert_no_problem();
}

#[test]
fn the_schema_has_each_event_and_each_field_and_accepts_the_examples() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let known: Vec<&str> =
        schema["oneOf"].as_array().unwrap().iter().map(|one| one["$ref"].as_str().unwrap()).collect();
    let names: Vec<String> = Event::NAMES.iter().map(|name| format!("#/$defs/{name}")).collect();
    assert_eq!(HashSet::<&str>::from_iter(known.iter().copied()), names.iter().map(String::as_str).collect());
    for text in examples().chain(EXAMPLE.lines()) {
        check(&schema, &serde_json::from_str(text).unwrap()).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    for event in everything() {
        for process in [None, Some(7)] {
            let line = Line { process, event: event.clone() };
            if process.is_some() || !matches!(event, Event::Start(_)) {
                check(&schema, &serde_json::to_value(&line).unwrap())
                    .unwrap_or_else(|error| panic!("{error}: {line:?}"));
            }
        }
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for text in [
        r#"{"event":"melted"}"#,
        r#"{"time":5}"#,
        r#"[]"#,
        r#"{"event":"end"}"#,
        r#"{"event":"end","time":-1}"#,
        r#"{"event":"end","time":1.5}"#,
        r#"{"event":"end","time":9223372036854775808}"#,
        r#"{"event":"created","time":5,"store":1}"#,
        r#"{"event":"created","time":5,"store":1,"bytes":9007199254740993}"#,
        r#"{"event":"created","time":5,"store":1,"bytes":1,"weight":-1}"#,
        r#"{"event":"created","time":5,"store":1,"bytes":1,"labels":{"a":1}}"#,
        r#"{"event":"created","time":5,"store":"1","bytes":1}"#,
        r#"{"event":"freed","time":5}"#,
        r#"{"event":"start","version":1,"process":1,"unix_milliseconds":8640000000000001}"#,
        r#"{"event":"start","version":1,"process":1,"sample_bytes":9007199254740993}"#,
        r#"{"event":"stack","stack":1,"frames":[{"function":1}]}"#,
        r#"{"event":"holders","time":5,"store":1,"buffers":[{}]}"#,
        r#"{"event":"holders","time":5,"store":1,"writer":1}"#,
    ] {
        assert!(check(&schema, &serde_json::from_str(text).unwrap()).is_err(), "the schema accepts {text}");
        assert!(Line::parse(text.as_bytes()).is_err(), "the reader accepts {text}");
    }
}

/// Each event with all fields, and with those only that it must have.
fn everything() -> Vec<Event> {
    let text = || Some("text".to_owned());
    let labels = Labels::from([("name".to_owned(), "text".to_owned())]);
    let start = Start {
        version: 1,
        program: text(),
        level: text(),
        sample_bytes: Some(1),
        unix_milliseconds: Some(1),
        labels: labels.clone(),
    };
    let (site, n) = (text(), Some(1));
    let created = Created {
        time: 1,
        store: 1,
        bytes: 1,
        thread: n,
        kind: text(),
        site: text(),
        stack: n,
        weight: Some(1.5),
        labels,
    };
    let change = Change { time: 1, store: 1, bytes: n, thread: n, isolate: n, site: site.clone(), stack: n };
    let reference = Reference { time: 1, store: 1, reference: 1, from: n, to: n, thread: n, site: site.clone() };
    let refused = Refused {
        time: 1,
        code: "C".to_owned(),
        message: "m".to_owned(),
        store: n,
        thread: n,
        site: site.clone(),
        stack: n,
        earlier: text(),
    };
    let buffers = vec![Buffers { isolate: n, count: 1, site: text(), path: vec!["a".to_owned()] }, Buffers::default()];
    let holders = Holders { time: 1, store: 1, references: n, weak: n, readers: n, writer: Some(true), buffers };
    let frame = Frame { function: text(), site, address: Some(u64::MAX) };
    let mut all = vec![
        Event::Start(start),
        Event::Start(Start { version: 1, ..Start::default() }),
        Event::Thread(Thread::default()),
        Event::Isolate(Isolate { isolate: 1, engine: "V8".to_owned(), name: text() }),
        Event::Isolate(Isolate::default()),
        Event::Stack(Stack { stack: 1, frames: vec![frame, Frame::default()] }),
        Event::Stack(Stack::default()),
        Event::Created(created),
        Event::Created(Created::default()),
        Event::Referenced(reference),
        Event::Referenced(Reference::default()),
        Event::Dropped(Dropped::default()),
        Event::Notice(refused.clone()),
        Event::Refused(refused),
        Event::Refused(Refused::default()),
        Event::Holders(holders),
        Event::Holders(Holders::default()),
        Event::Totals(Counted { time: 1, stores: 4, bytes: 9, resizable: 1, shared: 1, leaked: 2 }),
        Event::Totals(Counted::default()),
        Event::End(End { time: 1, leaks: Some(false) }),
        Event::End(End::default()),
    ];
    let changes: [fn(Change) -> Event; 8] = [
        Event::Exposed,
        Event::Externalized,
        Event::Detached,
        Event::Transferred,
        Event::Resized,
        Event::Released,
        Event::Static,
        Event::Freed,
    ];
    for of in changes {
        all.extend([of(change.clone()), of(Change::default())]);
    }
    let names: HashSet<&str> = all.iter().map(Event::name).collect();
    assert_eq!(names, Event::NAMES.iter().copied().collect(), "this function has each event");
    all
}

/// The part of JSON Schema that the schema uses. Fields that the schema does not have are refused here, so that it has all.
fn check(schema: &Value, line: &Value) -> Result<(), String> {
    let alternatives = schema["oneOf"].as_array().expect("a list");
    let results: Vec<Result<(), String>> = alternatives.iter().map(|one| check_one(schema, one, line)).collect();
    match results.iter().filter(|result| result.is_ok()).count() {
        1 => Ok(()),
        count => Err(format!("{count} alternatives fit: {results:?}")),
    }
}

fn check_one(schema: &Value, rule: &Value, value: &Value) -> Result<(), String> {
    for (word, wanted) in rule.as_object().expect("a rule") {
        let fits = match word.as_str() {
            "description" => true,
            "$ref" => {
                let name = wanted.as_str().and_then(|path| path.strip_prefix("#/$defs/")).expect("a definition");
                check_one(schema, schema["$defs"].get(name).expect("the definition"), value)?;
                true
            }
            "const" => value == wanted,
            "type" => match wanted.as_str().expect("a type") {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_u64() || value.is_i64(),
                "number" => value.is_number(),
                other => panic!("this test does not know the type {other}"),
            },
            "minimum" | "maximum" => {
                let exact = value.as_u64().zip(wanted.as_u64()).map(|(value, wanted)| value.cmp(&wanted));
                // The rule says nothing of what is no number.
                let order = exact.or_else(|| value.as_f64()?.partial_cmp(&wanted.as_f64()?));
                order.is_none_or(|order| if word == "minimum" { order.is_ge() } else { order.is_le() })
            }
            "required" => {
                wanted.as_array().expect("names").iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, value) in value.as_object().ok_or("no object")? {
                    let rule = wanted.get(name).ok_or_else(|| format!("there is no field {name}"))?;
                    check_one(schema, rule, value).map_err(|error| format!("{name}: {error}"))?;
                }
                true
            }
            "additionalProperties" => {
                value
                    .as_object()
                    .ok_or("no object")?
                    .values()
                    .try_for_each(|value| check_one(schema, wanted, value))?;
                true
            }
            "items" => {
                value.as_array().ok_or("no array")?.iter().try_for_each(|value| check_one(schema, wanted, value))?;
                true
            }
            other => panic!("this test does not know {other}"),
        };
        if !fits {
            return Err(format!("{value} does not fit {word} {wanted}"));
        }
    }
    Ok(())
}
