//! The search for the shortest paths, once all edges are read.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::{Edge, EdgeKind, Marks, Node, Raw, Reader};

/// The last edge of a way from the root of all nodes.
#[derive(Clone, Copy)]
struct Way {
    cost: u32,
    edge: u32,
    from: Node,
}

impl Reader {
    fn edges_of(&self, node: Node) -> impl Iterator<Item = (u32, &Edge)> {
        let (first, end) = (self.first_edges[node as usize], self.first_edges[node as usize + 1]);
        (first..end).map(|edge| (edge, &self.edges[edge as usize]))
    }

    /// Finds the shortest paths. Returns false if the list is not in the snapshot.
    pub(super) fn search(&mut self) -> bool {
        let Some(list) = self.find_list() else { return false };
        let (mut targets, mut handles) = (Vec::new(), HashMap::<Node, usize>::new());
        targets.resize_with(self.sought, HashSet::new);
        let mut memories = HashMap::<Node, usize>::new();
        let mut probes = HashSet::new();
        for (_, edge) in self.edges_of(list).filter(|(_, edge)| edge.kind == EdgeKind::Element) {
            if let Some(at) = Marks::position(self.marks.object, edge.name)
                && let Some(target) = targets.get_mut(at)
            {
                target.insert(edge.to);
            } else if let Some(at) = Marks::position(self.marks.memory, edge.name)
                && let Some(&at) = self.memories.get(at)
            {
                probes.insert(edge.to);
                let bytes = self.edges_of(edge.to).find(|(_, edge)| self.is_bytes(edge.to));
                if let Some((_, bytes)) = bytes {
                    memories.insert(bytes.to, at);
                }
            } else if Marks::position(self.marks.handle, edge.name).is_some() {
                *handles.entry(edge.to).or_default() += 1;
            }
        }
        if !memories.is_empty() {
            for node in (0..self.types.len() as Node).filter(|node| !probes.contains(node)) {
                for (_, edge) in self.edges_of(node) {
                    if let Some(&at) = memories.get(&edge.to)
                        && let Some(target) = targets.get_mut(at)
                    {
                        target.insert(node);
                    }
                }
            }
        }
        let global =
            self.edges_of(list).find(|(_, edge)| edge.kind == EdgeKind::Element && edge.name == self.marks.global());
        let contexts = global.map_or_else(HashSet::new, |(_, edge)| self.with_internal_edge_to(edge.to));
        let ways = self.ways(list, &handles, &contexts);
        self.found = targets.iter().map(|target| self.path_to(target, &ways)).collect();
        let names = self.found.iter().flatten().flatten().flat_map(|raw| {
            let name = (raw.kind != EdgeKind::Element).then_some(raw.name);
            [name, Some(raw.to)].into_iter().flatten()
        });
        self.strings.wanted = names.collect();
        true
    }

    fn is_bytes(&self, node: Node) -> bool {
        u32::from(self.types[node as usize]) == self.fields.native
    }

    fn find_list(&self) -> Option<Node> {
        let is_list = |edge: &&Edge| edge.kind == EdgeKind::Element && edge.name == self.marks.list();
        // The list is its own first element.
        self.edges.iter().find(is_list).map(|edge| edge.to)
    }

    /// The nodes with a field of V8's own that leads to this node.
    fn with_internal_edge_to(&self, to: Node) -> HashSet<Node> {
        let leads =
            |node: &Node| self.edges_of(*node).any(|(_, edge)| edge.kind == EdgeKind::Internal && edge.to == to);
        (0..self.types.len() as Node).filter(leads).collect()
    }

    /// The cheapest way to each node. `handles` are the objects that handles of Rust keep, and by how many roots. A way through
    /// one of `contexts`, in which script runs, is the best, since it begins at what script calls `globalThis`.
    fn ways(&self, list: Node, handles: &HashMap<Node, usize>, contexts: &HashSet<Node>) -> Vec<Option<Way>> {
        let of_root = |node| self.edges_of(node).map(|(_, edge)| edge.to);
        // The root of all nodes leads to one node for all roots, and that to one for the roots of each kind.
        let kinds_of_roots: HashSet<Node> = of_root(0).flat_map(of_root).collect();
        let all_handles = self.parent_of(list);
        let mut ways: Vec<Option<Way>> = vec![None; self.types.len()];
        let mut next = BinaryHeap::from([Reverse((0_u32, 0 as Node))]);
        while let Some(Reverse((cost, node))) = next.pop() {
            let is_late = ways[node as usize].is_some_and(|way| way.cost < cost);
            if is_late || node == list {
                continue;
            }
            // The roots of handles count as handles, and are no paths of script.
            let mut left_out = if Some(node) == all_handles { handles.clone() } else { HashMap::new() };
            for (number, edge) in self.edges_of(node) {
                if let Some(count @ 1..) = left_out.get_mut(&edge.to) {
                    *count -= 1;
                    continue;
                }
                let step = match edge.kind {
                    EdgeKind::Weak => continue,
                    _ if kinds_of_roots.contains(&node) && !contexts.contains(&edge.to) => 1 << 20,
                    EdgeKind::Context | EdgeKind::Element | EdgeKind::Property if node != 0 => 1,
                    _ => 8,
                };
                let cost = cost.saturating_add(step);
                let way = &mut ways[edge.to as usize];
                if edge.to != 0 && way.is_none_or(|way| cost < way.cost) {
                    *way = Some(Way { cost, edge: number, from: node });
                    next.push(Reverse((cost, edge.to)));
                }
            }
        }
        ways
    }

    /// The node that leads to the list and is not the list.
    fn parent_of(&self, list: Node) -> Option<Node> {
        let nodes = (0..self.types.len() as Node).filter(|&node| node != list);
        nodes.into_iter().find(|&node| self.edges_of(node).any(|(_, edge)| edge.to == list))
    }

    fn path_to(&self, target: &HashSet<Node>, ways: &[Option<Way>]) -> Option<Vec<Raw>> {
        let way_to = |node: &Node| ways[*node as usize].map(|way| (way.cost, *node));
        let (_, mut at) = target.iter().filter_map(way_to).min()?;
        let mut path = Vec::new();
        while let Some(way) = ways[at as usize] {
            let edge = &self.edges[way.edge as usize];
            path.push(Raw { kind: edge.kind, name: edge.name, to: self.names[at as usize] });
            at = way.from;
        }
        path.reverse();
        Some(path)
    }
}
