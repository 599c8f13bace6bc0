//! Observation of two runs of a region, and what may differ (SEMANTICS 3).
//!
//! Compared are: how the region was left and what it returned; per folio the references (by kind, so that a pin dropped
//! by a put is seen), dirty flag, tag, buffers, lock, life; per page the releases between two events that others can
//! see, and the order of dirtying and releasing; the events themselves; every cell written that is visible behind the
//! region. `new` may be better than `old`, never worse; each permitted difference has a number.

use super::code::Way;
use super::exec::{Exit, Machine};
use super::state::{Ev, State, What};
use super::task::{HeldBy, Policy, Refinement};
use super::trail::Note;
use super::value::{Obj, Ptr, V};
use crate::model::{Event, Map, Page, Warning};
use std::collections::{BTreeMap, BTreeSet};

/// A difference that is not permitted.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The region.
    pub region: usize,
    /// In one sentence.
    pub what: String,
    /// What the old code did in the region, then the new code.
    pub logs: [Vec<Ev>; 2],
    /// How each ended.
    pub ends: [String; 2],
    /// Where the new code faulted.
    pub fault_at: Option<super::state::At>,
    /// The first page is not a plain one.
    pub odd: bool,
    /// Inputs: the facts that led here.
    pub notes: Vec<Note>,
    /// Pages at the end of each.
    pub pages: Vec<String>,
}

impl Diff {
    /// Short ones first.
    pub fn size(&self) -> usize {
        // A struct or array that is NULL against all sense is the last that a reader wants to be told of.
        let absurd = self.what.ends_with("is NULL and is followed");
        self.notes.len() + self.logs[0].len() + self.logs[1].len() + 4 * usize::from(self.odd) + 8 * usize::from(absurd)
    }
}

/// Page operations between two events that others can see.
#[derive(Default)]
struct Segment {
    releases: BTreeMap<Page, i32>,
    dirtied: BTreeSet<u8>,
    /// Folios dirtied after their last release.
    late: BTreeSet<u8>,
    order: Vec<(u8, Page)>,
}

fn segments(log: &[Ev]) -> (Vec<Segment>, Vec<&Ev>) {
    let mut all = vec![Segment::default()];
    let mut events = Vec::new();
    for e in log {
        let Some(s) = all.last_mut() else { break };
        match &e.what {
            What::TryDirty(p) => {
                s.dirtied.insert(p.folio.0);
                s.late.insert(p.folio.0);
                s.order.push((0, *p));
            }
            What::Page(Event::Release { page, .. }) => {
                *s.releases.entry(*page).or_default() += 1;
                s.late.remove(&page.folio.0);
                s.order.push((1, *page));
            }
            What::Page(Event::Acquire { page, .. }) => s.order.push((2, *page)),
            What::Page(_) => {}
            What::Acquire(..) | What::Call(..) | What::Free(_) | What::Barrier(_) => {
                events.push(e);
                all.push(Segment::default());
            }
        }
    }
    // Late means: released before in the same stretch.
    for s in &mut all {
        let released: BTreeSet<u8> = s.releases.keys().map(|p| p.folio.0).collect();
        s.late.retain(|f| released.contains(f));
    }
    (all, events)
}

/// A reference of one kind that unchanged code dropped by the call of the other kind (get-to-pin plans).
pub fn mixed(m: &Machine<'_>) -> Option<Box<Diff>> {
    for (f, hb) in &m.st.held[1] {
        let ha = m.st.held[0].get(f).copied().unwrap_or_default();
        if hb.pin >= 0 && (hb.get >= 0 || ha.get < 0) {
            continue;
        }
        let last: Vec<Ev> = m.st.log.last().cloned().into_iter().collect();
        return Some(Box::new(Diff {
            region: 0,
            what: mixed_text(usize::from(*f), *hb, m.st.mems[1].folio(crate::model::FolioId(*f)).refs),
            logs: [last.clone(), last],
            ends: ["the reference is dropped".into(), "the count is wrong for ever".into()],
            fault_at: None,
            odd: odd(m),
            notes: m.trail.notes.clone(),
            pages: Vec::new(),
        }));
    }
    None
}

fn odd(m: &Machine<'_>) -> bool {
    match (m.pages.folios.first(), m.flavours.first()) {
        (Some(f), Some(plain)) => *f != plain.0,
        _ => false,
    }
}

fn mixed_text(page: usize, h: super::state::Held, refs: i32) -> String {
    let what =
        if h.pin < 0 { "a plain reference is dropped as a pin" } else { "a pin is dropped as a plain reference" };
    format!("page {page}: {what}, its count is {refs} then")
}

/// Compares the run of the old code, whose state is in the machine, with that of the new code.
pub fn compare(
    m: &mut Machine<'_>,
    region: usize,
    from: usize,
    old_exit: &Exit,
    new: &State,
    new_exit: &Result<Exit, String>,
) -> Result<BTreeSet<Refinement>, Box<Diff>> {
    let mut met = BTreeSet::new();
    let found = difference(m, region, from, old_exit, new, new_exit, &mut met);
    let Some(what) = found else { return Ok(met) };
    let mut pages = Vec::new();
    for i in 0..m.pages.folios.len() {
        let line = |s: &State, k: usize| {
            let f = s.mems[k].folio(crate::model::FolioId(i as u8));
            format!(
                "{} reference(s), {}{}{}",
                f.refs,
                if f.dirty { "dirty" } else { "clean" },
                if f.tagged { " and to be written back" } else { "" },
                if f.freed { ", freed" } else { "" }
            )
        };
        let (old, new) = (line(&m.st, 0), line(new, 1));
        if old != new && new_exit.is_ok() {
            pages.push(format!("page {i} is left with: {old}, by the old code; {new}, by the new code"));
        }
    }
    let end = |m: &Machine<'_>, e: &Exit| match e {
        Exit::Way(Way::Fall) => "the code behind goes on".to_string(),
        Exit::Way(Way::Break) => "break".into(),
        Exit::Way(Way::Continue) => "continue".into(),
        Exit::Way(Way::Goto(n)) => format!("goto {n}"),
        Exit::Return(V::Void) => "returns".into(),
        Exit::Return(v) => format!("returns {}", m.w.show_value(*v)),
    };
    let ends = [
        end(m, old_exit),
        match new_exit {
            Ok(e) => end(m, e),
            Err(f) => f.clone(),
        },
    ];
    Err(Box::new(Diff {
        region,
        what,
        logs: [m.st.log[from.min(m.st.log.len())..].to_vec(), new.log[from.min(new.log.len())..].to_vec()],
        ends,
        fault_at: m.fault_at,
        odd: odd(m),
        notes: m.trail.notes.clone(),
        pages,
    }))
}

fn difference(
    m: &mut Machine<'_>,
    region: usize,
    from: usize,
    old_exit: &Exit,
    new: &State,
    new_exit: &Result<Exit, String>,
    met: &mut BTreeSet<Refinement>,
) -> Option<String> {
    let new_exit = match new_exit {
        Ok(e) => e,
        Err(fault) => return Some(format!("only the new code faults: {fault}")),
    };
    let (old_log, new_log) = (&m.st.log[from..], &new.log[from..]);
    let ((a, ea), (b, eb)) = (segments(old_log), segments(new_log));
    // Events that others can see, in order.
    for (i, pair) in (0..ea.len().max(eb.len())).map(|i| (i, (ea.get(i), eb.get(i)))) {
        let what = match pair {
            (Some(x), Some(y)) if x.what == y.what || alike(m, &x.what, &y.what) => {
                if let Some(text) = segment_difference(m, &a[i], &b[i], new, Some(x), met) {
                    return Some(text);
                }
                continue;
            }
            // Releases and dirtying before this point may explain the difference better.
            (Some(x), Some(y)) => {
                format!("the old code reaches {}, the new code {}", m.show_event(x), m.show_event(y))
            }
            (Some(x), None) => format!("{} is missing in the new code", m.show_event(x)),
            (None, Some(y)) => format!("{} is new", m.show_event(y)),
            (None, None) => break,
        };
        if let (Some(x), Some(y)) = (a.get(i), b.get(i))
            && let Some(text) = segment_difference(m, x, y, new, ea.get(i).or(eb.get(i)).copied(), met)
        {
            return Some(text);
        }
        return Some(what);
    }
    if let (Some(x), Some(y)) = (a.last(), b.last())
        && let Some(text) = segment_difference(m, x, y, new, None, met)
    {
        return Some(text);
    }
    if let Some(text) = folio_difference(m, new, met) {
        return Some(text);
    }
    if let Some(w) = new_warning(old_log, new_log) {
        return Some(format!("only the new code warns: {w}"));
    }
    let tail = m.regions[region].tail;
    let end = |e: &Exit| match e {
        Exit::Way(Way::Fall) if tail => Exit::Return(V::Void),
        e => e.clone(),
    };
    let same_exit = match (&end(old_exit), &end(new_exit)) {
        (Exit::Return(x), Exit::Return(y)) => same(m, *x, *y),
        (x, y) => x == y,
    };
    if !same_exit {
        return Some("the two versions go on in different ways".into());
    }
    if let Some(text) = cell_difference(m, region, old_exit, new) {
        return Some(text);
    }
    if let Some(text) = width_difference(m, new) {
        return Some(text);
    }
    forms(m, new, met);
    None
}

/// The same call, as far as the trail knows by now: the old code may have made the call before a value was picked.
fn alike(m: &Machine<'_>, a: &What, b: &What) -> bool {
    let same = |x: super::value::TermId, y: super::value::TermId| {
        x == y
            || match (m.trail.eval(&m.w, x), m.trail.eval(&m.w, y)) {
                (Some(V::Int(x, _)), Some(V::Int(y, _))) => x == y,
                (Some(V::Page(x)), Some(V::Page(y))) => x == y,
                _ => false,
            }
    };
    match (a, b) {
        (What::Call(f, x), What::Call(g, y)) => {
            f == g && x.len() == y.len() && x.iter().zip(y.iter()).all(|(&x, &y)| same(x, y))
        }
        (What::Free(x), What::Free(y)) => same(*x, *y),
        _ => false,
    }
}

fn segment_difference(
    m: &Machine<'_>,
    a: &Segment,
    b: &Segment,
    new: &State,
    until: Option<&Ev>,
    met: &mut BTreeSet<Refinement>,
) -> Option<String> {
    let until = || until.map_or_else(String::new, |e| format!(", before {}", m.show_event(e)));
    let pages: BTreeSet<Page> = a.releases.keys().chain(b.releases.keys()).copied().collect();
    for p in pages {
        let (x, y) = (a.releases.get(&p).copied().unwrap_or(0), b.releases.get(&p).copied().unwrap_or(0));
        if x != y {
            let name = m.w.show_value(V::Page(p));
            return Some(format!("{name} is released {x} time(s) by the old code, {y} by the new code{}", until()));
        }
    }
    if let Some(f) = a.dirtied.difference(&b.dirtied).next() {
        return Some(format!("page {f} is marked dirty here by the old code, not by the new code{}", until()));
    }
    for &f in b.dirtied.difference(&a.dirtied) {
        let folio = new.mems[1].folio(crate::model::FolioId(f));
        if folio.compound()
            && (folio.map == Map::Anon || matches!(folio.map, Map::File(crate::model::FileKind::Hugetlb)))
        {
            met.insert(Refinement::R4);
            continue;
        }
        return Some(format!("page {f} is marked dirty here by the new code, not by the old code{}", until()));
    }
    if let Some(f) = b.late.difference(&a.late).next() {
        return Some(format!("page {f} is marked dirty by the new code after it was released"));
    }
    if a.late != b.late {
        met.insert(Refinement::R8);
    }
    if a.order != b.order {
        met.insert(Refinement::R6);
    }
    None
}

fn folio_difference(m: &Machine<'_>, new: &State, met: &mut BTreeSet<Refinement>) -> Option<String> {
    for i in 0..m.pages.folios.len() {
        let id = crate::model::FolioId(i as u8);
        let (a, b) = (m.st.mems[0].folio(id), new.mems[1].folio(id));
        let (ha, hb) =
            (m.st.held[0].get(&id.0).copied().unwrap_or_default(), new.held[1].get(&id.0).copied().unwrap_or_default());
        if m.task.held_by == HeldBy::GetToPin {
            let total = |h: super::state::Held| h.get + h.pin;
            if total(ha) != total(hb) {
                return Some(format!(
                    "page {i}: {} reference(s) are left by the old code, {} by the new code",
                    total(ha),
                    total(hb)
                ));
            }
            if hb.pin < 0 || hb.get < 0 && ha.get >= 0 {
                return Some(mixed_text(i, hb, b.refs));
            }
            if hb.pin > 0 || ha != hb {
                met.insert(Refinement::R9);
            }
        } else if a.refs != b.refs {
            return Some(format!("page {i}: count {} after the old code, {} after the new code", a.refs, b.refs));
        } else if a.pinc != b.pinc {
            return Some(format!("page {i}: pin count {} after the old code, {} after the new code", a.pinc, b.pinc));
        }
        if a.freed != b.freed {
            return Some(format!("page {i} is freed by one version only"));
        }
        if a.lock != b.lock {
            return Some(format!("page {i} is left locked by one version only"));
        }
        if a.dirty && !b.dirty && b.map == Map::File(crate::model::FileKind::Dax) {
            // The flag alone means nothing on a DAX page: its dirtiness is kept elsewhere.
            met.insert(Refinement::R3);
        } else if a.dirty && !b.dirty {
            return Some(format!("page {i} is dirty after the old code, clean after the new code: data is lost"));
        }
        if b.dirty && !a.dirty {
            if b.compound() && matches!(b.map, Map::Anon | Map::File(crate::model::FileKind::Hugetlb)) {
                met.insert(Refinement::R4);
            } else {
                return Some(format!("page {i} is clean after the old code, dirty after the new code"));
            }
        }
        if a.tagged && !b.tagged {
            return Some(format!("page {i} is tagged for writeback after the old code, not after the new code"));
        }
        if b.tagged && !a.tagged {
            if !a.dirty {
                return Some(format!("page {i} is tagged for writeback after the new code only"));
            }
            met.insert(Refinement::R3);
        }
        match (a.bufs, b.bufs) {
            (Some(x), Some(y)) if x != y => {
                let lost = x.iter().zip(&y).any(|(&x, &y)| x && !y);
                if lost {
                    if m.task.policy == Policy::StrictDirty {
                        return Some(format!(
                            "page {i} was dirty already: the new code leaves a block of it clean that the old code marks dirty"
                        ));
                    }
                    met.insert(Refinement::R2);
                } else {
                    met.insert(Refinement::R3);
                }
            }
            _ => {}
        }
    }
    None
}

fn new_warning(old: &[Ev], new: &[Ev]) -> Option<Warning> {
    let count = |log: &[Ev], w: Warning| log.iter().filter(|e| e.what == What::Page(Event::Warn(w))).count();
    new.iter().find_map(|e| match e.what {
        What::Page(Event::Warn(w)) if count(new, w) > count(old, w) => Some(w),
        _ => None,
    })
}

/// A number that one version alone cuts (F20): the numbers tried are too small to show it. That a helper's `int`
/// parameter goes is no loss: 2^31 pages are 8 TB.
fn width_difference(m: &mut Machine<'_>, new: &State) -> Option<String> {
    let text = |from: u8, to: u8, who: &str| {
        format!("a number of {from} bits is cut to {to} bits by the {who} code only: a large count comes out different")
    };
    let narrowed = [m.st.narrowed.clone(), new.narrowed.clone()];
    let [a, b] = narrowed.map(|s| -> BTreeSet<(u8, u8, V)> {
        s.into_iter().map(|(from, to, t)| (from, to, m.settled(V::Term(t)))).collect()
    });
    match b.difference(&a).next() {
        Some(&(from, to, _)) => Some(text(from, to, "new")),
        // The old code may cut a number in each turn of a loop.
        None => {
            let kept = |from: u8, to: u8| b.iter().any(|c| (c.0, c.1) == (from, to));
            a.iter().find(|&&(from, to, _)| to < 32 && !kept(from, to)).map(|&(from, to, _)| text(from, to, "old"))
        }
    }
}

/// Equal, as far as the trail knows.
fn same(m: &mut Machine<'_>, a: V, b: V) -> bool {
    let (a, b) = (m.settled(a), m.settled(b));
    match (a, b) {
        (V::Int(x, _), V::Int(y, _)) => x == y,
        // `n + m` of the old code, made when `m` was not known, is `n` of the new code once it is 0.
        (V::Term(x), V::Term(y)) => {
            x == y || m.w.ty(x) == m.w.ty(y) && m.trail.linear(&m.w, x) == m.trail.linear(&m.w, y)
        }
        _ => a == b,
    }
}

fn cell_difference(m: &mut Machine<'_>, region: usize, exit: &Exit, new: &State) -> Option<String> {
    // Most cells hold the same in both.
    let differ = |a: &State, b: &State| -> Vec<Ptr> {
        a.cells.iter().filter(|(p, v)| b.cells.get(p) != Some(v)).map(|(p, _)| *p).collect()
    };
    let mut places = differ(&m.st, new);
    places.extend(differ(new, &m.st));
    // What was filled as a whole, looked at in a few places: its first elements, and any field.
    let any = m.w.name("…");
    for s in [&m.st, new] {
        for &(area, array, _) in s.fills.get(m.fills_from..).unwrap_or(&[]) {
            for i in 0..if array { 4 } else { 1 } {
                let at = Ptr { idx: area.idx + i, ..area };
                places.push(at);
                places.push(m.w.field(at, any));
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    let open: BTreeSet<u32> = m.st.frames.iter().map(|f| f.id).collect();
    let here = m.frame().map_or(0, |f| f.id);
    let live = match exit {
        Exit::Return(_) => None,
        Exit::Way(w) => m.regions[region].live.iter().find(|l| l.0 == *w).map(|l| l.1.clone()),
    };
    let known = m.regions[region].types[1].clone();
    for p in places {
        if let Obj::Local(frame, name) = m.w.what(p.obj) {
            if !open.contains(&frame) {
                continue;
            }
            if frame == here {
                let read = match (&live, exit) {
                    (_, Exit::Return(_)) => false,
                    (Some(l), _) => l.contains(&name),
                    (None, _) => known.contains_key(&name),
                };
                if !read {
                    continue;
                }
            }
        }
        let ty = crate::ast::CType::unknown();
        let a = m.st.read(&mut m.w, p, &ty);
        let b = new.read(&mut m.w, p, &ty);
        if a == V::Poison || same(m, a, b) {
            continue;
        }
        let (a, b) = (m.settled(a), m.settled(b));
        return Some(format!(
            "{} is {} after the old code, {} after the new code",
            m.w.show_ptr(p),
            m.w.show_value(a),
            m.w.show_value(b)
        ));
    }
    None
}

/// Names the permitted changes of form.
fn forms(m: &Machine<'_>, new: &State, met: &mut BTreeSet<Refinement>) {
    let (a, b) = (&m.st.used, &new.used);
    let locked = b.iter().any(|f| f.ends_with("_dirty_lock")) || b.contains("set_page_dirty_lock");
    if a.contains("set_page_dirty") && !b.contains("set_page_dirty") && locked {
        met.insert(Refinement::R1);
    }
    if a.contains("SetPageDirty") && !b.contains("SetPageDirty") && locked {
        met.insert(Refinement::R3);
    }
    let batch =
        |s: &BTreeSet<&str>| s.iter().any(|f| f.starts_with("put_user_pages") || f.starts_with("unpin_user_pages"));
    if batch(b) && !batch(a) && (a.contains("put_page") || a.contains("put_user_page") || a.contains("unpin_user_page"))
    {
        met.insert(Refinement::R6);
    }
    if a.contains("release_pages") && !b.contains("release_pages") && batch(b) {
        met.insert(Refinement::R7);
    }
    if a.contains("PageReserved") && !b.contains("PageReserved") {
        met.insert(Refinement::R5);
    }
}
