//! Snapshots that tests write.

use super::*;

const MARKS: Marks = Marks { object: 102, memory: 200, handle: 300 };

/// A snapshot with these edges: of node, kind, name or index, and the node that it leads to. The name of node `n` is the
/// string `n`. Node 9 stands for bytes.
fn snapshot(edges: &[(u32, &str, u32, u32)], nodes: u32) -> String {
    let kinds = ["context", "element", "property", "internal", "hidden", "shortcut", "weak"];
    let edges_of = |node: u32| edges.iter().filter(move |edge| edge.0 == node);
    let numbers: Vec<_> = (0..nodes)
        .map(|node| format!("{},{node},{},8,{},0", if node == 9 { 8 } else { 3 }, node * 2 + 1, edges_of(node).count()))
        .collect();
    let kind = |name: &str| kinds.iter().position(|kind| *kind == name).unwrap();
    let all: Vec<_> = (0..nodes)
        .flat_map(edges_of)
        .map(|(_, name, index, to)| format!("{},{index},{}", kind(name), to * 6))
        .collect();
    let strings = "\"a\",\n\"b\\\"\\n\",\"\\u00e9\\ud83d\\ude00\",\"frames\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"";
    format!(
        "{{\"snapshot\":{{\"meta\":{{\"node_fields\":[\"type\",\"name\",\"id\",\"self_size\",\"edge_count\",\"detached\"],\
         \"node_types\":[[\"hidden\",\"array\",\"string\",\"object\",\"code\",\"closure\",\"regexp\",\"number\",\"native\"],\
         \"string\"],\"edge_fields\":[\"type\",\"name_or_index\",\"to_node\"],\"edge_types\":[[\"context\",\"element\",\
         \"property\",\"internal\",\"hidden\",\"shortcut\",\"weak\"],\"node\"]}}}},\n\"nodes\":[{}],\n\"edges\":[{}],\n\
         \"locations\":[1,2],\n\"strings\":[{strings}]}}",
        numbers.join("\n,"),
        all.join("\n,")
    )
}

/// Root 0, all roots 1, handles 2, the context 3 with the global object 4, the list 5, and the sought object 6.
const START: [(u32, &str, u32, u32); 8] = [
    (0, "element", 1, 1),
    (1, "element", 1, 2),
    (2, "internal", 1, 3),
    (2, "internal", 2, 5),
    (3, "internal", 1, 4),
    (5, "element", 100, 4),
    (5, "element", 101, 5),
    (5, "element", 102, 6),
];

fn found(more: &[(u32, &str, u32, u32)], memories: Vec<usize>) -> Option<Vec<(EdgeKind, String)>> {
    let text = snapshot(&[&START, more].concat(), 10);
    let mut all = Vec::new();
    for size in [1, 7, text.len()] {
        let mut reader = Reader::new(MARKS, 1, memories.clone());
        for part in text.as_bytes().chunks(size) {
            if !reader.read(part) {
                break;
            }
        }
        all.push(reader.finish().unwrap().remove(0));
    }
    assert!(all[0] == all[1] && all[1] == all[2], "the parts do not matter");
    let named = |step: FoundStep| (step.kind, step.name);
    all.remove(0).map(|path| path.into_iter().skip(4).map(named).collect())
}

#[test]
fn the_shortest_path_of_script_is_found() {
    use EdgeKind::{Element, Property};
    let path = found(&[(4, "property", 3, 7), (7, "element", 12, 6), (4, "internal", 3, 6)], vec![]);
    assert_eq!(path.unwrap(), [(Property, "frames".to_owned()), (Element, "12".to_owned())]);
    let path = found(&[(4, "property", 2, 6), (2, "internal", 9, 6)], vec![]);
    assert_eq!(path.unwrap(), [(Property, "é😀".to_owned())]);
    assert_eq!(found(&[(4, "property", 1, 6)], vec![]).unwrap(), [(Property, "b\"\n".to_owned())]);
}

#[test]
fn the_list_weak_edges_and_handles_of_rust_keep_nothing() {
    assert_eq!(found(&[], vec![]), None);
    assert_eq!(found(&[(4, "weak", 3, 6)], vec![]), None);
    assert_eq!(found(&[(5, "element", 300, 6), (2, "internal", 3, 6)], vec![]), None);
    // A second root is somebody else's.
    assert!(found(&[(5, "element", 300, 6), (2, "internal", 3, 6), (2, "internal", 4, 6)], vec![]).is_some());
}

#[test]
fn all_buffers_over_the_memory_of_a_probe_are_sought() {
    let shared = [(5, "element", 200, 7), (7, "internal", 1, 9), (8, "internal", 1, 9), (4, "property", 3, 8)];
    assert_eq!(found(&shared, vec![0]).unwrap(), [(EdgeKind::Property, "frames".to_owned())]);
}

#[test]
fn a_snapshot_of_another_form_is_refused() {
    for text in ["", "{}", "{\"nodes\":[1,2]", &snapshot(&[(0, "element", 1, 1)], 10), &snapshot(&START, 4)] {
        let mut reader = Reader::new(MARKS, 1, vec![]);
        reader.read(text.as_bytes());
        assert!(reader.finish().is_none(), "{text}");
    }
}
