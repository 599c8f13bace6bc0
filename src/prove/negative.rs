//! What a function does when a pin in it fails: whether the negative result gets to a release.
//!
//! One version of the function runs from its entry, with plain pages. In the runs in which a pin returns a negative
//! number, two things show the defect: a release of an array is told a negative number as a count that the variable
//! is a part of, or a page is released behind the failure where a condition on the variable decides. It compares
//! nothing; that two versions do the same otherwise is asked of [`super::prove`].

use super::code::Code;
use super::exec::{Machine, local_types};
use super::state::{Ev, Fill, What};
use super::task::{Stopped, Task};
use super::trail::Stop;
use super::value::{Obj, Ptr};
use crate::ast::{Expr, Function, StmtKind};
use crate::model::Event;
use crate::source::{FileId, Name, Span};
use std::rc::Rc;
use std::sync::Arc;

/// How a negative result gets to a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Defect {
    /// A release of an array is given it as a count.
    Told {
        /// The function.
        callee: &'static str,
        /// The call.
        at: Span,
        /// The number, in the type of the argument.
        number: String,
    },
    /// A page is released behind the failure.
    Released {
        /// The release.
        at: Span,
    },
}

/// What the runs showed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Negative {
    /// Runs in which a pin failed.
    pub failed: u64,
    /// The first defect that was met.
    pub defect: Option<Defect>,
    /// The runs do not show everything: where they stopped. Not asked for when there is a defect.
    pub stopped: Option<Stopped>,
}

/// Runs the function, which is one of the file, in one version; `variable` keeps the result of the pin.
pub fn negative(task: &Task<'_>, file: FileId, f: &Arc<Function>, variable: &Name) -> Negative {
    let mut m = Machine::new(task);
    super::prepare(&mut m);
    m.plain = true;
    let code = Rc::new(Code::of_body(&f.body, &[], &Default::default()));
    let types = Rc::new(local_types(&mut m.w, f));
    let params: Vec<_> = f.params.iter().map(|p| m.w.name(&p.name)).collect();
    let mut locals: Vec<_> = types.keys().copied().filter(|n| !params.contains(n)).collect();
    locals.sort();
    let mut out = Negative::default();
    let stopped = |span, construct| Stopped { file, span, after: false, construct };
    let mut prefix = Some(Vec::new());
    let mut runs = 0;
    while let Some(p) = prefix {
        runs += 1;
        if runs > task.budget.total || m.spent > task.budget.all_steps {
            out.stopped = Some(stopped(f.name_span, format!("more than {} runs or {} operations", runs, m.spent)));
            break;
        }
        m.restart(p);
        let id = m.enter(file, types.clone(), false);
        for &n in &locals {
            let obj = m.w.obj(Obj::Local(id, n));
            m.st.refill(&m.w, Ptr { obj, path: 0, idx: 0 }, true, Fill::Poison);
        }
        let end = m.run(&code);
        let failure = m.st.log.iter().position(|e| matches!(e.what, What::Acquire(_, r) if r < 0));
        if let Some(at) = failure {
            out.failed += 1;
            out.defect = defect(&m, at, f, variable);
            if out.defect.is_some() {
                break;
            }
        }
        if let Err(Stop::Unsupported(_, span, construct)) = end {
            out.stopped = Some(stopped(span, construct));
            break;
        }
        prefix = m.trail.next();
    }
    out
}

/// What a run did behind a failed pin, the entry of the log at `failure`.
fn defect(m: &Machine<'_>, failure: usize, f: &Function, variable: &Name) -> Option<Defect> {
    let told = m.st.told.iter().find(|(at, ..)| decides(f, at.span, variable, true));
    if let Some((at, callee, number)) = told {
        return Some(Defect::Told { callee, at: at.span, number: m.w.show_value(*number) });
    }
    let released = |e: &&Ev| matches!(e.what, What::Page(Event::Release { .. }));
    let behind = m.st.log.iter().skip(failure).filter(released);
    behind.map(|e| e.at.span).find(|at| decides(f, *at, variable, false)).map(|at| Defect::Released { at })
}

/// Whether a call has the variable among its arguments, or a condition around the place is one on the variable.
fn decides(f: &Function, at: Span, variable: &Name, argument: bool) -> bool {
    let names = |e: &Expr| {
        let mut found = false;
        e.walk(&mut |x| found |= x.ident() == Some(variable));
        found
    };
    let mut found = false;
    if argument {
        f.body.walk_exprs(&mut |e| found |= e.span == at && names(e));
        return found;
    }
    f.body.walk(&mut |s| {
        if let StmtKind::If { cond, .. } | StmtKind::While { cond, .. } | StmtKind::For { cond: Some(cond), .. } =
            &s.kind
        {
            found |= s.span.contains(at) && names(cond);
        }
    });
    found
}
