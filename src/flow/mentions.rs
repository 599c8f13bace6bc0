//! Which functions mention a node: a trace looks at those that its pages reach, some ten of two thousand.

use super::engine::Engine;
use super::facts::Fact;
use super::graph::{Graph, Node, Reached};
use rayon::prelude::*;

/// The nodes that facts mention.
pub(super) struct FactNodes {
    /// By function and fact.
    pub(super) of: Vec<Vec<Vec<Node>>>,
    /// Numbers of the functions that mention a node, ascending.
    by_node: Vec<Vec<u32>>,
}

impl FactNodes {
    pub(super) fn new(e: &Engine, g: &Graph) -> Self {
        let of_fact = |fact: &Fact| {
            let mut out = Vec::new();
            fact.places(&mut |p| out.extend(g.node(p)));
            out
        };
        let of: Vec<Vec<Vec<Node>>> = e.facts.par_iter().map(|f| f.facts.iter().map(of_fact).collect()).collect();
        let mut by_node = vec![Vec::new(); g.nodes()];
        for (i, facts) in (0..).zip(&of) {
            for n in facts.iter().flatten() {
                let functions = &mut by_node[*n as usize];
                if functions.last() != Some(&i) {
                    functions.push(i);
                }
            }
        }
        Self { of, by_node }
    }
    /// Functions that mention what was reached, ascending.
    pub(super) fn functions(&self, r: &Reached) -> Vec<usize> {
        let nodes = r.order.iter().chain(&r.numbers);
        let functions = nodes.filter_map(|n| self.by_node.get(*n as usize));
        let mut all: Vec<usize> = functions.flatten().map(|f| *f as usize).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
