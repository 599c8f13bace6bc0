//! Changed regions.
//!
//! A changed region runs twice from one state: as it was, then as it shall be. Both outcomes are compared
//! ([`super::compare`]); then the run goes on with the state that the old code left.

use super::exec::{Exit, Machine};
use super::save::{Point, Stage};
use super::state::{Phase, What};
use super::trail::Stop;
use std::mem::replace;
use std::rc::Rc;

impl Machine<'_> {
    /// Runs a changed region in both versions and compares. `outer` is its place in the outermost code of the run, if
    /// it stands there; `from` says where in the region the run is taken up.
    pub fn region(&mut self, number: usize, outer: Option<usize>, from: Option<(Stage, usize)>) -> Result<Exit, Stop> {
        let r = &self.regions[number];
        let (before, after, types) = (r.before.clone(), r.after.clone(), r.types.clone());
        if self.phase != Phase::Both && from.is_none() {
            // Inside another region: no comparison of its own.
            let code = if self.phase == Phase::Before { before } else { after };
            return self.run(&code);
        }
        let (log_from, old, exit, at) = match from {
            Some((Stage::After { log_from, old, exit, .. }, at)) => (log_from, old, exit, at),
            from => {
                let (log_from, base, at) = match from {
                    Some((Stage::Before { log_from, base, .. }, at)) => (log_from, base, at),
                    _ => {
                        let log_from = self.st.log.len();
                        self.begin_comparison();
                        self.phase = Phase::Before;
                        (log_from, Rc::new(self.st.clone()), 0)
                    }
                };
                let stage = outer.map(|outer| Stage::Before { outer, log_from, base: base.clone() });
                let exit = self.run_from(&before, Point::at(at), &mut |_| false, stage.as_ref());
                drop(stage);
                let exit = match exit {
                    Err(Stop::Fault(_)) => {
                        self.old_faults += 1;
                        return Err(Stop::Prune);
                    }
                    other => other?,
                };
                let old = replace(&mut self.st, Rc::unwrap_or_clone(base));
                self.phase = Phase::After;
                if let Some(f) = self.st.frames.last_mut() {
                    f.types = types[1].clone();
                    f.after = true;
                }
                (log_from, Rc::new(old), exit, 0)
            }
        };
        let stage = outer.map(|outer| Stage::After { outer, log_from, old: old.clone(), exit: exit.clone() });
        let new_exit = match self.run_from(&after, Point::at(at), &mut |_| false, stage.as_ref()) {
            Err(Stop::Fault(what)) => Err(what),
            Err(other) => return Err(other),
            Ok(e) => Ok(e),
        };
        drop(stage);
        let mut old = Rc::unwrap_or_clone(old);
        self.fault_at = new_exit.is_err().then(|| self.at(self.now));
        self.phase = Phase::Both;
        old.sync(&self.pages)?;
        self.st.sync(&self.pages)?;
        if let Some(text) = self.aliased(&old) {
            return self.unsupported(self.now, text);
        }
        self.compared += 1;
        let released = old.log[log_from.min(old.log.len())..]
            .iter()
            .any(|e| matches!(e.what, What::Page(crate::model::Event::Release { .. })));
        if released || !self.regions[number].releases {
            self.reached.insert(number);
        }
        self.covered.append(&mut self.passed);
        let new = replace(&mut self.st, old);
        match super::compare::compare(self, number, log_from, &exit, &new, &new_exit) {
            Ok(met) => self.refinements.extend(met),
            Err(diff) => {
                self.diff = Some(diff);
                return Err(Stop::Prune);
            }
        }
        let [_, mem] = new.mems;
        self.st.take_after(mem, new.held);
        Ok(exit)
    }
}
