//! The chain as an outline: what led to what, one below the other. Paper and a phone can show it, and it needs no script.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::document::{Chain, Edge, Node};

/// Lines; what is more stands in the JSON.
const LINES: usize = 300;
/// A chain is no deeper to the eye.
const DEPTH: usize = 12;

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// How far it is indented, from 0.
    pub depth: usize,
    /// How what is above led to it; empty at the top.
    pub how: String,
    /// Whether people said so.
    pub said: bool,
    /// Its kind.
    pub kind: String,
    /// What it says.
    pub text: String,
    /// Whether it stands further up already, with what it led to.
    pub again: bool,
}

/// The outline, and how many lines were left out.
pub fn outline(chain: &Chain) -> (Vec<Line>, usize) {
    let nodes: BTreeMap<&str, &Node> = chain.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut out: BTreeMap<&str, Vec<&Edge>> = BTreeMap::new();
    for edge in &chain.edges {
        out.entry(&edge.from).or_default().push(edge);
    }
    let reached: BTreeSet<&str> = chain.edges.iter().map(|edge| edge.to.as_str()).collect();
    let mut walk = Walk { nodes, out, shown: BTreeSet::new(), lines: Vec::new(), left_out: 0 };
    let roots = chain.nodes.iter().filter(|node| !reached.contains(node.id.as_str()));
    roots.for_each(|node| walk.from(node, None));
    // People may have drawn a circle, which has no begin: it begins with what stands first.
    for node in &chain.nodes {
        if !walk.shown.contains(node.id.as_str()) {
            walk.from(node, None);
        }
    }
    (walk.lines, walk.left_out)
}

struct Walk<'a> {
    nodes: BTreeMap<&'a str, &'a Node>,
    out: BTreeMap<&'a str, Vec<&'a Edge>>,
    shown: BTreeSet<&'a str>,
    lines: Vec<Line>,
    left_out: usize,
}

impl<'a> Walk<'a> {
    /// Without recursion: a chain of thousands would be as deep as the stack.
    fn from(&mut self, root: &'a Node, edge: Option<&'a Edge>) {
        let mut left: Vec<(&'a Node, Option<&'a Edge>, usize)> = vec![(root, edge, 0)];
        while let Some((node, edge, depth)) = left.pop() {
            let again = !self.shown.insert(&node.id);
            if self.lines.len() >= LINES {
                self.left_out += 1;
            } else {
                self.lines.push(Line {
                    depth: depth.min(DEPTH),
                    how: edge.map(|edge| edge.text.clone()).unwrap_or_default(),
                    said: edge.is_some_and(|edge| edge.said),
                    kind: node.kind.clone(),
                    text: node.text.clone(),
                    again,
                });
            }
            if !again {
                let edges = self.out.get(node.id.as_str()).into_iter().flatten().rev();
                left.extend(
                    edges.filter_map(|edge| Some((*self.nodes.get(edge.to.as_str())?, Some(*edge), depth + 1))),
                );
            }
        }
    }
}
