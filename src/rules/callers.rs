//! What the callers of a `static` function pass: whether a count is ever negative, asked at every call in the file.
//!
//! A function whose address is taken has callers that cannot be seen; nothing is known of it then, nor of one that
//! calls itself.

use super::analysis::{Known, Types, constant, non_negative};
use super::cfg::Cfg;
use super::style::identifiers;
use super::{Scene, enclosing};
use crate::ast::{Expr, Function};
use crate::parse::Parser;
use crate::source::{FileId, Span};
use crate::split::{Item, ItemKind, split};

/// How many calls a count is followed up.
const DEPTH: usize = 3;

/// Whether the place is never negative at the statement, the callers of a `static` function included; what shows it.
pub fn never_negative(scene: &Scene, stmt: Span, place: &Expr) -> Option<String> {
    match non_negative(&scene.cfg, &scene.types, stmt, place, scene.text) {
        Known::Shown(why) => Some(why),
        Known::Nothing => None,
        Known::OfParameter => {
            let items = split(scene.text);
            let file = File { scene, file: scene.file, items: &items };
            let why = file.callers_agree(scene.function, place, DEPTH)?;
            Some(format!("every caller shows it: {why}"))
        }
    }
}

struct File<'a> {
    scene: &'a Scene<'a>,
    file: FileId,
    items: &'a [Item],
}

impl File<'_> {
    /// Every call of `f` passes a value that is not negative for the parameter.
    fn callers_agree(&self, f: &Function, parameter: &Expr, depth: usize) -> Option<String> {
        let number = f.params.iter().position(|p| Some(&p.name) == parameter.ident())?;
        if !f.is_static || depth == 0 {
            return None;
        }
        let text = self.scene.text;
        let calls_itself = identifiers(text, f.span).iter().filter(|s| s.of(text) == f.name.as_bytes()).count() > 1;
        if calls_itself {
            return None;
        }
        let mut parser = Parser::new();
        let mut why: Option<String> = None;
        for item in self.items.iter().filter(|i| i.span != f.span) {
            let named = identifiers(text, item.span).iter().filter(|s| s.of(text) == f.name.as_bytes()).count();
            if named == 0 || item.kind == ItemKind::Prototype && item.name == f.name {
                continue;
            }
            let caller = parser.function(text, item).filter(|c| c.damage.is_empty())?;
            let mut calls: Vec<&Expr> = Vec::new();
            caller.body.walk_exprs(&mut |e| {
                if e.call().is_some_and(|(n, _)| *n == f.name) {
                    calls.push(e);
                }
            });
            if calls.len() != named {
                return None;
            }
            let cfg = Cfg::new(&caller);
            let types = Types { program: self.scene.program, file: self.file, function: &caller };
            for call in calls {
                let argument = call.call()?.1.get(number)?;
                let stmt = enclosing(&caller, call.span).last()?.span;
                let shown = match non_negative(&cfg, &types, stmt, argument, text) {
                    Known::Shown(s) => format!("{s} in {}()", caller.name),
                    Known::OfParameter => self.callers_agree(&caller, argument, depth - 1)?,
                    Known::Nothing => return None,
                };
                if types.signed(argument) != Some(true) && constant(argument).is_none() {
                    return None;
                }
                why.get_or_insert(shown);
            }
        }
        why
    }
}
