//! Page functions: pins, releases and dirtying, on the model.
//!
//! A term that is used as a page becomes one: a page of its own, a page met before (a duplicate), or another page of
//! the same compound. The first page takes every flavour that matters, the others are clean file pages: effects on one
//! folio do not depend on another (SEMANTICS 4), so one odd folio among plain ones in each position is enough.

use super::exec::Machine;
use super::state::{Phase, What, active};
use super::task::HeldBy;
use super::trail::{BOUND, Note, Stop};
use super::value::{ITy, Ptr, Term, TermId, V};
use crate::ast::{CType, Expr};
use crate::kernel::AcquireKind;
use crate::model::{self, Fault, Folio, Grab, Kind, Memory, Page};
use crate::source::Span;

/// Folios that the first page of a run may lie in; the first is the plain one. `refs` counts all but the holder's.
pub fn flavours(dirtying: bool, zero: bool, batch_put: bool) -> Vec<(Folio, u8, &'static str)> {
    let plain = Kind::FileBuffer.order0(1);
    let mut v = vec![(plain, 0, "a clean file page"), (Kind::Anon.folio(2, 1), 1, "the second page of a huge page")];
    if dirtying {
        let dirty = |bufs, tagged| Folio { dirty: true, tagged, bufs: Some(bufs), ..plain };
        v.push((dirty([true, true], true), 0, "a dirty file page"));
        v.push((dirty([true, false], true), 0, "a file page of which one block is dirty"));
        v.push((dirty([false, false], false), 0, "a file page with the dirty flag but no tag"));
        v.push((Kind::Anon.order0(1), 0, "a clean anonymous page"));
        v.push((Kind::FileDax.order0(2), 0, "a DAX page"));
        v.push((Kind::FileNoBuf.order0(1), 0, "a clean page of a file system without buffers"));
    }
    if zero {
        v.push((Kind::Zero.order0(1), 0, "the zero page"));
    }
    if batch_put && !dirtying {
        v.push((Kind::FileDax.order0(2), 0, "a DAX page"));
    }
    v
}

/// What a page looks like, for the story.
fn fault_text(f: Fault) -> String {
    f.to_string()
}

impl Machine<'_> {
    /// Runs a model function on the memories of this phase; the result of the first counts.
    pub fn on_pages<R>(&mut self, span: Span, f: &mut dyn FnMut(&mut Memory) -> Result<R, Fault>) -> Result<R, Stop> {
        self.st.sync(&self.pages)?;
        let atomic = self.st.atomic > 0;
        let mut first = None;
        for &k in active(self.phase) {
            let mem = &mut self.st.mems[k];
            mem.atomic = atomic;
            let r = f(mem);
            first.get_or_insert(r);
        }
        let at = self.at(span);
        self.st.drain(self.phase, at);
        if self.task.held_by == HeldBy::GetToPin
            && self.phase == Phase::Both
            && let Some(d) = super::compare::mixed(self)
        {
            self.diff = Some(d);
            return Err(Stop::Prune);
        }
        match first {
            Some(Ok(r)) => Ok(r),
            Some(Err(e)) => Err(Stop::Fault(fault_text(e))),
            None => Err(Stop::Prune),
        }
    }

    /// The page behind a value, as the model wants it.
    pub fn page(&mut self, v: V) -> Result<model::Ptr, Stop> {
        Ok(match v {
            V::Page(p) => model::Ptr::Page(p),
            V::Int(0, _) => model::Ptr::Null,
            V::Int(n, _) => model::Ptr::ErrPtr(ITy::LONG.wrap(n).clamp(-4095, 4095) as i32),
            V::Poison | V::Void => model::Ptr::Poison,
            V::Term(t) => return self.page_of(t),
            V::Ptr(_) | V::Str | V::Agg(_) => {
                let t = self.w.operand(v);
                return self.page_of(t);
            }
        })
    }

    fn page_of(&mut self, t: TermId) -> Result<model::Ptr, Stop> {
        match self.trail.eval(&self.w, t) {
            Some(V::Ptr(_)) | Some(V::Term(_)) | None => {}
            Some(v) => return self.page(v),
        }
        if let Some(V::Page(p)) = self.trail.value(t) {
            return Ok(model::Ptr::Page(p));
        }
        match self.w.get(t) {
            Term::Cell(p) | Term::Havoc(_, p) if !(-200..=200).contains(&p.idx) => {
                return Err(Stop::Fault("oops: the loop runs off the page array".into()));
            }
            _ => {}
        }
        let known = self.trail.known_truth(t);
        if known == Some(false) {
            return Ok(model::Ptr::Null);
        }
        // The old code uses it as a page, so it is one: otherwise the old code crashes and nothing is compared.
        // An entry that only the new code uses is a difference by itself, when it is released or dirtied; when it is
        // only looked at, NULL must be tried.
        if self.phase == Phase::After && self.looking && known.is_none() && self.trail.choose(2) == 1 {
            self.trail.set_truth(t, false);
            self.trail.notes.push(Note::Truth(t, false));
            return Ok(model::Ptr::Null);
        }
        let p = self.new_page();
        let foreign = match self.w.get(t) {
            Term::Call(name, ..) => self.task.api.origin(self.w.spell(*name)) == Some(true),
            _ => false,
        };
        let kinds = match self.task.held_by {
            // alloc_page() and the like: a plain reference in both versions.
            _ if foreign => [Grab::Get; 2],
            HeldBy::Get => [Grab::Get; 2],
            HeldBy::Pin => [Grab::Pin; 2],
            // In unchanged code it is a reference that the plan does not touch.
            HeldBy::GetToPin if self.phase == Phase::Both => [Grab::Get; 2],
            HeldBy::GetToPin => [Grab::Get, Grab::Pin],
        };
        self.pages.holds.push((p, kinds));
        self.trail.set_value(t, V::Page(p));
        self.trail.set_truth(t, true);
        self.trail.notes.push(Note::Value(t, V::Page(p)));
        Ok(model::Ptr::Page(p))
    }

    /// A page that was not met before, or one that was.
    pub fn new_page(&mut self) -> Page {
        let n = self.pages.folios.len();
        if n == 0 {
            let i = if self.plain || self.additive { 0 } else { self.trail.choose(self.flavours.len()) };
            let (folio, idx, text) = self.flavours[i];
            let lock = if self.page_locked { model::Lock::Caller } else { model::Lock::Free };
            self.pages.folios.push(Folio { lock, ..folio });
            let p = crate::model::FolioId(0).page(idx);
            self.trail.notes.push(Note::Text(format!("{} is {text}", self.w.show_value(V::Page(p)))));
            return p;
        }
        let mut options: Vec<Page> = Vec::new();
        for (i, f) in self.pages.folios.iter().enumerate().take(4) {
            let id = crate::model::FolioId(i as u8);
            options.push(id.page(f.nr - 1));
            if f.nr > 1 {
                options.push(id.page(0));
            }
        }
        // Four entries show every way of sharing; what comes behind them in a longer array is plain.
        self.pages.met += 1;
        let choices = if self.plain || self.additive || self.pages.met >= 4 { 1 } else { options.len() + 1 };
        // Code that asks for flags may end early at a page that is not the first.
        let odd: Vec<usize> = match (self.asks && n == 1, self.pages.folios.first(), self.flavours.first()) {
            (true, Some(first), Some(plain)) if first.map == plain.0.map && !first.dirty => (1..self.flavours.len())
                .filter(|&i| self.flavours[i].1 == 0 && (self.flavours[i].0.tagged || self.flavours[i].0.zero))
                .collect(),
            _ => Vec::new(),
        };
        match self.trail.choose(choices + odd.len()) {
            i if i == 0 || i >= choices => {
                let (folio, _, text) = self.flavours[if i == 0 { 0 } else { odd[i - choices] }];
                let lock = if self.page_locked { model::Lock::Caller } else { model::Lock::Free };
                self.pages.folios.push(Folio { lock, ..folio });
                let p = crate::model::FolioId(n.min(255) as u8).page(0);
                if i > 0 {
                    self.trail.notes.push(Note::Text(format!("{} is {text}", self.w.show_value(V::Page(p)))));
                }
                p
            }
            i => options[i - 1],
        }
    }

    /// Whether the name is a page function; if so, runs it.
    pub fn page_call(&mut self, name: &str, args: &[Expr], span: Span) -> Result<Option<(V, CType)>, Stop> {
        let api = self.task.api;
        if let Some(a) = api.acquire(name)
            && matches!(a.kind, AcquireKind::Gup | AcquireKind::Pin)
            && !self.defined_here(name)
        {
            let names = self.task.program.parameters(name);
            let roles = a.roles_of(&args.iter().collect::<Vec<_>>(), names.as_deref());
            let how = if a.kind == AcquireKind::Pin { Grab::Pin } else { Grab::Get };
            return self.acquire(name, roles, how, args, span).map(Some);
        }
        let Some(&function) = PAGE_FUNCTIONS.iter().find(|&&f| f == name) else { return Ok(None) };
        if self.defined_here(name) {
            return Ok(None);
        }
        self.st.used.insert(function);
        self.observed |= !matches!(
            function,
            "put_page"
                | "put_user_page"
                | "put_user_pages"
                | "unpin_user_page"
                | "unpin_user_pages"
                | "get_page"
                | "__free_page"
        );
        let mut v = Vec::with_capacity(args.len());
        for a in args {
            v.push(self.eval(a)?);
        }
        let arg = |i: usize| v.get(i).map_or(V::Poison, |x| x.0);
        let done = Ok(Some((V::Void, CType::unknown())));
        match function {
            "put_user_pages"
            | "put_user_pages_dirty"
            | "put_user_pages_dirty_lock"
            | "unpin_user_pages"
            | "unpin_user_pages_dirty_lock"
            | "release_pages" => {
                let array = v.first().cloned();
                let Some((array, ty)) = array else {
                    return self.unsupported(span, format!("{name}() without arguments"));
                };
                let n = self.number(arg(1), span)?;
                if n < 0 || n > i128::from(i32::MAX) {
                    let at = self.at(span);
                    let ty = v.get(1).and_then(|x| super::value::int_type(&x.1)).unwrap_or(ITy::ULONG);
                    self.st.told.push((at, function, V::Int(n, ty)));
                }
                let dirty = match function {
                    "put_user_pages_dirty_lock" | "unpin_user_pages_dirty_lock" if v.len() == 3 => {
                        Some(self.truth(arg(2))?)
                    }
                    _ => None,
                };
                self.batch(function, array, &ty, n, dirty, span)?;
                done
            }
            "unpin_user_page_range_dirty_lock" | "unpin_folio" | "unpin_folios" | "unpin_user_folio" => {
                self.unsupported(span, format!("{name}() is not interpreted"))
            }
            _ => {
                self.looking = function.starts_with("Page") || matches!(function, "compound_head" | "page_count");
                let p = self.page(arg(0));
                self.looking = false;
                let p = p?;
                self.single(function, p, span).map(Some)
            }
        }
    }

    /// Notes that a clean page is about to be dirtied.
    fn try_dirty(&mut self, page: Page, span: Span) -> Result<(), Stop> {
        self.st.sync(&self.pages)?;
        let k = active(self.phase)[0];
        if !self.st.mems[k].folio(page.folio).dirty {
            self.log(What::TryDirty(page), span);
        }
        Ok(())
    }

    fn single(&mut self, function: &str, p: model::Ptr, span: Span) -> Result<(V, CType), Stop> {
        if matches!(function, "set_page_dirty" | "set_page_dirty_lock" | "SetPageDirty")
            && let model::Ptr::Page(page) = p
        {
            self.try_dirty(page, span)?;
        }
        let void = (V::Void, CType::unknown());
        match function {
            "put_page" => self.on_pages(span, &mut |m| m.put_page(p))?,
            "put_user_page" => self.on_pages(span, &mut |m| m.put_user_page(p))?,
            "unpin_user_page" => self.on_pages(span, &mut |m| m.unpin_user_page(p))?,
            "__free_page" => self.on_pages(span, &mut |m| m.free_page(p))?,
            "get_page" => self.on_pages(span, &mut |m| m.get_page(p))?,
            "set_page_dirty" => self.on_pages(span, &mut |m| m.set_page_dirty(p))?,
            "set_page_dirty_lock" => self.on_pages(span, &mut |m| m.set_page_dirty_lock(p))?,
            "SetPageDirty" => self.on_pages(span, &mut |m| m.set_page_dirty_flag(p))?,
            "lock_page" => {
                self.call_event("lock_page", p, span);
                self.on_pages(span, &mut |m| m.lock_page(p))?;
            }
            "unlock_page" => {
                self.call_event("unlock_page", p, span);
                self.on_pages(span, &mut |m| m.unlock_page(p))?;
            }
            "trylock_page" => {
                let b = self.on_pages(span, &mut |m| m.trylock_page(p))?;
                self.call_event("trylock_page", p, span);
                return Ok((V::bool(b), CType::int()));
            }
            "PageDirty" => return self.predicate(span, &mut |m| m.page_dirty(p)),
            "PageCompound" => return self.predicate(span, &mut |m| m.page_compound(p)),
            "PageReserved" => return self.predicate(span, &mut |m| m.page_reserved(p)),
            "compound_head" => {
                let h = self.on_pages(span, &mut |m| m.compound_head(p))?;
                return Ok((V::Page(h), CType::structure("page", 1)));
            }
            "page_count" => {
                // Counts differ between the versions of a get-to-pin plan; drivers compare them with constants only.
                let n = self.on_pages(span, &mut |m| m.page_count(p))?;
                return Ok((V::int(i128::from(n)), CType::int()));
            }
            _ => return self.unsupported(span, format!("{function}() is not interpreted")),
        }
        Ok(void)
    }
    fn predicate(
        &mut self,
        span: Span,
        f: &mut dyn FnMut(&mut Memory) -> Result<bool, Fault>,
    ) -> Result<(V, CType), Stop> {
        let b = self.on_pages(span, f)?;
        Ok((V::bool(b), CType::int()))
    }
    fn call_event(&mut self, name: &str, p: model::Ptr, span: Span) {
        let n = self.w.name(name);
        let v = match p {
            model::Ptr::Page(p) => V::Page(p),
            _ => V::Poison,
        };
        let t = self.w.operand(v);
        self.log(What::Call(n, [t].into()), span);
    }

    fn batch(
        &mut self,
        function: &str,
        array: V,
        ty: &CType,
        n: i128,
        dirty: Option<bool>,
        span: Span,
    ) -> Result<(), Stop> {
        // release_pages() takes an int.
        let n = if function == "release_pages" { ITy::INT.wrap(n) } else { n };
        if function == "release_pages" && n <= 0 || n == 0 {
            return Ok(());
        }
        let n = ITy::ULONG.wrap(n) as u64;
        let mut entries = Vec::new();
        // A count that is a negative number made unsigned: the first entries do not matter, the end is a crash.
        if n <= 200 {
            let base = self.pointee(array)?;
            for i in 0..n {
                let p = Ptr { idx: base.idx + i as i64, ..base };
                let v = self.load(p, &ty.deref());
                let e = self.page(v)?;
                if let model::Ptr::Page(page) = e
                    && (function.ends_with("_dirty") || (function.ends_with("_dirty_lock") && dirty != Some(false)))
                {
                    self.try_dirty(page, span)?;
                }
                entries.push(e);
            }
        } else if !(function == "unpin_user_pages" && self.task.caps.err_guard) {
            return Err(Stop::Fault(format!(
                "{function}() is told to release {} pages and runs off the array",
                self.w.show_value(V::Int(i128::from(n), ITy::ULONG))
            )));
        }
        let e = &entries;
        self.on_pages(span, &mut |m| match function {
            "put_user_pages" => m.put_user_pages(e, n),
            "put_user_pages_dirty" => m.put_user_pages_dirty(e, n),
            "put_user_pages_dirty_lock" => m.put_user_pages_dirty_lock(e, n, dirty),
            "unpin_user_pages" => m.unpin_user_pages(e, n),
            "unpin_user_pages_dirty_lock" => m.unpin_user_pages_dirty_lock(e, n, dirty.unwrap_or(true)),
            _ => m.release_pages(e, i32::try_from(n).unwrap_or(i32::MAX)),
        })
    }

    fn acquire(
        &mut self,
        name: &str,
        roles: crate::kernel::Roles,
        how: Grab,
        args: &[Expr],
        span: Span,
    ) -> Result<(V, CType), Stop> {
        let int = self.task.api.acquire(name).is_some_and(|a| a.int);
        let long = CType {
            base: crate::ast::Base::Int { signed: true, bits: if int { 32 } else { 64 } },
            ptr: 0,
            dims: Vec::new(),
            function: false,
        };
        let mut v = Vec::with_capacity(args.len());
        for a in args {
            v.push(self.eval(a)?);
        }
        let number = self.st.acquires;
        self.st.acquires += 1;
        let count = roles.count.and_then(|i| v.get(i)).map_or(V::int(1), |x| x.0);
        let n = self.number(count, span)?;
        let n = if int { ITy::INT.wrap(n) } else { n };
        let key = |m: &mut Self, i: i128| {
            let tag = m.w.name("pinned by call");
            let a = m.w.operand(V::int(i128::from(number)));
            let b = m.w.operand(V::int(i));
            m.w.term(Term::Pure(tag, [a, b].into()), None)
        };
        // What the call returns: everything, nothing with an error, and every part.
        let result = key(self, -1);
        let r = match self.trail.value(result) {
            Some(V::Int(r, _)) => r,
            _ => {
                let most = n.clamp(0, BOUND + 2);
                let mut options = Vec::new();
                if n > 0 {
                    options.push(most);
                    options.push(-14);
                }
                if n < 0 && int {
                    // Nothing is pinned, but what is said of it changed.
                    options.push(i128::from(self.st.mems[0].fast_negative()));
                } else {
                    options.extend(0..most.max(1));
                }
                let r = options[self.trail.choose(options.len())];
                self.trail.set_value(result, V::Int(r, ITy::LONG));
                self.trail.notes.push(Note::Text(format!("{name}() of {n} page(s) returns {r}")));
                r
            }
        };
        self.log(What::Acquire(number, r), span);
        let pages = roles.pages.and_then(|i| v.get(i).cloned());
        if let Some((array, ty)) = pages
            && r > 0
            && array != V::Int(0, ITy::ULONG)
            && !matches!(array, V::Int(0, _))
        {
            let base = self.pointee(array)?;
            for i in 0..r {
                let t = key(self, i);
                let page = match self.trail.value(t) {
                    Some(V::Page(p)) => p,
                    _ => {
                        let p = self.new_page();
                        self.trail.set_value(t, V::Page(p));
                        self.trail.set_truth(t, true);
                        let entry = self.w.show_ptr(Ptr { idx: base.idx + i as i64, ..base });
                        self.trail.notes.push(Note::Text(format!("{entry} is {}", self.w.show_value(V::Page(p)))));
                        p
                    }
                };
                let taken = self.on_pages(span, &mut |m| m.grab(page, 1, how, model::Path::Slow))?;
                if !taken {
                    return Err(Stop::Prune);
                }
                self.store(Ptr { idx: base.idx + i as i64, ..base }, V::Page(page), &ty.deref())?;
            }
        }
        Ok((V::Int(r, super::value::int_type(&long).unwrap_or(ITy::LONG)), long))
    }
}

/// Functions of pages that the model has.
pub const PAGE_FUNCTIONS: &[&str] = &[
    "put_page",
    "put_user_page",
    "put_user_pages",
    "put_user_pages_dirty",
    "put_user_pages_dirty_lock",
    "unpin_user_page",
    "unpin_user_pages",
    "unpin_user_pages_dirty_lock",
    "unpin_user_page_range_dirty_lock",
    "unpin_folio",
    "unpin_folios",
    "unpin_user_folio",
    "release_pages",
    "__free_page",
    "get_page",
    "set_page_dirty",
    "set_page_dirty_lock",
    "SetPageDirty",
    "lock_page",
    "unlock_page",
    "trylock_page",
    "PageDirty",
    "PageCompound",
    "PageReserved",
    "compound_head",
    "page_count",
];
