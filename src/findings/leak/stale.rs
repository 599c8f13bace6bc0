//! Entries of an array that a rollback releases and leaves in place, before the same array is pinned into once more: if
//! fewer pages are pinned then, the release of the whole array takes the old ones for pinned.

use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind};
use crate::findings::strip;
use crate::kernel::Api;
use crate::program::Program;
use crate::source::{Loc, Name};
use crate::trace::{Custody, PinSite, PinTrace, Release};

/// Pages that are released twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stale {
    /// The release of the rollback.
    pub first: Loc,
    /// The array, as the function of the pin writes it.
    pub array: String,
    /// The release that goes over all entries which are not NULL.
    pub again: Loc,
    /// The function of that release.
    pub function: Name,
}

/// All of it is to be seen: the loop of the rollback stores nothing into the array; nobody names the array, or gets the
/// object that it is a member of, until the next pin; behind a short pin the count becomes that of all pages; and the
/// function that is called then releases up to this count what is not NULL.
pub fn released_again(program: &dyn Program, c: &Custody, t: &PinTrace) -> Option<Stale> {
    let site = c.sites.get(t.site.0 as usize)?;
    let f = program.function_at(site.at).filter(|f| f.whole())?;
    let seen = Seen::of(program, site, &f)?;
    let releases = || t.releases.iter().filter_map(|r| c.releases.get(r.0 as usize));
    let first = releases().find(|r| r.at.file == site.at.file && seen.rolls_back(r))?;
    let whole = seen.count_of_all()?;
    let again = releases().find(|r| {
        let named = r.function != f.name && seen.calls_behind(&r.function, whole);
        let g = program.function_at(r.at).filter(|g| named && g.whole());
        g.is_some_and(|g| goes_over_all(&g, r, &seen))
    })?;
    let (array, function) = (seen.array.clone(), again.function.clone());
    Some(Stale { first: first.at, array, again: again.at, function })
}

struct Seen<'a> {
    f: &'a Function,
    site: &'a PinSite,
    text: std::sync::Arc<[u8]>,
    /// `obj->pages`
    array: String,
    /// `obj`
    object: Name,
    /// `pages`
    member: Name,
    /// The member with the result of the pin.
    count: Name,
}

impl<'a> Seen<'a> {
    fn of(program: &dyn Program, site: &'a PinSite, f: &'a Function) -> Option<Self> {
        let text = program.text(site.at.file);
        let at = crate::sites::find(f, site.pages.as_ref()?.1)?;
        let ExprKind::Field { base, name: member, .. } = &strip(at).kind else { return None };
        let array = crate::sites::one_line(strip(at).span, &text);
        let object = base.ident()?.clone();
        let count = site.result.as_deref()?.strip_prefix(&*object)?.strip_prefix("->")?;
        let member = member.clone();
        Some(Self { f, site, array, object, member, count: count.into(), text })
    }

    fn word(&self, e: &Expr) -> String {
        crate::sites::one_line(strip(e).span, &self.text)
    }

    /// The release is in a loop over the entries, which leaves them as they are, and the next thing is to pin again.
    fn rolls_back(&self, r: &Release) -> bool {
        let mut found = false;
        self.f.body.walk(&mut |s| {
            let StmtKind::Block(list) = &s.kind else { return };
            let looped = |s: &Stmt| matches!(s.kind, StmtKind::For { .. }) && s.span.contains(r.call);
            let Some(k) = list.iter().position(looped) else { return };
            let Some(jump) = list[k + 1..].iter().position(|s| matches!(s.kind, StmtKind::Goto(_))) else { return };
            let StmtKind::Goto(label) = &list[k + 1 + jump].kind else { return };
            let Some(back) = self.label(label).filter(|at| *at < self.site.call.start) else { return };
            found |= !list[k].span.contains(self.site.call)
                && self.releases_entry(&list[k], r)
                && !list[k + 1..k + 1 + jump].iter().any(|s| self.touches(s, 0, u32::MAX))
                && !self.touches(&self.f.body, back, self.site.call.start);
        });
        found
    }

    fn label(&self, label: &Name) -> Option<u32> {
        let mut at = None;
        self.f.body.walk(&mut |s| {
            if matches!(&s.kind, StmtKind::Label(n) if n == label) {
                at = Some(s.span.start);
            }
        });
        at
    }

    /// `put_page(array[i])`, and no store to an entry.
    fn releases_entry(&self, body: &Stmt, r: &Release) -> bool {
        let entry = |e: &Expr| matches!(&strip(e).kind, ExprKind::Index(a, _) if self.word(a) == self.array);
        let (mut released, mut stored) = (false, false);
        body.walk_exprs(&mut |e| match &e.kind {
            ExprKind::Assign(_, to, _) => stored |= entry(to),
            ExprKind::Call { .. } => {
                let Some((name, args)) = e.call() else { return };
                match e.span == r.call {
                    true => released |= args.first().is_some_and(entry),
                    // A call that gets the object may do anything to the array.
                    false => stored |= Api::get().dirty(name).is_none() && args.iter().any(|a| self.is_object(a)),
                }
            }
            _ => {}
        });
        released && !stored
    }

    fn is_object(&self, e: &Expr) -> bool {
        strip(e).ident() == Some(&self.object)
    }

    /// Names the array, or gives the object away, between two places.
    fn touches(&self, s: &Stmt, from: u32, to: u32) -> bool {
        let mut hit = false;
        s.walk_exprs(&mut |e| {
            if e.span.start < from || e.span.end > to {
                return;
            }
            hit |= match &e.kind {
                ExprKind::Field { base, name, .. } => *name == self.member && self.is_object(base),
                ExprKind::Call { .. } => e.call().is_none_or(|(_, args)| args.iter().any(|a| self.is_object(a))),
                ExprKind::Assign(_, to, _) => self.is_object(to),
                _ => false,
            };
        });
        hit
    }

    /// `obj->count = asked;` behind the pin.
    fn count_of_all(&self) -> Option<u32> {
        let (result, asked) = (self.site.result.as_deref()?, &self.site.count.as_ref()?.0);
        let mut at = None;
        self.f.body.walk_exprs(&mut |e| {
            if let ExprKind::Assign(None, to, from) = &e.kind
                && e.span.start > self.site.call.end
                && self.word(to) == result
                && self.word(from) == *asked
            {
                at.get_or_insert(e.span.end);
            }
        });
        at
    }

    fn calls_behind(&self, name: &Name, at: u32) -> bool {
        let mut hit = false;
        self.f.body.walk_exprs(&mut |e| {
            hit |= e.span.start > at
                && e.call().is_some_and(|(n, args)| n == name && args.iter().any(|a| self.is_object(a)));
        });
        hit
    }
}

/// `for (j = 0; j < obj->count; j++) if (obj->pages[j]) … put_page(obj->pages[j])`
fn goes_over_all(g: &Function, r: &Release, seen: &Seen<'_>) -> bool {
    let member = |e: &Expr, of: &Name| matches!(&strip(e).kind, ExprKind::Field { name, .. } if name == of);
    let mut found = false;
    g.body.walk(&mut |s| {
        let StmtKind::For { cond: Some(cond), body, .. } = &s.kind else { return };
        let ExprKind::Binary(BinOp::Lt, _, bound) = &cond.kind else { return };
        if !body.span.contains(r.call) || !member(bound, &seen.count) {
            return;
        }
        body.walk(&mut |s| {
            let StmtKind::If { cond, then, .. } = &s.kind else { return };
            // One of the tests that stand together is for NULL alone.
            let mut asks = false;
            let mut parts = vec![cond];
            while let Some(e) = parts.pop() {
                match &strip(e).kind {
                    ExprKind::Binary(BinOp::And, a, b) => parts.extend([&**a, &**b]),
                    ExprKind::Index(a, _) => asks |= member(a, &seen.member),
                    _ => {}
                }
            }
            found |= asks && then.span.contains(r.call);
        });
    });
    found
}
