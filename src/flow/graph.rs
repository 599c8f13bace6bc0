//! The flow graph of all loaded functions: places joined by the facts, and reachability on it.
//!
//! Calls are respected: pages that enter a helper through a parameter do not leave it to another caller. Fields and
//! globals are the heap, where the caller no longer matters. Which place is worth following is not decided here.

use super::FnId;
use super::ends::{End, Ends};
use super::place::{Place, UNKNOWN_TAG};
use super::reached::{AS_BEHIND, AS_NUMBER, BOUND, FREE, NUMBER, PAGE};
use super::wiring::{Link, Places, Wiring, read, store};
use crate::kernel::Api;
use crate::source::{FileId, Name, Span};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use super::reached::Reached;

/// Node number.
pub type Node = u32;

/// How pages pass along an edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    /// Within a function, or through the heap.
    Copy,
    /// Argument to parameter.
    In,
    /// Parameter or return value to the caller.
    Out,
}

/// What an edge makes of the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Pages stay pages, addresses stay addresses.
    Keep,
    /// A number or address is made of the page.
    Number,
    /// The page of a number or address.
    Page,
    /// Pages stay pages, and what goes on has a reference of its own.
    Own,
}

/// An edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// What happens on it.
    pub turn: Turn,
    /// Other end.
    pub to: Node,
    /// How.
    pub via: Via,
    /// Function and place of the statement.
    pub at: (FnId, Span),
}

impl Edge {
    /// Pages are copied there.
    pub fn copy(to: Node, at: (FnId, Span)) -> Self {
        Self { turn: Turn::Keep, to, via: Via::Copy, at }
    }
}

/// Whether a statement that copies pages out of a node comes too early for it.
type TooEarly<'a> = &'a dyn Fn(Node, Span) -> bool;

/// How far a walk goes.
#[derive(Clone, Copy)]
struct Extent<'a> {
    /// Phase of the start.
    start: u8,
    /// The start is a number of the pages.
    number: bool,
    /// Stay in the function and its callees: what goes through the heap is found anyway.
    inside: bool,
    /// Nodes looked at, at most.
    most: usize,
    /// Functions whose callers are not entered.
    closed: Option<&'a FxHashSet<FnId>>,
    /// A function, and the statements of it that come too early to see the pages: no page is copied there.
    early: Option<(FnId, TooEarly<'a>)>,
    /// Calls that bring no page along.
    without: Option<&'a BTreeSet<(FnId, Span)>>,
    /// Calls out of which no page comes, forward.
    empty: Option<&'a BTreeSet<(FnId, Span)>>,
    /// Pages are followed to where they have a reference of their own.
    own: bool,
    /// Whether pages that came to a place by a statement do not leave it by an edge into a callee.
    passage: Option<&'a Closed<'a>>,
    /// The way to each node is kept. Thousands of walks are only asked for what they reach.
    ways: bool,
    /// The same of any edge of a field, and the statement at which the walk starts.
    objects: Option<(&'a Closed<'a>, (FnId, Span))>,
}

/// Of a node, the statement by which pages came to it, and an edge out of it: whether no run does both.
pub type Closed<'a> = dyn Fn(Node, (FnId, Span), &Edge) -> bool + 'a;

/// How many ways into a place are told apart; the most that was seen where one of them mattered is 3.
const MAX_ARRIVALS: usize = 6;

/// By which statements pages came to places; `None` for any.
#[derive(Default)]
struct Arrivals {
    by: FxHashMap<u32, Vec<Option<(FnId, Span)>>>,
    /// By place, where the walk stood when it did not take an edge.
    held_back: FxHashMap<u32, Vec<Stand>>,
}

/// Where a walk stands: node, phase, at a number, behind a vessel.
type Stand = (Node, u8, bool, bool);

impl Arrivals {
    /// Pages came from one place to another by this edge. Gives where more may leave it now than before.
    fn add(&mut self, from: u32, to: u32, edge: &Edge, turned: bool) -> Vec<Stand> {
        if from == to {
            return Vec::new();
        }
        let known = self.by.entry(to).or_default();
        let mut by = (!turned && edge.at.1 != Span::default()).then_some(edge.at);
        if known.len() >= MAX_ARRIVALS {
            by = None;
        }
        if known.contains(&by) || known.contains(&None) {
            return Vec::new();
        }
        known.push(by);
        self.held_back.remove(&to).unwrap_or_default()
    }
    /// None of the pages that came to the place leave it by this edge.
    fn closed(&mut self, at: Stand, place: u32, edge: &Edge, closed: &Closed) -> bool {
        let Some(by) = self.by.get(&place) else { return false };
        let all = by.iter().all(|a| a.is_some_and(|a| closed(at.0, a, edge)));
        if all {
            self.held_back.entry(place).or_default().push(at);
        }
        all
    }
}

const EVERYWHERE: Extent = Extent {
    start: FREE,
    number: false,
    inside: false,
    most: usize::MAX,
    closed: None,
    early: None,
    without: None,
    empty: None,
    own: true,
    passage: None,
    ways: true,
    objects: None,
};

/// The graph.
///
/// Each place has two nodes: what can be read there, and what is stored *through* it. `a = b` of two arrays lets what
/// is in `b` be read through `a`, and puts what is stored through `a` into `b`; what `a` got from a third array stays
/// out of `b`.
#[derive(Default)]
pub struct Graph {
    places: Arc<Places>,
    /// Of a parameter on entry, the variable, which is the same array.
    variable: FxHashMap<u32, u32>,
    out: Ends,
    inc: Ends,
    /// What the calls of each function reached when the graph was built.
    targets: Vec<Vec<Vec<FnId>>>,
    /// Of each place.
    kinds: Vec<Kind>,
}

/// What a walk asks of each place that it comes by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of a function.
    Inside,
    /// A field or a variable of a file.
    Heap,
    /// A field of what the pages of many are put into.
    Vessel,
}

impl Kind {
    fn of(place: &Place) -> Kind {
        match place {
            Place::Field(tag, field) if Api::get().vessel(tag, field).is_some() => Kind::Vessel,
            Place::Field(..) | Place::Global(..) => Kind::Heap,
            _ => Kind::Inside,
        }
    }
}

impl Graph {
    /// Builds the graph of all functions out of that of those which were there before. `targets` has, by function, the
    /// loaded functions that each of its calls reaches, in their order; `files` tells where the functions lie.
    pub fn build(
        old: Graph,
        places: Arc<Places>,
        functions: &[Wiring],
        targets: Vec<Vec<Vec<FnId>>>,
        files: &[FileId],
    ) -> Graph {
        let mut g = Graph { places, ..old };
        for f in functions.iter().skip(g.targets.len()) {
            g.variable.extend(f.entries.iter().filter_map(|e| Some((e.place, e.variable?))));
        }
        // The two ends of the edges know nothing of each other: a thread for each.
        let (places, before, out, inc) = (&g.places, &g.targets, &mut g.out, &mut g.inc);
        rayon::join(
            || out.renew(End::From, places, functions, before, &targets),
            || inc.renew(End::To, places, functions, before, &targets),
        );
        g.targets = targets;
        let first = g.kinds.len();
        g.kinds.extend(g.places.list().iter().skip(first).map(Kind::of));
        g.shown(functions);
        g.untyped_fields(functions, files);
        g.summaries(functions);
        g
    }

    /// Lets go of the numbers of the places, which are about to change.
    pub fn forget_places(&mut self) {
        self.places = Arc::default();
    }

    /// A pin into a field whose array is another place as well (`obj->pages = array`): the pages are there, too.
    fn shown(&mut self, functions: &[Wiring]) {
        for &(from, field) in functions.iter().flat_map(|f| &f.shown) {
            let there: Vec<Edge> = self.out[store(field)].iter().filter(|e| e.to % 2 == 1).copied().collect();
            for e in there {
                self.edge(store(from), Edge { turn: Turn::Keep, ..e });
            }
        }
    }

    /// A field access of unknown type may be any field of that name that the same file uses.
    fn untyped_fields(&mut self, functions: &[Wiring], files: &[FileId]) {
        let places = self.places.clone();
        // Few fields are untyped: those first, then what else has their name in their file.
        let mut typed: BTreeMap<(FileId, &Name), BTreeMap<&Name, u32>> = BTreeMap::new();
        let mut first: BTreeMap<FileId, FnId> = BTreeMap::new();
        for untyped in [true, false] {
            for ((i, f), &file) in functions.iter().enumerate().zip(files) {
                for &n in &f.fields {
                    let Place::Field(tag, field) = &places.list()[n as usize] else { continue };
                    if tag.starts_with(UNKNOWN_TAG) != untyped {
                        continue;
                    }
                    if untyped {
                        first.entry(file).or_insert(FnId(i as u32));
                        typed.entry((file, field)).or_default().insert(tag, n);
                    } else if let Some(tags) = first.get(&file).and_then(|_| typed.get_mut(&(file, field))) {
                        tags.insert(tag, n);
                    }
                }
            }
        }
        for ((file, _), tags) in typed {
            let Some((_, &unknown)) = tags.iter().find(|t| t.0.starts_with(UNKNOWN_TAG)) else { continue };
            let at = (first.get(&file).copied().unwrap_or(FnId(0)), Span::default());
            for &t in tags.values().filter(|t| **t != unknown) {
                self.edge(read(t), Edge::copy(read(unknown), at));
                self.edge(store(unknown), Edge::copy(store(t), at));
            }
        }
    }

    fn edge(&mut self, from: Node, e: Edge) {
        if from != e.to {
            self.out.push(from, e);
            self.inc.push(e.to, Edge { to: from, ..e });
        }
    }
    fn is_heap(&self, n: Node) -> bool {
        self.kinds[n as usize / 2] != Kind::Inside
    }

    /// A helper that hands a parameter on to its result, or to another parameter: an edge from argument to result at
    /// each call, since the walk itself may not leave a helper to a caller it did not come from.
    fn summaries(&mut self, functions: &[Wiring]) {
        // One table for all walks, cleaned after each: a new one a walk costs more than the walk.
        let mut phase = vec![0; self.out.nodes()];
        let within = Extent { start: BOUND, inside: true, own: false, most: 400, ways: false, ..EVERYWHERE };
        // Functions in which a number becomes a page, by themselves or by a callee.
        let makes = |l: &Link| matches!(l, Link::Edge { turn: Turn::Page, .. });
        let mut pages: Vec<bool> = functions.iter().map(|f| f.links.iter().any(makes)).collect();
        // Last loaded first: mostly callees before their callers, so that what a callee hands on is known.
        for (i, f) in functions.iter().enumerate().rev() {
            let mut add = Vec::new();
            // What a caller can find again: the result, and what is stored through a parameter.
            let mut exits: Vec<Node> = vec![read(f.ret)];
            exits.extend(f.entries.iter().filter(|e| !e.by_value).map(|e| store(e.place)));
            exits.retain(|n| self.out[*n].iter().any(|e| e.via == Via::Out));
            if exits.is_empty() {
                continue;
            }
            for entry in &f.entries {
                let entry = read(entry.place);
                if !self.inc[entry].iter().any(|e| e.via == Via::In) {
                    continue;
                }
                for number in [false, true].into_iter().take(if pages[i] { 2 } else { 1 }) {
                    let within = Extent { number, ..within };
                    let mut r = self.walk(std::mem::take(&mut phase), &[entry], true, within);
                    let handed = |n: Node| match number {
                        false => [r.has(n).then_some(Turn::Keep), r.has_number(n).then_some(Turn::Number)],
                        true => [r.has(n).then_some(Turn::Page), None],
                    };
                    for &exit in &exits {
                        for turn in handed(exit).into_iter().flatten() {
                            for c in self.inc[entry].iter().filter(|e| e.via == Via::In) {
                                let outs = self.out[exit].iter();
                                let back = outs.filter(|o| o.via == Via::Out && o.at == c.at);
                                add.extend(back.map(|o| (c.to, o.to, turn, c.at)));
                            }
                        }
                    }
                    for n in r.order.iter().chain(&r.numbers) {
                        r.phase[*n as usize] = 0;
                    }
                    phase = r.phase;
                }
            }
            for (from, to, turn, at) in add {
                if turn == Turn::Page
                    && let Some(caller) = pages.get_mut(at.0.0 as usize)
                {
                    *caller = true;
                }
                self.edge(from, Edge { turn, ..Edge::copy(to, at) });
            }
        }
    }

    /// The node of what can be read at a place, if the place occurs.
    pub fn node(&self, p: &Place) -> Option<Node> {
        self.places.get(p).map(read)
    }
    /// The node of what is stored through a place, if the place occurs.
    pub fn stored(&self, p: &Place) -> Option<Node> {
        self.places.get(p).map(store)
    }
    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.out.nodes()
    }
    /// The place of a node.
    pub fn place(&self, n: Node) -> &Place {
        &self.places.list()[n as usize / 2]
    }
    /// Edges into a node.
    pub fn incoming(&self, n: Node) -> &[Edge] {
        &self.inc[n]
    }
    /// Edges out of a node.
    pub fn outgoing(&self, n: Node) -> &[Edge] {
        &self.out[n]
    }

    /// Where pages in these nodes can get to.
    pub fn forward(&self, from: &[Node]) -> Reached {
        self.walk(vec![0; self.out.nodes()], from, true, EVERYWHERE)
    }
    /// The same, without the ways.
    pub fn reached(&self, from: &[Node]) -> Reached {
        self.walk(vec![0; self.out.nodes()], from, true, Extent { ways: false, ..EVERYWHERE })
    }
    /// From where pages get to these nodes, of the nearest ones.
    pub fn behind(&self, to: &[Node], most: usize) -> Reached {
        self.walk(vec![0; self.out.nodes()], to, false, Extent { most, ..EVERYWHERE })
    }
    /// Where the pages of a pin in function `f` can get to. `early` tells of a place in that function whether it cannot
    /// be reached after the pin, `closed` which ways through a place no run takes.
    /// Calls `without` bring no page along, and none comes out of the calls `empty`.
    pub fn forward_after(
        &self,
        from: Node,
        (f, early): (FnId, &dyn Fn(Span) -> bool),
        closed: &Closed,
        without: Option<&BTreeSet<(FnId, Span)>>,
        empty: Option<&BTreeSet<(FnId, Span)>>,
        objects: Option<(&Closed, (FnId, Span))>,
    ) -> Reached {
        let (cut, mut kept) = (RefCell::new(FxHashSet::default()), FxHashSet::default());
        loop {
            let test = |n: Node, at: Span| {
                let early = early(at) && !kept.contains(&n);
                if early {
                    cut.borrow_mut().insert(n);
                }
                early
            };
            let extent = Extent {
                early: Some((f, &test)),
                passage: Some(closed),
                own: false,
                without,
                empty,
                objects,
                ..EVERYWHERE
            };
            let reached = self.walk(vec![0; self.out.nodes()], &[from], true, extent);
            let again = self.left_before(&reached, f, &cut.take());
            if again.is_empty() {
                return reached;
            }
            kept.extend(again);
        }
    }
    /// Those of the nodes of a function that pages get to which an earlier run of it has left: by a field, or from a
    /// caller. What the function does with them before its pin is not too early.
    fn left_before(&self, r: &Reached, f: FnId, nodes: &FxHashSet<Node>) -> Vec<Node> {
        if nodes.is_empty() {
            return Vec::new();
        }
        let mine = |n: Node| self.place(n).function() == Some(f);
        let comes_in = |n: &Node| self.inc[*n].iter().any(|e| e.via == Via::In && !mine(e.to) && r.has(e.to));
        let starts = r.order.iter().copied().filter(|n| self.is_heap(*n) || mine(*n) && comes_in(n));
        let mut open: Vec<Node> = starts.collect();
        let mut seen: FxHashSet<Node> = open.iter().copied().collect();
        while let Some(n) = open.pop() {
            let next = self.out[n].iter().map(|e| e.to);
            open.extend(next.filter(|to| (r.has(*to) || r.has_number(*to)) && seen.insert(*to)));
        }
        let mut found: Vec<Node> = nodes.iter().copied().filter(|n| seen.contains(n)).collect();
        found.sort_unstable();
        found
    }
    /// Where pages in these nodes can come from, when these calls bring no page into the function that they call.
    /// `objects` tells which ways through a field no page takes, and the statement that has the pages.
    pub fn backward(
        &self,
        from: &[Node],
        without: Option<&BTreeSet<(FnId, Span)>>,
        objects: Option<(&Closed, (FnId, Span))>,
    ) -> Reached {
        self.walk(vec![0; self.out.nodes()], from, false, Extent { without, objects, ..EVERYWHERE })
    }
    /// The union of walks from each of the groups, none of which looks at more than `most` nodes. The pages of a
    /// `closed` function are not followed to its callers.
    pub fn near(&self, groups: &[Vec<Node>], forward: bool, most: usize, closed: &FxHashSet<FnId>) -> Reached {
        let nodes = self.out.nodes();
        let mut all = Reached { phase: vec![0; nodes], ..Reached::default() };
        // A table a thread, cleaned after each walk.
        let walk = |phase: &mut Vec<u8>, from: &Vec<Node>| {
            let extent = Extent { most, closed: Some(closed), ways: false, ..EVERYWHERE };
            let mut r = self.walk(std::mem::take(phase), from, forward, extent);
            let seen = [(&r.order, PAGE), (&r.numbers, NUMBER)]
                .map(|(nodes, bits)| nodes.iter().map(|n| (*n, r.phase[*n as usize] & bits)).collect::<Vec<_>>());
            for n in r.order.iter().chain(&r.numbers) {
                r.phase[*n as usize] = 0;
            }
            *phase = r.phase;
            seen
        };
        let walks = groups.par_iter().with_min_len(8).map_init(|| vec![0; nodes], walk);
        for [order, numbers] in walks.collect::<Vec<_>>() {
            for (mine, theirs, bits) in [(&mut all.order, order, PAGE), (&mut all.numbers, numbers, NUMBER)] {
                mine.extend(theirs.iter().filter(|n| all.phase[n.0 as usize] & bits == 0).map(|n| n.0));
                for (n, phase) in theirs {
                    all.phase[n as usize] |= phase;
                }
            }
        }
        all
    }

    /// The number of a node's place; of a parameter, that of the variable.
    fn whole(&self, n: Node) -> u32 {
        *self.variable.get(&(n / 2)).unwrap_or(&(n / 2))
    }

    fn is_vessel(&self, n: Node) -> bool {
        self.kinds[n as usize / 2] == Kind::Vessel
    }

    /// Breadth-first walk over valid paths. What comes out of a vessel (all bios are one) is followed to the function
    /// that took it out and to its callees, not into the heap again. Backward a vessel is an end: it is an origin of
    /// its own. Forward, a walk that went into a callee (`In`) may not go `Out` to a caller any more, until it passes
    /// through the heap; backward it is the other way round. `phase` has a zero for each node.
    fn walk(&self, phase: Vec<u8>, from: &[Node], forward: bool, extent: Extent) -> Reached {
        let mut r = Reached { phase, ..Reached::default() };
        let mut queue = VecDeque::new();
        for &n in from {
            let phase = if self.is_heap(n) && !extent.inside { FREE } else { extent.start };
            let shift = if extent.number { 2 } else { 0 };
            if r.phase[n as usize] >> shift & phase == 0 {
                r.phase[n as usize] |= phase << shift;
                let list = if extent.number { &mut r.numbers } else { &mut r.order };
                list.push(n);
                queue.push_back((n, phase, extent.number, false));
            }
        }
        let (enter, leave) = if forward { (Via::In, Via::Out) } else { (Via::Out, Via::In) };
        let mut steps = 0;
        let mut arrivals = Arrivals::default();
        let arriving = extent.passage.is_some() || extent.objects.is_some();
        if arriving {
            let start = |n: Node| extent.objects.filter(|_| self.is_heap(n)).map(|(_, at)| at);
            arrivals.by.extend(from.iter().map(|n| (self.whole(*n), vec![start(*n)])));
        }
        while let Some((n, phase, number, behind)) = queue.pop_front() {
            steps += 1;
            if steps > extent.most {
                break;
            }
            let vessel = self.is_vessel(n);
            if vessel && !forward {
                continue;
            }
            let came_behind = behind;
            let behind = behind || (vessel && !extent.inside);
            let edges = if forward { &self.out[n] } else { &self.inc[n] };
            let closed = extent.closed.is_some_and(|c| self.place(n).function().is_some_and(|f| c.contains(&f)));
            for e in edges {
                let skipped = e.via == Via::In && extent.without.is_some_and(|w| w.contains(&e.at))
                    || e.via == Via::Out && extent.empty.is_some_and(|w| w.contains(&e.at));
                if skipped || closed && e.via == leave {
                    continue;
                }
                // A page that is copied out of a local before the pin. A copied pointer to an array (read to read)
                // still shows what is stored later, and what is stored through it goes where the local pointed to.
                if let Some((f, early)) = extent.early
                    && e.at.0 == f
                    && (n % 2, e.to % 2) == (0, 1)
                    && self.place(n).function() == Some(f)
                    && e.at.1 != Span::default()
                    && early(n, e.at.1)
                {
                    continue;
                }
                let passage = extent.passage.filter(|_| e.via == Via::In);
                let of_objects = extent.objects.map(|o| o.0).filter(|_| self.is_heap(n));
                let at = (n, phase, number, came_behind);
                let mut closed = [passage, of_objects].into_iter().flatten();
                if !number && closed.any(|c| arrivals.closed(at, self.whole(n), e, c)) {
                    continue;
                }
                let turned = match (e.turn, number == forward) {
                    (Turn::Keep, _) => number,
                    (Turn::Own, _) if extent.own && !number => false,
                    // Forward a page becomes a number, backward the number was a page; and the other way round.
                    (Turn::Number, false) | (Turn::Page, true) => !number,
                    _ => continue,
                };
                let mut next = if e.via == enter {
                    BOUND
                } else if e.via == leave {
                    if phase == BOUND {
                        continue;
                    }
                    phase
                } else {
                    phase
                };
                // A summary walk stays inside: what goes through the heap is found anyway.
                if self.is_heap(e.to) {
                    // The two nodes of the vessel itself are one heap place.
                    if extent.inside || (behind && e.to / 2 != n / 2) {
                        continue;
                    }
                    next = FREE;
                }
                let shift = if turned { 2 } else { 0 };
                let all = r.phase[e.to as usize];
                // What was reached without a vessel on the way covers what is reached behind one.
                let have = (all >> shift | if behind { all >> (shift + 4) } else { 0 }) & (FREE | BOUND);
                if arriving {
                    queue.extend(arrivals.add(self.whole(n), self.whole(e.to), e, turned || number));
                }
                if have & next != 0 || (next == BOUND && have & FREE != 0) {
                    continue;
                }
                let key = |n: Node, number: bool, behind: bool| {
                    n | if number { AS_NUMBER } else { 0 } | if behind { AS_BEHIND } else { 0 }
                };
                if all & if turned { NUMBER } else { PAGE } == 0 {
                    if turned { r.numbers.push(e.to) } else { r.order.push(e.to) }
                }
                if extent.ways {
                    r.from.entry(key(e.to, turned, behind)).or_insert((key(n, number, came_behind), e.at));
                }
                r.phase[e.to as usize] |= next << (shift + if behind { 4 } else { 0 });
                queue.push_back((e.to, next, turned, behind));
            }
        }
        if extent.objects.is_some() {
            r.came = arrivals.by;
        }
        r
    }
}
