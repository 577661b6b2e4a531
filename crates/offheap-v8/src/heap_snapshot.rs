//! Reads a heap snapshot of V8 while V8 writes it, and searches it for paths to objects.
//!
//! A snapshot is JSON in this order: a header that names the fields, all nodes as numbers, all edges as numbers, and at the end
//! all strings. So the search runs when the edges are complete, and of the strings only those are kept that the found paths
//! name. In memory is one entry for each node and edge, and no text.
//!
//! What is sought is recognised by numbers, too: the caller puts the sought objects into one object, the *list*, at indices
//! that no other object has. A buffer and the memory of its bytes are two nodes, and all buffers over one address share the
//! second. So a buffer over the first byte of a store leads to all other buffers there.

mod search;
mod strings;
#[cfg(test)]
mod tests;

use strings::Strings;

/// The indices of the list, which tell what is at them: see [`Marks`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// From here on: the sought buffers, in order.
    pub(crate) object: u32,
    /// From here on: buffers that lead to the sought ones, over the same memory. They count as nothing themselves.
    pub(crate) memory: u32,
    /// From here on: objects that handles of Rust keep.
    pub(crate) handle: u32,
}

impl Marks {
    /// The number of indices of one kind.
    pub(crate) const COUNT: u32 = 1 << 24;

    /// Marks that begin at a number, which should be one that no other object has.
    pub(crate) fn from(start: u32) -> Self {
        // V8 keeps indices as 32 bits with a sign.
        let start = (start & 0x0FFF_FFFF) | 0x4000_0000;
        Marks { object: start + 2, memory: start + 2 + Marks::COUNT, handle: start + 2 + 2 * Marks::COUNT }
    }

    /// The index of the global object of script, which leads to the context in which script runs.
    pub(crate) fn global(self) -> u32 {
        self.object - 2
    }

    /// The index at which the list contains itself.
    pub(crate) fn list(self) -> u32 {
        self.object - 1
    }

    /// The position of an index among those that begin at `first`.
    fn position(first: u32, index: u32) -> Option<usize> {
        index.checked_sub(first).filter(|&position| position < Marks::COUNT).map(|position| position as usize)
    }
}

/// The number of an entry among the nodes.
type Node = u32;

/// The kinds of edges that the search distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EdgeKind {
    /// A variable that functions have captured.
    Context,
    Element,
    Property,
    /// A field of V8's own.
    Internal,
    /// A second edge for what another edge says.
    Shortcut,
    /// Keeps nothing alive.
    Weak,
}

struct Edge {
    kind: EdgeKind,
    /// The index of an element, or else the number of a string.
    name: u32,
    to: Node,
}

/// A step of a path that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundStep {
    pub(crate) kind: EdgeKind,
    /// The name of the edge; the index of an element in decimal.
    pub(crate) name: String,
    /// The name of the node to which the edge leads, such as the class of an object.
    pub(crate) to: String,
}

/// The fields of nodes and edges, by their position, and the numbers of the kinds that matter.
#[derive(Default)]
struct Fields {
    node_len: usize,
    node_type: usize,
    node_name: usize,
    node_edges: usize,
    edge_len: usize,
    edge_type: usize,
    edge_name: usize,
    edge_to: usize,
    edge_kinds: Vec<EdgeKind>,
    native: u32,
}

/// The parts of a snapshot, in order.
enum Part {
    Header,
    Nodes,
    ToEdges,
    Edges,
    ToStrings,
    Strings,
    End,
}

/// A reader of one snapshot.
pub(crate) struct Reader {
    marks: Marks,
    part: Part,
    fields: Fields,
    /// The header, or the end of what was read between two parts.
    text: Vec<u8>,
    /// The number that is being read, and the numbers of the entry that is being read.
    number: Option<u64>,
    entry: Vec<u64>,
    types: Vec<u8>,
    names: Vec<u32>,
    /// The first edge of each node; one more at the end.
    first_edges: Vec<u32>,
    edges: Vec<Edge>,
    found: Vec<Option<Vec<Raw>>>,
    sought: usize,
    /// Which sought objects the memories belong to.
    memories: Vec<usize>,
    strings: Strings,
}

/// A step before its names are known.
struct Raw {
    kind: EdgeKind,
    name: u32,
    to: u32,
}

impl Reader {
    /// A reader that looks for so many buffers. `memories` says for each memory in the list which of these it belongs to.
    pub(crate) fn new(marks: Marks, sought: usize, memories: Vec<usize>) -> Self {
        Reader {
            marks,
            part: Part::Header,
            fields: Fields::default(),
            text: Vec::new(),
            number: None,
            entry: Vec::new(),
            types: Vec::new(),
            names: Vec::new(),
            first_edges: Vec::new(),
            edges: Vec::new(),
            found: Vec::new(),
            sought,
            memories,
            strings: Strings::default(),
        }
    }

    /// Reads the next bytes. Returns whether there is any use in more; if not, the snapshot is not of the known form, or
    /// nothing was found.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> bool {
        for &byte in bytes {
            let goes_on = match self.part {
                Part::Header => self.read_header(byte),
                Part::Nodes | Part::Edges => self.read_numbers(byte),
                Part::ToEdges => self.skip_to(byte, b"\"edges\":[", Part::Edges),
                Part::ToStrings => self.skip_to(byte, b"\"strings\":[", Part::Strings),
                Part::Strings => self.strings.read(byte),
                Part::End => false,
            };
            if !goes_on {
                self.part = Part::End;
                return false;
            }
        }
        true
    }

    /// The paths that were found, for each sought buffer. `None` if the snapshot did not have the known form.
    pub(crate) fn finish(self) -> Option<Vec<Option<Vec<FoundStep>>>> {
        if self.found.len() != self.sought {
            return None;
        }
        let text = |number: u32| self.strings.kept.get(&number).cloned().unwrap_or_default();
        let name = |raw: &Raw| match raw.kind {
            EdgeKind::Element => raw.name.to_string(),
            _ => text(raw.name),
        };
        let step = |raw: &Raw| FoundStep { kind: raw.kind, name: name(raw), to: text(raw.to) };
        Some(self.found.iter().map(|path| path.as_ref().map(|path| path.iter().map(step).collect())).collect())
    }

    fn read_header(&mut self, byte: u8) -> bool {
        self.text.push(byte);
        if !self.text.ends_with(b"\"nodes\":[") {
            // A header has a few thousand bytes.
            return self.text.len() < 1 << 20;
        }
        let header = String::from_utf8_lossy(&self.text).into_owned();
        self.text.clear();
        let Some(fields) = Fields::read(&header) else { return false };
        self.fields = fields;
        self.part = Part::Nodes;
        true
    }

    fn skip_to(&mut self, byte: u8, mark: &[u8], then: Part) -> bool {
        self.text.push(byte);
        if self.text.ends_with(mark) {
            self.text.clear();
            self.part = then;
        } else if self.text.len() > 4096 {
            self.text.drain(..self.text.len() - mark.len());
        }
        true
    }

    fn read_numbers(&mut self, byte: u8) -> bool {
        match byte {
            b'0'..=b'9' => {
                let digit = u64::from(byte - b'0');
                self.number = Some(self.number.unwrap_or(0).wrapping_mul(10).wrapping_add(digit));
                true
            }
            b',' | b'\n' | b' ' => self.end_number(),
            b']' => self.end_number() && self.end_part(),
            _ => false,
        }
    }

    fn end_number(&mut self) -> bool {
        let Some(number) = self.number.take() else { return true };
        self.entry.push(number);
        let is_node = matches!(self.part, Part::Nodes);
        if self.entry.len() < if is_node { self.fields.node_len } else { self.fields.edge_len } {
            return true;
        }
        let of_entry = |at: usize| u32::try_from(self.entry[at]).ok();
        let done = if is_node {
            let first = self.first_edges.last().copied().unwrap_or(0);
            let (kind, name) = (of_entry(self.fields.node_type), of_entry(self.fields.node_name));
            let next = of_entry(self.fields.node_edges).and_then(|edges| first.checked_add(edges));
            let (Some(kind), Some(name), Some(next)) = (kind, name, next) else { return false };
            if self.first_edges.is_empty() {
                self.first_edges.push(0);
            }
            self.types.push(u8::try_from(kind).unwrap_or(u8::MAX));
            self.names.push(name);
            self.first_edges.push(next);
            true
        } else {
            let (kind, name, to) =
                (of_entry(self.fields.edge_type), of_entry(self.fields.edge_name), of_entry(self.fields.edge_to));
            let (Some(kind), Some(name), Some(to)) = (kind, name, to) else { return false };
            // An edge names the position of the node's first number.
            let to = to / self.fields.node_len as u32;
            let kind = self.fields.edge_kinds.get(kind as usize).copied().unwrap_or(EdgeKind::Internal);
            self.edges.push(Edge { kind, name, to });
            (to as usize) < self.types.len()
        };
        self.entry.clear();
        done
    }

    fn end_part(&mut self) -> bool {
        match self.part {
            Part::Nodes => self.part = Part::ToEdges,
            _ => {
                let complete = self.first_edges.last().is_some_and(|&edges| edges as usize == self.edges.len());
                if !complete || !self.search() {
                    return false;
                }
                self.part = Part::ToStrings;
            }
        }
        true
    }
}

impl Fields {
    fn read(header: &str) -> Option<Self> {
        let nodes = names_after(header, "\"node_fields\":[")?;
        let node_types = names_after(header, "\"node_types\":[[")?;
        let edges = names_after(header, "\"edge_fields\":[")?;
        let edge_types = names_after(header, "\"edge_types\":[[")?;
        let at = |names: &[&str], name: &str| names.iter().position(|there| *there == name);
        let kind = |name: &&str| match *name {
            "context" => EdgeKind::Context,
            "element" => EdgeKind::Element,
            "property" => EdgeKind::Property,
            "shortcut" => EdgeKind::Shortcut,
            "weak" => EdgeKind::Weak,
            _ => EdgeKind::Internal,
        };
        Some(Fields {
            node_len: nodes.len(),
            node_type: at(&nodes, "type")?,
            node_name: at(&nodes, "name")?,
            node_edges: at(&nodes, "edge_count")?,
            edge_len: edges.len(),
            edge_type: at(&edges, "type")?,
            edge_name: at(&edges, "name_or_index")?,
            edge_to: at(&edges, "to_node")?,
            edge_kinds: edge_types.iter().map(kind).collect(),
            native: u32::try_from(at(&node_types, "native")?).ok()?,
        })
    }
}

/// The strings of the list that begins after `mark`.
fn names_after<'a>(header: &'a str, mark: &str) -> Option<Vec<&'a str>> {
    let (_, list) = header.split_once(mark)?;
    let (list, _) = list.split_once(']')?;
    Some(list.split(',').map(|name| name.trim().trim_matches('"')).collect())
}
