//! The table for people: file by file, where pages are pinned, where they are released, the verdict and why.
//!
//! ```text
//! drivers/foo/a.c
//!    40  convert  get_user_pages_fast  foo_pin    buf->pages, n; writes
//!           held  buf->pages
//!    72      put  put_page             foo_unpin  for-loop, set_page_dirty_lock if buf->write
//!            why  complete: every release was found
//!          proof  refined (R1, R6), 1234 runs
//! ```

use super::{Detail, Paint, Style, one_line, wrap};
use crate::report::{ITERATOR, ReleaseRecord, Run, SiteRecord};
use std::io::{self, Write};

/// Widest name that keeps its column; a longer one pushes the rest of its line.
const NAME_MAX: usize = 30;
/// So many holders are listed, if nobody asks for more.
const HELD_MAX: usize = 12;
/// Columns in front of the names: line number and role.
const LEAD: usize = 17;

/// Writes the table and the totals.
///
/// # Errors
/// Those of `out`.
pub fn print(run: &Run, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let columns = Columns::of(run);
    let mut path = None;
    for site in &run.sites {
        if path != Some(&site.path) {
            if path.is_some() && style.detail > Detail::Quiet {
                writeln!(out)?;
            }
            writeln!(out, "{}", style.paint(Paint::Bold, &site.path))?;
            path = Some(&site.path);
        } else if style.detail > Detail::Quiet {
            writeln!(out)?;
        }
        print_site(site, &columns, style, out)?;
    }
    if !run.sites.is_empty() {
        writeln!(out)?;
    }
    let r = &run.run;
    writeln!(
        out,
        "{} in {}: {} convert, {} assist, {} leave; dialect {}",
        counted(run.sites.len(), "site"),
        r.tree,
        r.convert,
        r.assist,
        r.leave,
        r.dialect
    )
}

/// Widths of the name columns.
struct Columns {
    call: usize,
    function: usize,
}

impl Columns {
    fn of(run: &Run) -> Self {
        let mut columns = Columns { call: 8, function: 8 };
        for s in &run.sites {
            columns.widen(&s.api, &s.function);
            for r in &s.releases {
                columns.widen(&r.call, &r.function);
            }
        }
        columns
    }
    fn widen(&mut self, call: &str, function: &str) {
        let fit = |now: usize, text: &str| now.max(text.chars().count().min(NAME_MAX));
        self.call = fit(self.call, call);
        self.function = fit(self.function, function);
    }
}

/// One site with everything below it.
pub(super) fn site(s: &SiteRecord, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut columns = Columns { call: 8, function: 8 };
    columns.widen(&s.api, &s.function);
    s.releases.iter().for_each(|r| columns.widen(&r.call, &r.function));
    print_site(s, &columns, style, out)
}

fn print_site(s: &SiteRecord, columns: &Columns, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let role = style.verdict(s.verdict, &format!("{:>7}", s.verdict));
    if style.detail == Detail::Quiet {
        return row(s.line, &role, &s.api, &s.function, s.reason_code, columns, style, out);
    }
    row(s.line, &role, &s.api, &s.function, &pinned(s), columns, style, out)?;
    if !s.held.is_empty() {
        note("held", &held(s, style.detail == Detail::Verbose), style, out)?;
    }
    // Line numbers are those of the site's own file until another one is named.
    let mut file = s.path.as_str();
    for r in &s.releases {
        elsewhere(&r.path, &mut file, style, out)?;
        row(r.line, "    put", &r.call, &r.function, &released(r), columns, style, out)?;
    }
    for g in &s.gaps {
        elsewhere(&g.path, &mut file, style, out)?;
        let lead = style.paint(Paint::Cyan, &format!("{:>6}", g.line));
        writeln!(out, "{lead}  {}  {}: {}", style.paint(Paint::Yellow, "    gap"), g.code, one_line(&g.detail))?;
    }
    note("why", &format!("{}: {}", s.reason_code, one_line(&s.reason)), style, out)?;
    for f in &s.fixes {
        let what = format!("line {} first: {} becomes {} {}. {}", f.line, f.variable, article(f.to), f.to, f.defect);
        note("fix", &one_line(&what), style, out)?;
    }
    if let Some(p) = &s.proof {
        let mut text = p.outcome.to_string();
        if !p.refinements.is_empty() {
            text.push_str(&format!(" ({})", p.refinements.join(", ")));
        }
        if p.runs > 0 {
            text.push_str(&format!(", {}", counted(p.runs as usize, "run")));
        }
        if let Some(c) = &p.counterexample {
            text.push_str(&format!("; {}", one_line(c)));
        }
        note("proof", &text, style, out)?;
        for a in &p.assumed {
            let label = if p.cautions.contains(a) { "note" } else { "assumed" };
            note(label, &one_line(a), style, out)?;
        }
    }
    if !s.findings.is_empty() {
        note("finding", &s.findings.join(", "), style, out)?;
    }
    if style.detail == Detail::Verbose {
        for e in &s.edits {
            note("rewrite", &format!("{}:{}-{}", e.path, e.replaces[0], e.replaces[1]), style, out)?;
            for line in e.with.lines() {
                writeln!(out, "{:LEAD$}{}", "", style.paint(Paint::Green, line))?;
            }
        }
    }
    Ok(())
}

/// Who has the pages; the rest of a long list is counted.
fn held(s: &SiteRecord, all: bool) -> String {
    // Two more need no more room than to say so.
    if all || s.held.len() <= HELD_MAX + 2 {
        return s.held.join(", ");
    }
    let (told, more) = s.held.split_at(HELD_MAX);
    format!("{}, and {} more (--format jsonl has all)", told.join(", "), more.len())
}

/// `an int`, `a long`
fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// Names the file when it is another one than that of the line before.
fn elsewhere<'a>(path: &'a str, file: &mut &'a str, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if path != *file {
        note("in", path, style, out)?;
        *file = path;
    }
    Ok(())
}

/// What is pinned.
fn pinned(s: &SiteRecord) -> String {
    let mut text = [one_line(&s.pages), one_line(&s.count)].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>();
    if text.is_empty() {
        text.push("returned".into());
    }
    let writes = match s.write {
        "always" => "; writes".to_string(),
        "never" => "; reads".to_string(),
        "conditional" if !s.write_expr.is_empty() => format!("; writes if {}", one_line(&s.write_expr)),
        _ => "; may write".to_string(),
    };
    format!("{}{writes}", text.join(", "))
}

/// How it is released.
fn released(r: &ReleaseRecord) -> String {
    let mut text = r.shape.to_string();
    if r.dirty != "none" {
        let locked = if r.page_locked && r.dirty == "set_page_dirty" { " under the page lock" } else { "" };
        text.push_str(&format!(", {}{locked}", r.dirty));
        if !r.dirty_when.is_empty() {
            text.push_str(&format!(" if {}", one_line(&r.dirty_when)));
        }
    }
    if r.when != "normal" {
        text.push_str(&format!(", on {} path", r.when));
    }
    match r.perhaps.as_deref() {
        None => {}
        Some(ITERATOR) => text.push_str(", if the iterator is over user memory"),
        Some(_) => text.push_str(", perhaps only of other pages"),
    }
    if let Some(own) = &r.own {
        let (call, path) = (&own.call, &own.path);
        let whose = if own.holder.is_empty() { "the holder" } else { &own.holder };
        let taken = match own.taken {
            0 => format!("{call}() for the store at {path}:{}", own.line),
            line => format!("{call}() at {path}:{line}"),
        };
        text.push_str(&format!("; not the pin, but the reference that was taken for {whose} ({taken})"));
    }
    text
}

/// A row of line, role, call, function and detail. A detail that does not fit goes to the next line.
#[allow(clippy::too_many_arguments)] // one for each column
fn row(
    line: u32,
    role: &str,
    call: &str,
    function: &str,
    detail: &str,
    columns: &Columns,
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let lead = style.paint(Paint::Cyan, &format!("{line:>6}"));
    let names = format!("{call:<c$}  {function:<f$}", c = columns.call, f = columns.function);
    let used = LEAD + names.chars().count() + 2;
    if used + detail.chars().count() <= style.width {
        return writeln!(out, "{lead}  {role}  {names}  {}", style.paint(Paint::Dim, detail));
    }
    writeln!(out, "{lead}  {role}  {}", names.trim_end())?;
    for part in wrap(detail, style.width.saturating_sub(LEAD + 2)) {
        writeln!(out, "{:w$}{}", "", style.paint(Paint::Dim, &part), w = LEAD + 2)?;
    }
    Ok(())
}

/// A row without a line number, wrapped under its own text.
pub(super) fn note(role: &str, text: &str, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut role = role;
    for part in wrap(text, style.width.saturating_sub(LEAD)) {
        writeln!(out, "{}  {part}", style.paint(Paint::Dim, &format!("{role:>15}")))?;
        role = "";
    }
    Ok(())
}

/// `1 site`, `2 sites`.
pub(super) fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(style: &Style) -> String {
        let mut out = Vec::new();
        print(&crate::print::sample::run(), style, &mut out).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn the_table() {
        let expect = "\
drivers/foo/a.c
    40  convert  get_user_pages_fast  foo_pin    buf->pages, n; writes
           held  buf->pages
    72      put  put_page             foo_unpin  for-loop, set_page_dirty_lock if buf->write
             in  drivers/foo/b.c
     7      put  put_page             foo_unpin  for-loop, set_page_dirty_lock if buf->write
            why  complete: one sentence
          proof  refined (R1, R6), 1234 runs

    90   assist  get_user_pages_fast  foo_pin    buf->pages, n; writes
           held  buf->pages
    95      gap  indirect-call: ops->done(pages)
            why  gap: one sentence
        finding  GUP006

mm/foo.c
     5    leave  get_user_pages_fast  foo_pin    buf->pages, n; writes
            why  struct-page-only: one sentence

3 sites in linux: 1 convert, 1 assist, 1 leave; dialect put-user-page-2arg
";
        assert_eq!(text(&Style::default()), expect);
    }

    #[test]
    fn quiet_is_one_line_a_site() {
        let quiet = text(&Style { detail: Detail::Quiet, ..Style::default() });
        assert_eq!(quiet.lines().count(), 2 + 3 + 2);
        assert!(quiet.contains("    40  convert  get_user_pages_fast  foo_pin    complete\n"));
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let narrow = text(&Style { width: 80, ..Style::default() });
        assert!(narrow.lines().all(|l| l.chars().count() <= 80), "{narrow}");
        assert!(text(&Style { detail: Detail::Verbose, ..Style::default() }).contains("drivers/foo/a.c:70-73"));
    }

    #[test]
    fn colours_change_no_text() {
        let coloured = text(&Style { colour: true, ..Style::default() });
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some(at) = rest.find('\x1b') {
            plain.push_str(&rest[..at]);
            rest = rest[at..].split_once('m').expect("a sequence").1;
        }
        plain.push_str(rest);
        assert_ne!(coloured, plain);
        assert_eq!(plain, text(&Style::default()));
    }
}
