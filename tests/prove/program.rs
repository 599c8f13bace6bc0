//! A tree of one file, and the proof of a case on it.

use gupconv::ast::{ExprKind, Function, StructDef};
use gupconv::kernel::Api;
use gupconv::model::Capabilities;
use gupconv::parse::{Parser, function_from_source};
use gupconv::program::Program;
use gupconv::prove::{Budget, ChangedFunction, HeldBy, Policy, Proof, Task, prove};
use gupconv::source::{FileId, LineMap, Loc, Name};
use gupconv::split::{ItemKind, split};
use gupconv::trace::Context;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A tree of one file.
pub struct OneFile {
    path: String,
    text: Arc<[u8]>,
    functions: BTreeMap<Name, Arc<Function>>,
    structs: BTreeMap<Name, Arc<StructDef>>,
}

impl OneFile {
    fn new(path: String, text: &[u8]) -> Self {
        let mut parser = Parser::new();
        let (mut functions, mut structs) = (BTreeMap::new(), BTreeMap::new());
        for item in split(text) {
            match item.kind {
                ItemKind::Function => {
                    if let Some(f) = parser.function(text, &item) {
                        functions.insert(item.name.clone(), Arc::new(f));
                    }
                }
                ItemKind::Struct | ItemKind::Union | ItemKind::Typedef => {
                    if let Some(s) = parser.structure(text, &item) {
                        structs.insert(item.name.clone(), Arc::new(s));
                    }
                }
                _ => {}
            }
        }
        Self { path, text: text.into(), functions, structs }
    }
}

impl Program for OneFile {
    fn path(&self, _: FileId) -> &str {
        &self.path
    }
    fn text(&self, _: FileId) -> Arc<[u8]> {
        self.text.clone()
    }
    fn function_at(&self, at: Loc) -> Option<Arc<Function>> {
        self.functions.values().find(|f| f.span.contains(at.span)).cloned()
    }
    fn function(&self, from: FileId, name: &str) -> Option<(FileId, Arc<Function>)> {
        self.functions.get(name).map(|f| (from, f.clone()))
    }
    fn structure(&self, _: FileId, tag: &str) -> Option<Arc<StructDef>> {
        self.structs.get(tag).cloned()
    }
}

/// Two versions of a file, and how to look at them.
pub struct Case {
    pub program: OneFile,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
    options: Vec<String>,
}

impl Case {
    pub fn read(dir: &Path) -> Result<Case, String> {
        let read = |n: &str| std::fs::read(dir.join(n)).map_err(|e| format!("{}/{n}: {e}", dir.display()));
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Case::new(&format!("drivers/{name}.c"), read("before.c")?, read("after.c")?))
    }
    pub fn new(path: &str, before: Vec<u8>, after: Vec<u8>) -> Case {
        let first = String::from_utf8_lossy(&before).lines().next().unwrap_or_default().to_string();
        let options = first
            .split_once("prove:")
            .map(|(_, o)| o.trim_end_matches("*/").split_whitespace().map(String::from).collect())
            .unwrap_or_default();
        Case { program: OneFile::new(path.to_string(), &before), before, after, options }
    }
    fn has(&self, o: &str) -> bool {
        self.options.iter().any(|x| x == o)
    }
    fn list(&self, key: &str) -> Vec<&str> {
        self.options.iter().filter_map(|o| o.strip_prefix(key)).flat_map(|v| v.split(',')).collect()
    }
    /// Every call of the file that takes pages, and every call that drops some.
    fn calls(&self) -> (Vec<Loc>, Vec<Loc>) {
        let (mut takes, mut drops) = (Vec::new(), Vec::new());
        for f in self.program.functions.values() {
            f.body.walk_exprs(&mut |e| {
                let (Some((name, _)), ExprKind::Call { callee, .. }) = (e.call(), &e.kind) else { return };
                let at = Loc { file: FileId(0), span: callee.span };
                if Api::get().acquire(name).is_some() {
                    takes.push(at);
                }
                if Api::get().release(name).is_some() {
                    drops.push(at);
                }
            });
        }
        (takes, drops)
    }
    /// Proves the case, and tells the difference that there is.
    pub fn prove(&self) -> Proof {
        self.ask(&self.after, true)
    }
    /// The same with another text behind the rewrite.
    pub fn prove_against(&self, after: &[u8]) -> Proof {
        self.ask(after, true)
    }
    /// The proof with this text behind the rewrite.
    pub fn ask(&self, after: &[u8], tell: bool) -> Proof {
        let file = FileId(0);
        let (mut changed, mut removed) = (Vec::new(), Vec::new());
        for (name, before) in &self.program.functions {
            let Some(new) = function_from_source(after, name) else {
                removed.push((file, before.clone()));
                continue;
            };
            if before.span.text(&self.before) != new.span.text(after) {
                changed.push(ChangedFunction {
                    file,
                    before: before.clone(),
                    after: Arc::new(new),
                    after_text: after.into(),
                });
            }
        }
        let caps = if self.has("3arg") {
            Capabilities::placeholder_3arg()
        } else if self.has("tracked") || self.has("pinned") {
            Capabilities::pincount_6_12()
        } else {
            Capabilities::placeholder_2arg()
        };
        let mut contexts = Vec::new();
        for (key, context) in [
            ("atomic=", Context { may_be_atomic: true, page_locked: false }),
            ("locked=", Context { may_be_atomic: false, page_locked: true }),
        ] {
            for f in self.list(key).iter().filter_map(|n| self.program.functions.get(*n)) {
                contexts.push((Loc { file, span: f.name_span }, context));
            }
        }
        let (acquires, releases) = self.calls();
        prove(&Task {
            program: &self.program,
            changed,
            removed,
            acquires,
            releases,
            functions: self.list("trace=").into_iter().map(|n| (file, n.into())).collect(),
            contexts,
            always_write: self.has("always-write"),
            held_by: if self.has("tracked") {
                HeldBy::GetToPin
            } else if self.has("pinned") {
                HeldBy::Pin
            } else {
                HeldBy::Get
            },
            caps,
            api: Api::get(),
            policy: if self.has("strict") { Policy::StrictDirty } else { Policy::Upstream },
            budget: Budget::default(),
            tell,
        })
    }
}

/// A proof as text: outcome and refinements, then everything else.
pub fn show(p: &Proof, case: &Case) -> String {
    let mut s = p.outcome.code().to_string();
    for r in &p.refinements {
        s.push_str(&format!(" {}", r.code()));
    }
    s.push('\n');
    for a in &p.assumed {
        s.push_str(&format!("assumed: {a}\n"));
    }
    if let Some(c) = &p.counterexample {
        s.push_str(c);
    }
    if let Some(st) = &p.stopped {
        let text = if st.after { &case.after } else { &case.before };
        s.push_str(&format!("stopped at line {}: {}\n", LineMap::new(text).line(st.span.start), st.construct));
    }
    s.push_str(&format!("{} runs\n", p.runs));
    s
}
