//! Why dirtying without the page lock stays as it is: sentences behind one that says that it does.

use super::bugs::list;
use super::place;
use crate::program::Program;
use crate::trace::{Atomic, Release};

/// Of a release beside which pages are dirtied; empty where nothing is known but that no rule took it.
pub fn why_kept(program: &dyn Program, r: &Release) -> String {
    match &r.atomic {
        Some(why) => may_not_sleep(program, why),
        None => between(program, r).unwrap_or_default(),
    }
}

/// What keeps the page lock from being waited for.
pub(super) fn may_not_sleep(program: &dyn Program, why: &Atomic) -> String {
    let why = match why {
        Atomic::Asks(by) => format!("and the code asks {by}(), so it may run where nothing may sleep"),
        Atomic::Locked { function, by, at } => {
            format!("which {by}() forbids in {function}() ({})", place(program, *at))
        }
        Atomic::Callback { name, by, at } => {
            format!("and {name}() is registered by {by} ({}) as a callback that may not", place(program, *at))
        }
        Atomic::Like { function, by } => format!(
            "and {function}(), which releases pages of the same pin, asks {by}(): what releases them may run where nothing \
             may sleep"
        ),
    };
    format!(" set_page_dirty_lock() may sleep, {why}.")
}

/// The calls that stand between the dirtying and the release.
fn between(program: &dyn Program, r: &Release) -> Option<String> {
    let at = r.dirtied_at?;
    let f = program.function_at(r.at)?;
    let mut calls: Vec<String> = Vec::new();
    f.body.walk_exprs(&mut |e| {
        if let Some((name, _)) = e.call()
            && e.span.start >= at.end
            && e.span.end <= r.call.start
            && !calls.contains(&format!("{name}()"))
        {
            calls.push(format!("{name}()"));
        }
    });
    let stand = if calls.len() == 1 { "stands" } else { "stand" };
    (!calls.is_empty()).then(|| {
        format!(
            " {} {stand} between that and the release; the tool mends dirtying only right before a release.",
            list(&calls)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::text::Text;
    use super::*;
    use crate::trace::{Context, Dirty, Shape, When};

    /// What is said of the release in a function.
    fn said(body: &str, atomic: Option<Atomic>) -> String {
        let text = Text(format!("void f(struct page *p)\n{{\n{body}\n}}\n"));
        let release = Release {
            at: text.at("put_page"),
            call: text.at("put_page(p)").span,
            callee: "put_page".into(),
            function: "f".into(),
            pins: vec![],
            foreign: vec![],
            guarded_by: None,
            dirty: Dirty::SetPageDirty,
            dirty_when: String::new(),
            dirtied_at: Some(text.at("set_page_dirty(p)").span),
            shape: Shape::Single,
            when: When::Normal,
            context: Context::default(),
            atomic,
            damaged: false,
        };
        why_kept(&text, &release)
    }

    #[test]
    fn calls_in_between_are_named() {
        let said = |body| said(body, None);
        let rest = "; the tool mends dirtying only right before a release.";
        assert_eq!(
            said("\tset_page_dirty(p);\n\tunmap(p);\n\tput_page(p);"),
            format!(" unmap() stands between that and the release{rest}")
        );
        assert_eq!(
            said("\tset_page_dirty(p);\n\ta(b(p));\n\tput_page(p);"),
            format!(" a() and b() stand between that and the release{rest}")
        );
        assert_eq!(said("\tunmap(p);\n\tset_page_dirty(p);\n\tput_page(p);\n\tdone(p);"), "");
    }

    #[test]
    fn what_forbids_to_sleep_is_named() {
        let plain = "\tset_page_dirty(p);\n\tput_page(p);";
        assert!(said(plain, Some(Atomic::Asks("in_irq".into()))).contains("the code asks in_irq()"));
        let at = Text("\n\nspin_lock(&l);".into()).at("spin_lock");
        let locked = Atomic::Locked { function: "g".into(), by: "spin_lock".into(), at };
        assert_eq!(
            said(plain, Some(locked)),
            " set_page_dirty_lock() may sleep, which spin_lock() forbids in g() (drivers/a/b.c:1)."
        );
    }
}
