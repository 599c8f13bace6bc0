//! What a walk over the graph has reached, and by which way.
//!
//! How a walk goes is not known here.

use super::FnId;
use super::graph::Node;
use crate::source::Span;
use rustc_hash::FxHashMap;

/// Nodes reached: per node, in which phase, and by which edge first.
#[derive(Clone, Default, Debug)]
pub struct Reached {
    pub(super) phase: Vec<u8>,
    /// First edge by which the node was reached: previous node and place. The start has none; empty where no ways are
    /// kept.
    pub(super) from: FxHashMap<Node, (Node, (FnId, Span))>,
    /// Nodes in the order they were reached.
    pub order: Vec<Node>,
    /// Nodes that a number or address of the pages reached, in order.
    pub numbers: Vec<Node>,
    /// By which statements pages came to places, where that was asked.
    pub(super) came: FxHashMap<u32, Vec<Option<(FnId, Span)>>>,
}

impl Reached {
    /// Whether the node was reached.
    pub fn has(&self, n: Node) -> bool {
        self.phase.get(n as usize).is_some_and(|p| *p & PAGE != 0)
    }
    /// The statements by which pages came to the place of a node, `None` for any; nothing if that was not asked.
    pub fn came(&self, n: Node) -> Option<&[Option<(FnId, Span)>]> {
        self.came.get(&(n / 2)).map(Vec::as_slice)
    }
    /// Whether a number or address of the pages reached the node.
    pub fn has_number(&self, n: Node) -> bool {
        self.phase.get(n as usize).is_some_and(|p| *p & NUMBER != 0)
    }
    /// Whether what reached the node may go on to any caller, and not only back to the one that it came from.
    pub fn leaves(&self, n: Node) -> bool {
        let free = FREE | FREE << 2 | FREE << 4 | FREE << 6;
        self.phase.get(n as usize).is_some_and(|p| *p & free != 0)
    }
    /// Whether the node was reached only by what came out of a vessel.
    pub fn only_behind(&self, n: Node) -> bool {
        self.phase.get(n as usize).is_some_and(|p| p & PAGE != 0 && p & (FREE | BOUND) == 0)
    }
    fn key(&self, n: Node) -> Node {
        if self.phase.get(n as usize).is_some_and(|p| *p & (FREE | BOUND) != 0) { n } else { n | AS_BEHIND }
    }
    /// Whether the node was first reached by way of a number of the page.
    pub fn by_number(&self, end: Node) -> bool {
        let mut n = self.key(end);
        for _ in 0..200 {
            let Some((prev, _)) = self.from.get(&n) else { return false };
            if prev & AS_NUMBER != 0 {
                return true;
            }
            n = *prev;
        }
        false
    }
    /// Edges from the start to a node, last first: from, to, and by what.
    pub fn way(&self, end: Node) -> Vec<(Node, Node, (FnId, Span))> {
        let mut way = Vec::new();
        let mut n = self.key(end);
        while let Some((prev, at)) = self.from.get(&n) {
            way.push((*prev & NODE, n & NODE, *at));
            n = *prev;
            if way.len() > 60 {
                break;
            }
        }
        way
    }
}

pub(super) const FREE: u8 = 1;
pub(super) const BOUND: u8 = 2;
/// Phases are kept by variant: two bits higher for a number, four bits higher behind a vessel.
pub(super) const PAGE: u8 = 0x33;
pub(super) const NUMBER: u8 = 0xcc;
/// In [`Reached::from`]: the node as reached by a number, and behind a vessel.
pub(super) const AS_NUMBER: Node = 1 << 31;
pub(super) const AS_BEHIND: Node = 1 << 30;
const NODE: Node = AS_BEHIND - 1;
