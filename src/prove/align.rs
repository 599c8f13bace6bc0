//! Where two versions of a function differ: ranges of statements that correspond.
//!
//! Statements are equal when their text is, comments and spaces aside. Lists are aligned by their longest common
//! subsequence; a single statement that changed only inside is entered. Declarations without initialiser count for
//! nothing: a variable that one version does not have cannot matter to it. A range can be widened to the statement
//! around it, up to the whole body.

use super::code::Range;
use crate::ast::{Function, Stmt, StmtKind};
use crate::lex;
use crate::source::Name;

/// A changed range in both versions.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// As it was.
    pub before: Range<'a>,
    /// As it shall be.
    pub after: Range<'a>,
}

/// One version.
#[derive(Clone, Copy)]
pub struct Version<'a> {
    pub function: &'a Function,
    pub text: &'a [u8],
}

/// The changed ranges, smallest first in the order of the source, after widening each `widen` times.
pub fn changed<'a>(before: Version<'a>, after: Version<'a>, widen: usize) -> Vec<Pair<'a>> {
    let mut found = Vec::new();
    let body = (std::slice::from_ref(&before.function.body), std::slice::from_ref(&after.function.body));
    if !same_types(before.function, after.function) {
        let mut chain = vec![whole(body)];
        chain.extend(typed(before, after));
        found.push(chain);
    } else {
        lists(before, after, body.0, body.1, &mut vec![whole(body)], &mut found);
    }
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    for chain in found {
        let mut at = chain.len().saturating_sub(1 + widen);
        while at > 0 && (entered(&chain[at].before) || entered(&chain[at].after)) {
            at -= 1;
        }
        if let Some(&p) = chain.get(at) {
            pairs.push(p);
        }
    }
    merge(pairs)
}

/// Whether control can get into the range from outside: a label, or a case of a switch around it.
fn entered(r: &Range<'_>) -> bool {
    if r.list.len() == 1 && r.lo == 0 && matches!(r.list[0].kind, StmtKind::Block(_)) && r.hi == 1 {
        let mut case = false;
        super::code::collect_cases(&r.list[0], &mut |_| case = true);
        if !case && is_body(&r.list[0]) {
            return false;
        }
    }
    r.stmts().iter().any(|s| {
        let mut hit = false;
        super::code::collect_cases(s, &mut |_| hit = true);
        s.walk(&mut |s| hit |= matches!(s.kind, StmtKind::Label(_)));
        hit
    })
}
/// A block that holds every label that is jumped to from inside it cannot be told here; only a body surely does.
fn is_body(s: &Stmt) -> bool {
    let mut targets = Vec::new();
    let mut labels = Vec::new();
    s.walk(&mut |s| match &s.kind {
        StmtKind::Goto(n) => targets.push(n.clone()),
        StmtKind::Label(n) => labels.push(n.clone()),
        _ => {}
    });
    labels.iter().all(|l| targets.contains(l)) || labels.is_empty()
}

fn whole<'a>(body: (&'a [Stmt], &'a [Stmt])) -> Pair<'a> {
    Pair { before: Range { list: body.0, lo: 0, hi: 1 }, after: Range { list: body.1, lo: 0, hi: 1 } }
}

/// Ranges of one list become one range, and ranges inside others go.
fn merge(pairs: Vec<Pair<'_>>) -> Vec<Pair<'_>> {
    let span = |r: &Range<'_>| {
        let s = r.list.get(r.lo).or(r.list.last()).map_or(0, |s| s.span.start);
        let e = r.list.get(r.hi.max(1) - 1).map_or(s, |s| s.span.end);
        (s, e)
    };
    let mut out: Vec<Pair<'_>> = Vec::new();
    for p in pairs {
        if out.iter().any(|o| {
            o.before.list.as_ptr() == p.before.list.as_ptr() && o.before.lo == p.before.lo && o.before.hi == p.before.hi
        }) {
            continue;
        }
        out.push(p);
    }
    let all = out.clone();
    out.retain(|p| {
        let (s, e) = span(&p.before);
        !all.iter().any(|o| {
            let (os, oe) = span(&o.before);
            (os, oe) != (s, e) && os <= s && e <= oe && !o.before.stmts().is_empty()
        })
    });
    out
}

/// All ranges of one function as one, in the smallest list that holds them all.
pub fn hull<'a>(before: Version<'a>, after: Version<'a>) -> Option<Pair<'a>> {
    let body = (std::slice::from_ref(&before.function.body), std::slice::from_ref(&after.function.body));
    if !same_types(before.function, after.function) {
        return typed(before, after).or(Some(whole(body)));
    }
    let mut found = Vec::new();
    lists(before, after, body.0, body.1, &mut vec![whole(body)], &mut found);
    let first = found.first()?.clone();
    // The deepest list that every chain passes through.
    let mut best = *first.first()?;
    for &p in &first {
        let same = |c: &Vec<Pair<'a>>| c.iter().any(|q| q.before.list.as_ptr() == p.before.list.as_ptr());
        if !found.iter().all(same) {
            break;
        }
        let of = |c: &Vec<Pair<'a>>| c.iter().copied().find(|q| q.before.list.as_ptr() == p.before.list.as_ptr());
        let mut h = p;
        for q in found.iter().filter_map(of) {
            h.before.lo = h.before.lo.min(q.before.lo);
            h.before.hi = h.before.hi.max(q.before.hi);
            h.after.lo = h.after.lo.min(q.after.lo);
            h.after.hi = h.after.hi.max(q.after.hi);
        }
        best = h;
    }
    Some(best)
}

/// Names of parameters and variables with their types.
fn types(f: &Function) -> Vec<(Name, String)> {
    let mut v: Vec<_> = f.params.iter().map(|p| (p.name.clone(), format!("{:?}", p.ty))).collect();
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(d) = &s.kind {
            v.extend(d.iter().map(|d| (d.name.clone(), format!("{:?}", d.ty))));
        }
    });
    v.sort();
    v.dedup();
    v
}

fn same_types(a: &Function, b: &Function) -> bool {
    let (a, b) = (types(a), types(b));
    // A variable that is in one version only does not count.
    a.iter().all(|(n, t)| b.iter().all(|(m, u)| n != m || t == u))
}

/// Where types differ and nothing else: the statements of the body from the first to the last that name such a
/// variable. `None` when control gets in from outside, or when more differs.
fn typed<'a>(before: Version<'a>, after: Version<'a>) -> Option<Pair<'a>> {
    let (a, b) = (types(before.function), types(after.function));
    let differ: Vec<Name> =
        a.iter().filter(|(n, t)| b.iter().any(|(m, u)| n == m && t != u)).map(|(n, _)| n.clone()).collect();
    let range = |v: Version<'a>| {
        let StmtKind::Block(list) = &v.function.body.kind else { return None };
        let prints: Vec<Vec<u8>> = list.iter().map(|s| print(s, v.text)).collect();
        let names = |i: usize| lex::code(&prints[i]).any(|t| differ.iter().any(|n| n.as_bytes() == t.word(&prints[i])));
        let lo = (0..list.len()).find(|&i| names(i))?;
        let hi = (0..list.len()).rfind(|&i| names(i))? + 1;
        let rest: Vec<Vec<u8>> = prints[..lo].iter().chain(&prints[hi..]).filter(|p| !p.is_empty()).cloned().collect();
        Some((Range { list, lo, hi }, rest, prints[lo..hi].concat()))
    };
    let ((b, around_b, inside_b), (a, around_a, inside_a)) = (range(before)?, range(after)?);
    let mut labels = Vec::new();
    b.stmts().iter().for_each(|s| {
        s.walk(&mut |s| {
            if let StmtKind::Label(n) = &s.kind {
                labels.push(n.clone());
            }
        })
    });
    let mut entered = false;
    for s in b.list[..b.lo].iter().chain(&b.list[b.hi..]) {
        s.walk(&mut |s| entered |= matches!(&s.kind, StmtKind::Goto(n) if labels.contains(n)));
    }
    (!entered && around_b == around_a && inside_b == inside_a).then_some(Pair { before: b, after: a })
}

fn lists<'a>(
    bv: Version<'a>,
    av: Version<'a>,
    b: &'a [Stmt],
    a: &'a [Stmt],
    chain: &mut Vec<Pair<'a>>,
    found: &mut Vec<Vec<Pair<'a>>>,
) {
    let fb: Vec<Vec<u8>> = b.iter().map(|s| print(s, bv.text)).collect();
    let fa: Vec<Vec<u8>> = a.iter().map(|s| print(s, av.text)).collect();
    // Longest common subsequence; declarations that count for nothing match anything and are skipped.
    let (n, m) = (b.len(), a.len());
    let mut best = vec![vec![0usize; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            best[i][j] = if fb[i] == fa[j] { best[i + 1][j + 1] + 1 } else { best[i + 1][j].max(best[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    loop {
        let (si, sj) = (i, j);
        while i < n || j < m {
            if i < n && j < m && fb[i] == fa[j] && best[i][j] == best[i + 1][j + 1] + 1 {
                break;
            }
            if j >= m || (i < n && best[i + 1][j] >= best[i][j + 1]) {
                i += 1;
            } else {
                j += 1;
            }
        }
        let counts = |l: &[Vec<u8>]| l.iter().any(|f| !f.is_empty());
        if counts(&fb[si..i]) || counts(&fa[sj..j]) {
            gap(bv, av, (b, si, i, &fb), (a, sj, j, &fa), chain, found);
        }
        if i >= n && j >= m {
            break;
        }
        i += 1;
        j += 1;
    }
}

type Side<'a, 'f> = (&'a [Stmt], usize, usize, &'f [Vec<u8>]);

fn gap<'a>(
    bv: Version<'a>,
    av: Version<'a>,
    b: Side<'a, '_>,
    a: Side<'a, '_>,
    chain: &mut Vec<Pair<'a>>,
    found: &mut Vec<Vec<Pair<'a>>>,
) {
    // Declarations at the edges do not belong to the range.
    let trim = |(list, mut lo, mut hi, f): Side<'a, '_>| {
        while lo < hi && f[lo].is_empty() {
            lo += 1;
        }
        while lo < hi && f[hi - 1].is_empty() {
            hi -= 1;
        }
        Range { list, lo, hi }
    };
    let pair = Pair { before: trim(b), after: trim(a) };
    chain.push(pair);
    let inside = match (pair.before.stmts(), pair.after.stmts()) {
        ([x], [y]) => parts(bv, av, x, y),
        _ => None,
    };
    match inside {
        Some(parts) if parts.iter().all(|(x, y)| !x.is_empty() && !y.is_empty()) => {
            for (x, y) in parts {
                lists(bv, av, x, y, chain, found);
            }
        }
        _ => found.push(chain.clone()),
    }
    chain.pop();
}

/// The lists of two statements that are equal but for what is inside.
fn parts<'a>(bv: Version<'a>, av: Version<'a>, x: &'a Stmt, y: &'a Stmt) -> Option<Vec<(&'a [Stmt], &'a [Stmt])>> {
    let one = |s: &'a Stmt| match &s.kind {
        StmtKind::Block(v) if !v.is_empty() => v.as_slice(),
        _ => std::slice::from_ref(s),
    };
    // What stands in front of the body is compared as text.
    let head = |s: &Stmt, body: &Stmt, text: &[u8]| squeeze(text, s.span.start, body.span.start);
    let heads = |b: &Stmt, a: &Stmt| head(x, b, bv.text) == head(y, a, av.text);
    match (&x.kind, &y.kind) {
        (StmtKind::Block(b), StmtKind::Block(a)) => Some(vec![(b, a)]),
        (StmtKind::If { then: t1, els: e1, .. }, StmtKind::If { then: t2, els: e2, .. }) if heads(t1, t2) => {
            match (e1, e2) {
                (None, None) => Some(vec![(one(t1), one(t2))]),
                (Some(e1), Some(e2)) => Some(vec![(one(t1), one(t2)), (one(e1), one(e2))]),
                _ => None,
            }
        }
        (StmtKind::While { body: b, .. }, StmtKind::While { body: a, .. })
        | (StmtKind::For { body: b, .. }, StmtKind::For { body: a, .. })
        | (StmtKind::Iterate { body: b, .. }, StmtKind::Iterate { body: a, .. })
        | (StmtKind::Switch { body: b, .. }, StmtKind::Switch { body: a, .. })
            if heads(b, a) =>
        {
            Some(vec![(one(b), one(a))])
        }
        (StmtKind::DoWhile { body: b, cond: c }, StmtKind::DoWhile { body: a, cond: d })
            if squeeze(bv.text, c.span.start, c.span.end) == squeeze(av.text, d.span.start, d.span.end) =>
        {
            Some(vec![(one(b), one(a))])
        }
        (StmtKind::Configured { cond: c, then: t1, els: e1 }, StmtKind::Configured { cond: d, then: t2, els: e2 })
            if c == d =>
        {
            let mut v: Vec<(&[Stmt], &[Stmt])> = Vec::new();
            for (p, q) in [(t1, t2), (e1, e2)] {
                if !(p.is_empty() && q.is_empty()) {
                    v.push((p, q));
                }
            }
            Some(v)
        }
        _ => None,
    }
}

/// The text of a statement without comments and spaces; empty for a declaration that sets nothing.
fn print(s: &Stmt, text: &[u8]) -> Vec<u8> {
    match &s.kind {
        StmtKind::Empty => Vec::new(),
        StmtKind::Decl(v) => {
            let mut out = Vec::new();
            for d in v.iter().filter(|d| d.init.is_some()) {
                out.extend(squeeze(text, d.span.start, d.span.end));
                out.push(b';');
            }
            out
        }
        _ => {
            let mut out = squeeze(text, s.span.start, s.span.end);
            if let StmtKind::Block(v) = &s.kind
                && v.iter().all(|s| print(s, text).is_empty())
            {
                out.clear();
            }
            // Declarations inside a block are part of its text; that they may differ is found when it is entered.
            out
        }
    }
}

/// Bytes of a range of the text, comments dropped; of white space only what separates words.
pub fn squeeze(text: &[u8], from: u32, to: u32) -> Vec<u8> {
    let t = text.get(from as usize..to as usize).unwrap_or(b"");
    let mut out: Vec<u8> = Vec::with_capacity(t.len());
    let mut i = 0;
    let mut space = false;
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    while i < t.len() {
        let c = t[i];
        if t[i..].starts_with(b"/*") {
            let end = t[i + 2..].windows(2).position(|w| w == b"*/").map_or(t.len(), |p| i + 2 + p + 2);
            i = end;
            space = true;
        } else if t[i..].starts_with(b"//") {
            while i < t.len() && t[i] != b'\n' {
                i += 1;
            }
        } else if c.is_ascii_whitespace() || (c == b'\\' && t.get(i + 1) == Some(&b'\n')) {
            space = true;
            i += 1;
        } else {
            if space && out.last().is_some_and(|&l| (word(l) && word(c)) || (l == c && b"+-&|".contains(&c))) {
                out.push(b' ');
            }
            space = false;
            out.push(c);
            i += 1;
            if c == b'"' || c == b'\'' {
                while i < t.len() && t[i] != c {
                    out.push(t[i]);
                    if t[i] == b'\\' && i + 1 < t.len() {
                        i += 1;
                        out.push(t[i]);
                    }
                    i += 1;
                }
                if i < t.len() {
                    out.push(c);
                    i += 1;
                }
            }
        }
    }
    out
}
