//! The rounds: load, build the graph, see where pages get to, ask for more.

use super::FnId;
use super::facts::{Fact, Facts, extract};
use super::graph::{Graph, Reached};
use super::near::Part;
use super::place::{PASSED, Place};
use super::wiring::{self, Draft, Link, Passed, Places, Wiring};
use crate::index::{Asked, FnRef, Index};
use crate::kernel::{AcquireKind, Api};
use crate::source::{FileId, Name, Span};
use crate::split::{As, mentions};
use crate::trace::Custody;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// Rounds after which the search ends; v6.12 needs 14.
const MAX_ROUNDS: usize = 20;
/// Functions loaded at most. v5.2.1 needs about 2500.
const MAX_FUNCTIONS: usize = 9000;

/// Places that the pages of one pin, or the origins of one release, are followed to in search of more code. The widest
/// plain pins of v5.2.1 and v6.12 reach 384 and are complete with 100; iterators alone reach thousands.
const MAX_SPREAD: usize = 300;

/// State of the search.
pub(super) struct Engine<'a> {
    pub index: &'a Index,
    pub fns: Vec<FnRef>,
    pub ids: FxHashMap<FnRef, FnId>,
    pub facts: Vec<Arc<Facts>>,
    /// Whether a function is itself one that acquires: what it pins is its callers' business.
    acquires: Vec<bool>,
    /// The facts in numbers, as far as a graph was built.
    wirings: Vec<Wiring>,
    /// Those of the functions behind these.
    drafts: Vec<Draft>,
    places: Arc<Places>,
    /// What a name means, by the file that it is called from. All threads ask this of every call in each round, so no
    /// name is counted up for it.
    pub targets: FxHashMap<FileId, FxHashMap<Name, Option<FnRef>>>,
    pub asked: BTreeSet<Demand>,
    /// Files that name an acquiring function.
    pub seeds: Vec<FileId>,
    pub far_passes: usize,
    /// Fields that the whole tree was searched for.
    pub far_fields: BTreeSet<(Name, Name)>,
    /// Files that name a struct, as far as the whole tree was searched for it.
    pub far_tags: BTreeMap<Name, Vec<FileId>>,
    /// Files that hold the words of vessels.
    pub with_vessels: FxHashMap<String, Vec<FileId>>,
    /// Files that name a function which drops pages beside a pin.
    pub with_helpers: FxHashMap<Name, Vec<FileId>>,
    /// Files of a part of the tree that name a word.
    pub near: FxHashMap<(Part, Name), Vec<FileId>>,
    /// Demands that were too broad to follow.
    pub refused: BTreeSet<Demand>,
    /// Functions whose callers were looked for, and how often their address is taken there.
    pub taken: BTreeMap<FnRef, usize>,

    /// Functions whose callers were looked for, with the number found.
    pub callers: BTreeMap<FnRef, usize>,
    /// What members can hold, called from a file; where it is not known, there is no entry.
    pub members: FxHashMap<Asked, Vec<FnRef>>,
    /// Calls by name of each function, once the rounds have ended.
    called: OnceLock<Vec<Vec<(FnId, Span)>>>,
}

/// A question about the rest of the tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Demand {
    /// Who calls the function. In each, the last member tells whether the whole tree may be searched.
    Callers(FnRef, bool),
    /// What the name means in that file.
    Definition(FileId, Name, bool),
    /// What the member of a struct can hold, called from that file.
    Member(FileId, Name, Name),
    /// Who touches the field; the file is one that sees the struct.
    Field(FileId, Name, Name, bool),
    /// Who releases what is in the vessel, by its number in the table.
    Vessel(u32),
    /// Who names the variable.
    Global(Option<FileId>, FileId, Name),
}

/// What the search has left behind. To take it down takes as long as a small round: not for anybody to wait for.
#[derive(Default)]
#[allow(dead_code)]
pub struct Remains(Vec<Arc<Facts>>, Vec<Wiring>, Graph);

/// Finds all pin sites of the tree and follows their pages.
pub fn analyse(index: &Index, seeds: &[FileId]) -> (Custody, Remains) {
    let mut e = Engine {
        index,
        fns: Vec::new(),
        ids: FxHashMap::default(),
        facts: Vec::new(),
        acquires: Vec::new(),
        wirings: Vec::new(),
        drafts: Vec::new(),
        places: Arc::default(),
        targets: FxHashMap::default(),
        asked: BTreeSet::new(),
        seeds: seeds.to_vec(),
        far_passes: 0,
        far_fields: BTreeSet::new(),
        far_tags: BTreeMap::new(),
        with_vessels: FxHashMap::default(),
        with_helpers: FxHashMap::default(),
        near: FxHashMap::default(),
        refused: BTreeSet::new(),
        taken: BTreeMap::new(),
        callers: BTreeMap::new(),
        members: FxHashMap::default(),
        called: OnceLock::new(),
    };
    rayon::join(|| e.seed(seeds), || index.turn());
    let mut g = e.graph(Graph::default());
    for _ in 0..MAX_ROUNDS {
        let reached = e.reach(&g, MAX_SPREAD);
        let demands = e.demands(&g, &reached);
        if !e.satisfy(demands) {
            break;
        }
        g = e.graph(g);
        if e.fns.len() > MAX_FUNCTIONS {
            break;
        }
    }
    let forward = e.leave_the_rest(&g);
    let custody = super::trace::build(&e, &g, forward);
    (custody, Remains(e.facts, e.wirings, g))
}

/// What pages of pins can reach, and what can reach the releases at the end.
pub(super) struct Reach2 {
    /// From calls that may be converted. Only these are followed through the whole tree.
    pub forward: Reached,
    /// From all acquiring calls, iterators and wrapper APIs included.
    pub every: Reached,
    pub backward: Reached,
}

impl Engine<'_> {
    fn seed(&mut self, files: &[FileId]) {
        let api = Api::get();
        self.index.load(files);
        let mut wanted = Vec::new();
        for &file in files {
            let Some(items) = self.index.items(file) else { continue };
            for i in items.holding(api.search_parts()) {
                let item = &items.items[i as usize];
                let Some(body) = item.body else { continue };
                if !item.is_static && implements_api(&item.name) {
                    continue;
                }
                let mut pins = false;
                mentions(&items.text, body, As::Call, &mut |w, _| {
                    pins = std::str::from_utf8(w).is_ok_and(|w| api.acquire(w).is_some());
                    pins
                });
                if pins {
                    wanted.push(FnRef { file, item: i });
                }
            }
        }
        self.load(wanted);
    }

    /// Loads functions: parses them in parallel, extracts their facts, numbers them in the order given.
    pub fn load(&mut self, mut wanted: Vec<FnRef>) -> bool {
        wanted.sort();
        wanted.dedup();
        wanted.retain(|f| !self.ids.contains_key(f));
        if wanted.is_empty() {
            return false;
        }
        let first = self.fns.len() as u32;
        let index = self.index;
        let mut files: Vec<FileId> = wanted.iter().map(|f| f.file).collect();
        files.dedup();
        index.load_with_headers(&files);
        // One by one: what a thread has before it when the other is done shall be short.
        let (facts, drafts): (Vec<Arc<Facts>>, Vec<Draft>) = wanted
            .par_iter()
            .enumerate()
            .with_max_len(1)
            .map(|(i, f)| {
                let id = FnId(first + i as u32);
                let facts = index.parsed(*f).map_or_else(Facts::default, |func| extract(id, f.file, &func, index));
                let items = index.items(f.file);
                let draft = Draft::new(id, &facts, &|name| items.as_ref().and_then(|items| items.function(name)));
                (Arc::new(facts), draft)
            })
            .unzip();
        for (i, f) in wanted.iter().enumerate() {
            self.ids.insert(*f, FnId(first + i as u32));
        }
        // An object that a vector fills has a release of its own.
        let acquires = |f: &FnRef| Api::get().acquire(&index.name(*f)).is_some_and(|a| a.kind != AcquireKind::Vector);
        self.acquires.extend(wanted.iter().map(acquires));
        self.fns.extend(wanted);
        self.facts.extend(facts);
        self.drafts.extend(drafts);
        true
    }

    fn graph(&mut self, mut old: Graph) -> Graph {
        old.forget_places();
        let mut places = std::mem::take(&mut self.places);
        let known = self.wirings.len();
        let drafts = std::mem::take(&mut self.drafts);
        let this = &*self;
        // Places are numbered one after the other; meanwhile, the calls of what is wired already are looked up.
        let (new, mut targets) = rayon::join(
            || {
                let places = Arc::make_mut(&mut places);
                drafts.into_iter().map(|d| d.among(places)).collect::<Vec<_>>()
            },
            || (0..known).into_par_iter().map(|i| this.called_in(i)).collect::<Vec<_>>(),
        );
        self.places = places;
        self.wirings.extend(new);
        let this = &*self;
        targets.par_extend((known..this.wirings.len()).into_par_iter().map(|i| this.called_in(i)));
        let files: Vec<FileId> = self.fns.iter().map(|f| f.file).collect();
        Graph::build(old, self.places.clone(), &self.wirings, targets, &files)
    }

    /// The loaded functions that each call of a wired function reaches.
    fn called_in(&self, i: usize) -> Vec<Vec<FnId>> {
        let calls = self.wirings[i].links.iter().filter_map(|l| match l {
            Link::Call { callee, member, here, .. } => Some((callee, member, *here)),
            Link::Edge { .. } => None,
        });
        let targets = |(callee, member, here): (&Option<Name>, &Option<_>, _)| match callee {
            Some(name) => self.named(self.fns[i].file, name, || here).into_iter().collect(),
            None => self.targets(FnId(i as u32), None, member.as_ref()),
        };
        calls.map(targets).collect()
    }

    /// The loaded functions that a call in function `f` reaches, by name or through a member.
    pub fn targets(&self, f: FnId, callee: Option<&Name>, member: Option<&(Name, Name)>) -> Vec<FnId> {
        match (callee, member) {
            (Some(name), _) => self.target(f, name).into_iter().collect(),
            (None, Some((tag, name))) => self
                .held(f, tag, name)
                .map(|held| held.iter().filter_map(|r| self.ids.get(r)).copied().collect())
                .unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }

    /// What a member can hold, if that is known.
    pub fn held(&self, f: FnId, tag: &Name, member: &Name) -> Option<&[FnRef]> {
        let file = self.fns[f.0 as usize].file;
        self.members.get(&(file, tag.clone(), member.clone())).map(Vec::as_slice)
    }

    /// The loaded function that a call of `name` in function `f` reaches.
    pub fn target(&self, f: FnId, name: &Name) -> Option<FnId> {
        let file = self.fns[f.0 as usize].file;
        self.named(file, name, || self.index.items(file)?.function(name))
    }

    /// Calls by name of a loaded function, in the order of the functions that make them. Asked for behind the last
    /// round only: a function that is loaded later is not among them.
    pub fn callers_of(&self, f: FnId) -> &[(FnId, Span)] {
        let called = self.called.get_or_init(|| {
            let calls = |i: usize| {
                let id = FnId(i as u32);
                let calls = self.facts[i].facts.iter().filter_map(move |fact| match fact {
                    Fact::Call { callee: Some(name), call, .. } => Some((self.target(id, name)?, (id, *call))),
                    _ => None,
                });
                calls.collect::<Vec<_>>()
            };
            let found: Vec<_> = (0..self.facts.len()).into_par_iter().map(calls).collect();
            let mut called = vec![Vec::new(); self.facts.len()];
            for (callee, call) in found.into_iter().flatten() {
                called[callee.0 as usize].push(call);
            }
            called
        });
        called.get(f.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The loaded function that `name` means in a file; `here` gives the file's own function of that name.
    fn named(&self, file: FileId, name: &Name, here: impl FnOnce() -> Option<u32>) -> Option<FnId> {
        let r = match self.targets.get(&file).and_then(|here| here.get(name)) {
            Some(r) => (*r)?,
            None => FnRef { file, item: here()? },
        };
        self.ids.get(&r).copied()
    }

    pub fn reach(&self, g: &Graph, most: usize) -> Reach2 {
        let mut pins = Vec::new();
        let mut all = Vec::new();
        let mut closed = FxHashSet::default();
        for (i, f) in self.facts.iter().enumerate() {
            let inside = self.acquires[i];
            if inside {
                closed.insert(FnId(i as u32));
            }
            for fact in &f.facts {
                if let Fact::Pin { into: Some(p), api, .. } = fact
                    && let Some(n) = g.stored(p)
                {
                    all.push(n);
                    let plain = Api::get().acquire(api).is_some_and(|a| {
                        matches!(
                            a.kind,
                            AcquireKind::Gup
                                | AcquireKind::Pin
                                | AcquireKind::Dump
                                | AcquireKind::Iter
                                | AcquireKind::Vector
                        )
                    });
                    if plain && !inside {
                        pins.push(vec![n]);
                    }
                }
            }
        }
        let near = || {
            let forward = g.near(&pins, true, most, &closed);
            let mut ends = Vec::new();
            for f in &self.facts {
                for fact in &f.facts {
                    if let Fact::Release { from, .. } = fact {
                        let nodes: Vec<u32> = from.iter().filter_map(|p| g.node(p)).collect();
                        if nodes.iter().any(|n| forward.has(*n)) {
                            ends.push(nodes);
                        }
                    }
                }
            }
            let backward = g.near(&ends, false, most, &FxHashSet::default());
            (forward, backward)
        };
        let (every, (forward, backward)) = rayon::join(|| g.reached(&all), near);
        Reach2 { forward, every, backward }
    }

    fn demands(&self, g: &Graph, r: &Reach2) -> Vec<Demand> {
        let calls = || self.wirings.par_iter().zip(&self.fns).with_min_len(64);
        let (mut all, called): (BTreeSet<Demand>, Vec<Vec<Demand>>) = rayon::join(
            || self.demands_of_places(g, r),
            || calls().map(|(f, at)| self.demands_of_calls(f, at.file, r)).collect(),
        );
        all.extend(called.into_iter().flatten());
        all.into_iter().filter(|d| !self.asked.contains(d)).collect()
    }

    /// What the places ask for that were reached.
    fn demands_of_places(&self, g: &Graph, r: &Reach2) -> BTreeSet<Demand> {
        let mut out = BTreeSet::new();
        let mut seen = FxHashSet::default();
        for (reached, is_forward, wide) in
            [(&r.forward, true, true), (&r.backward, false, true), (&r.every, true, false)]
        {
            for &n in reached.order.iter().chain(if is_forward && !wide { &reached.numbers[..] } else { &[] }) {
                // The two nodes of a place ask the same; what was asked widely need not be asked again.
                if !seen.insert((n / 2, is_forward && wide)) || (!wide && seen.contains(&(n / 2, true))) {
                    continue;
                }
                {
                    let p = g.place(n);
                    match p {
                        Place::Var(f, name) | Place::Def(f, name, _) => {
                            let r = self.fns[f.0 as usize];
                            let params = &self.facts[f.0 as usize].params;
                            let is_param = match p {
                                Place::Def(..) => p.entry_param().is_some(),
                                _ => params.iter().any(|q| matches!(&q.place, Place::Var(_, m) if m == name)),
                            };
                            // Forward, other callers matter only where the function stores pages for them.
                            let theirs = !is_forward || reached.has(n | 1) || reached.has_number(n | 1);
                            if is_param && theirs {
                                out.insert(Demand::Callers(r, wide || self.is_api(r)));
                            }
                        }
                        Place::Ret(f) => {
                            // What a caller stores through the result of an allocator comes back to that caller only.
                            if is_forward && (reached.leaves(n & !1) || reached.leaves(n | 1)) {
                                let r = self.fns[f.0 as usize];
                                out.insert(Demand::Callers(r, wide || self.is_api(r)));
                            }
                        }
                        Place::Field(tag, field) => {
                            if let Some(v) = vessel(tag, field) {
                                // Only where its pages go: all that others put in is another origin anyway.
                                if is_forward {
                                    out.insert(Demand::Vessel(v));
                                }
                            } else if let Some(file) = self.seen_from(g, n, tag, field) {
                                out.insert(Demand::Field(file, tag.clone(), field.clone(), wide));
                            }
                        }
                        Place::Global(owner, name) => {
                            if let Some(f) = self.edge_file(g, n) {
                                out.insert(Demand::Global(*owner, f, name.clone()));
                            }
                        }
                        Place::Call(..) => {}
                    }
                }
            }
        }
        out
    }

    /// What the calls of a function ask for that pages pass.
    fn demands_of_calls(&self, f: &Wiring, file: FileId, r: &Reach2) -> Vec<Demand> {
        let mut out = Vec::new();
        for link in &f.links {
            let Link::Call { callee, member, args, result, .. } = link else { continue };
            let passes = |reached: &Reached| {
                // Backward, a callee may be who fills the array.
                let fills = |a: &Passed| a.out.is_some() || a.container;
                let there = |a: &Passed, n| reached.has(n) || (fills(a) && r.backward.has(n));
                args.iter().any(|a| a.relevant && a.nodes().any(|n| there(a, n)))
            };
            let gives = r.backward.has(wiring::read(*result));
            let number = || args.iter().flat_map(Passed::nodes).any(|n| r.every.has_number(n));
            match (callee, member) {
                (Some(name), _) if passes(&r.forward) => {
                    out.push(Demand::Definition(file, name.clone(), true));
                }
                // A container that is made of nothing which carries pages: an allocator, or a search.
                (Some(name), _) if gives && !args.iter().any(|a| a.relevant) => {
                    out.push(Demand::Definition(file, name.clone(), true));
                }
                (Some(name), _) if gives || passes(&r.every) || number() => {
                    out.push(Demand::Definition(file, name.clone(), false));
                }
                // What is passed to a function is asked in its own file.
                (None, Some((tag, name)))
                    if gives || passes(&r.forward) || tag.starts_with(PASSED) && passes(&r.every) =>
                {
                    out.push(Demand::Member(file, tag.clone(), name.clone()));
                }
                _ => {}
            }
        }
        out
    }

    /// What nobody asked for, because it is too far from a pin or because the rounds ended: a gap where pages get
    /// there. Gives what the pages of all pins reach.
    fn leave_the_rest(&mut self, g: &Graph) -> Reached {
        let everywhere = self.reach(g, usize::MAX);
        for d in self.demands(g, &everywhere) {
            self.refused.insert(match d {
                Demand::Callers(f, _) => Demand::Callers(f, true),
                Demand::Field(file, tag, field, _) => Demand::Field(file, tag, field, true),
                other => other,
            });
        }
        everywhere.every
    }

    pub fn is_api(&self, f: FnRef) -> bool {
        Api::get().acquire(&self.index.name(f)).is_some()
    }

    /// A file with a function whose facts mention the field.
    fn seen_from(&self, g: &Graph, n: u32, tag: &Name, field: &Name) -> Option<FileId> {
        let _ = (tag, field);
        self.edge_file(g, n)
    }

    /// A file with a function that has to do with the node.
    pub fn edge_file(&self, g: &Graph, n: u32) -> Option<FileId> {
        let at = [n & !1, n | 1]
            .into_iter()
            .flat_map(|n| g.incoming(n).iter().chain(g.outgoing(n)))
            .filter(|e| e.at.1 != Span::default())
            .map(|e| e.at.0)
            .min_by_key(|f| {
                let file = self.fns[f.0 as usize].file;
                (self.index.tree.path(file).ends_with(".h"), *f)
            });
        let member = g.place(n).function();
        let f = at.or(member).or_else(|| self.pin_into(g, n))?;
        Some(self.fns[f.0 as usize].file)
    }

    /// A function that pins straight into the node.
    fn pin_into(&self, g: &Graph, n: u32) -> Option<FnId> {
        self.facts.iter().enumerate().find_map(|(i, f)| {
            f.facts
                .iter()
                .any(|x| match x {
                    Fact::Pin { into: Some(p), .. } => g.stored(p) == Some(n | 1),
                    Fact::Release { from, .. } => from.iter().any(|p| g.node(p) == Some(n & !1)),
                    _ => false,
                })
                .then_some(FnId(i as u32))
        })
    }
}

/// The body of a function that implements the API: the pages belong to whoever calls it.
pub(super) fn implements_api(name: &str) -> bool {
    let bare = name.trim_start_matches('_');
    ["get_user_pages", "pin_user_pages"].iter().any(|p| bare.starts_with(p))
}

/// The number of the vessel with these contents.
fn vessel(tag: &str, field: &str) -> Option<u32> {
    Api::get().vessels().iter().position(|v| v.tag == tag && v.field == field).map(|i| i as u32)
}
