//! From the edits of a plan to the functions that they change.

use super::task::{ChangedFunction, Stopped};
use crate::edit::EditSet;
use crate::parse::Parser;
use crate::program::Program;
use crate::source::Loc;
use crate::split::{ItemKind, split};
use std::sync::Arc;

/// The functions that the edits touch, in both versions, ascending by place.
///
/// A function that an edit removes as a whole is left out: what called it is changed itself. Edits outside functions
/// are not looked at.
///
/// # Errors
/// The place of an edit that does not fit the file, or of a function that cannot be parsed after the edits.
pub fn changed_functions(program: &dyn Program, edits: &EditSet) -> Result<Vec<ChangedFunction>, Stopped> {
    let mut out: Vec<ChangedFunction> = Vec::new();
    for file in edits.files() {
        let text = program.text(file);
        let mine: Vec<_> = edits.edits().iter().filter(|e| e.file == file).collect();
        let stop = |construct: &str| Stopped {
            file,
            span: mine.first().map(|e| e.span).unwrap_or_default(),
            after: false,
            construct: construct.to_string(),
        };
        let Some(after) = edits.apply(file, &text) else { return Err(stop("an edit that does not fit the file")) };
        let after: Arc<[u8]> = after.into();
        let items = split(&after);
        let mut parser = Parser::new();
        for e in &mine {
            let Some(before) = program.function_at(Loc { file, span: e.span }) else { continue };
            if out.iter().any(|c| c.file == file && c.before.name_span == before.name_span)
                || e.span.contains(before.span)
            {
                continue;
            }
            let item = items.iter().find(|i| i.kind == ItemKind::Function && i.name == before.name);
            let Some(new) = item.and_then(|i| parser.function(&after, i)) else {
                return Err(stop(&format!("{}() is not found after the edits", before.name)));
            };
            out.push(ChangedFunction { file, before, after: Arc::new(new), after_text: after.clone() });
        }
    }
    out.sort_by_key(|c| (c.file, c.before.span.start));
    Ok(out)
}
