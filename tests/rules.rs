//! One named test for every folder `fixtures/rules/RULE/CASE`: what the rules make of the releases of one C file.
//!
//! Every call of `put_page()` and `release_pages()` in `before.c` is taken to release a pin, in a context that may
//! sleep, so that the rules are tested without custody analysis. The first line of the file may say otherwise:
//! `// dialect: 3` (three-argument tree), `// dialect: pin` (pins are counted apart: the calls of
//! `get_user_pages*()` are then a part of the plan), `// context: atomic`, `// context: locked`, `// skip: N` (the N-th
//! call releases something else), `// without: NAME` (a function that the tree does not have), separated
//! by `;`.
//!
//! `after.c` is the plan that needs no proof, byte for byte; without it, the releases must not be rewritten so.
//! `nicest.c`, if there, is the first plan that is offered. Where a plan has a form without helpers that it leaves with
//! one call, that form is looked at. `report.txt` says for every plan what it used, what must hold and what is said of
//! it. `UPDATE_EXPECT=1` rewrites the expectations; read the difference before committing it.

use gupconv::ast::{ExprKind, Function, StructDef};
use gupconv::edit::EditSet;
use gupconv::kernel::Api;
use gupconv::parse::Parser;
use gupconv::plan::{Plan, Request, Target, plan, rewritten};
use gupconv::program::Program;
use gupconv::rules::{Kind, RULES};
use gupconv::source::{FileId, Loc};
use gupconv::split::{ItemKind, split};
use gupconv::trace::{Context, Dirty, PinSite, Release, Shape, When, Writes};
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs, io};

const FILE: FileId = FileId(0);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials() {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("fixtures cannot be listed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn trials() -> io::Result<Vec<Trial>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rules");
    let mut trials = Vec::new();
    for rule in RULES {
        let name = rule.id.0;
        let page = *rule;
        trials.push(Trial::test(format!("page/{name}"), move || check_page(&page.page())));
        let cases = folders(&root.join(name))?;
        let count = cases.len();
        trials.push(Trial::test(format!("has-fixtures/{name}"), move || {
            if count == 0 { Err(Failed::from("no fixture")) } else { Ok(()) }
        }));
        for case in cases {
            let title = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let expects = (page.id.0, matches!(page.kind, Kind::Rewrite(_)));
            trials.push(Trial::test(format!("{name}/{title}"), move || run(&case, expects.0)));
        }
    }
    Ok(trials)
}

fn folders(at: &Path) -> io::Result<Vec<PathBuf>> {
    if !at.exists() {
        return Ok(Vec::new());
    }
    let mut found: Vec<PathBuf> = fs::read_dir(at)?.filter_map(|e| e.ok().map(|e| e.path())).collect();
    found.retain(|p| p.is_dir());
    found.sort();
    Ok(found)
}

fn check_page(page: &str) -> Result<(), Failed> {
    for part in ["# What it does", "# Why", "# Example", "# Fix safety"] {
        if !page.lines().any(|l| l == part) {
            return Err(format!("the page has no part `{part}`").into());
        }
    }
    Ok(())
}

/// A tree of one file.
struct OneFile {
    text: Arc<[u8]>,
    functions: Vec<Arc<Function>>,
    structs: Vec<Arc<StructDef>>,
}

impl OneFile {
    fn new(text: &[u8]) -> Self {
        let mut parser = Parser::new();
        let items = split(text);
        let functions = items.iter().filter(|i| i.kind == ItemKind::Function);
        let functions = functions.filter_map(|i| parser.function(text, i)).map(Arc::new).collect();
        let structs = items.iter().filter_map(|i| parser.structure(text, i)).map(Arc::new).collect();
        Self { text: text.into(), functions, structs }
    }
}

impl Program for OneFile {
    fn path(&self, _: FileId) -> &str {
        "before.c"
    }
    fn text(&self, _: FileId) -> Arc<[u8]> {
        self.text.clone()
    }
    fn function_at(&self, at: Loc) -> Option<Arc<Function>> {
        self.functions.iter().find(|f| f.span.contains(at.span)).cloned()
    }
    fn function(&self, from: FileId, name: &str) -> Option<(FileId, Arc<Function>)> {
        self.functions.iter().find(|f| &*f.name == name).map(|f| (from, f.clone()))
    }
    fn structure(&self, _: FileId, tag: &str) -> Option<Arc<StructDef>> {
        self.structs.iter().find(|s| &*s.name == tag).cloned()
    }
}

/// What the first line of a case asks for.
struct Setting {
    target: Target,
    context: Context,
    skip: Vec<usize>,
}

fn setting(text: &str) -> Result<Setting, Failed> {
    let mut s = Setting { target: Target::two_arguments(), context: Context::default(), skip: vec![] };
    let Some(line) = text.lines().next().and_then(|l| l.strip_prefix("// ")) else { return Ok(s) };
    for part in line.split(';') {
        match part.split_once(':').map(|(k, v)| (k.trim(), v.trim())) {
            Some(("dialect", "3")) => s.target = Target::three_arguments(),
            Some(("dialect", "2")) => s.target = Target::two_arguments(),
            Some(("context", "atomic")) => s.context.may_be_atomic = true,
            Some(("context", "locked")) => s.context.page_locked = true,
            Some(("dialect", "pin")) => {
                s.target = Target::unpin(&[
                    "pin_user_pages",
                    "pin_user_pages_fast",
                    "pin_user_pages_remote",
                    "pin_user_pages_unlocked",
                ]);
            }
            Some(("skip", n)) => s.skip.push(n.parse().map_err(|_| Failed::from("skip wants a number"))?),
            Some(("without", f)) => {
                s.target.available.remove(f);
            }
            _ => return Err(format!("the first line says `{part}`, which means nothing").into()),
        }
    }
    Ok(s)
}

fn releases(program: &OneFile, s: &Setting) -> Vec<Release> {
    let mut found = Vec::new();
    for f in &program.functions {
        f.body.walk_exprs(&mut |e| {
            if let (Some((name, _)), ExprKind::Call { callee, .. }) = (e.call(), &e.kind)
                && matches!(&**name, "put_page" | "release_pages")
            {
                found.push(Release {
                    at: Loc { file: FILE, span: callee.span },
                    call: e.span,
                    callee: name.clone(),
                    function: f.name.clone(),
                    pins: vec![],
                    foreign: vec![],
                    guarded_by: None,
                    dirty: Dirty::None,
                    dirty_when: String::new(),
                    dirtied_at: None,
                    shape: Shape::Single,
                    when: When::Normal,
                    context: s.context,
                    atomic: None,
                    damaged: false,
                });
            }
        });
    }
    let mut number = 0;
    found.retain(|_| {
        number += 1;
        !s.skip.contains(&number)
    });
    found
}

fn sites(program: &OneFile, s: &Setting) -> Vec<PinSite> {
    let mut found = Vec::new();
    for f in program.functions.iter().filter(|_| s.target.unpin) {
        f.body.walk_exprs(&mut |e| {
            if let (Some((name, args)), ExprKind::Call { callee, .. }) = (e.call(), &e.kind)
                && name.starts_with("get_user_pages")
            {
                let roles = Api::get().acquire(name).map(|a| a.roles(args.len(), None));
                let flags = roles.and_then(|r| r.flags).and_then(|i| args.get(i)).map(|a| a.span);
                found.push(PinSite {
                    at: Loc { file: FILE, span: callee.span },
                    call: e.span,
                    api: name.clone(),
                    function: f.name.clone(),
                    pages: None,
                    count: None,
                    flags,
                    result: None,
                    writes: Writes::Always,
                    write_expr: String::new(),
                    damaged: false,
                });
            }
        });
    }
    found
}

fn plans(text: &[u8], s: &Setting) -> (OneFile, Result<Vec<Plan>, gupconv::plan::Obstacle>) {
    let program = OneFile::new(text);
    let found = releases(&program, s);
    let pins = sites(&program, s);
    let request = Request {
        program: &program,
        releases: found.iter().collect(),
        sites: pins.iter().collect(),
        target: s.target.clone(),
    };
    let result = if found.is_empty() { Ok(vec![]) } else { plan(&request) };
    let last = |p: Plan| p.inlined.clone().map_or(p, |better| *better);
    let result = result.map(|plans| plans.into_iter().map(last).collect());
    drop(request);
    (program, result)
}

fn run(case: &Path, rule: &str) -> Result<(), Failed> {
    let before = fs::read(case.join("before.c"))?;
    let s = setting(&String::from_utf8_lossy(&before))?;
    let (program, result) = plans(&before, &s);
    let apply = |p: &Plan| -> Result<Vec<u8>, Failed> {
        let set = EditSet::new(p.edits.clone()).map_err(|e| Failed::from(e.to_string()))?;
        set.apply(FILE, &before).ok_or_else(|| Failed::from("an edit lies outside the file"))
    };
    let (mut after, mut nicest) = (None, None);
    let report = match &result {
        Ok(plans) => {
            for p in plans {
                well_formed(&program, &apply(p)?, p)?;
                let files = rewritten(&program, p).map_err(|o| Failed::from(o.text))?;
                if files.iter().any(|f| f.before != before || Ok(&f.after) != apply(p).as_ref().map_err(|_| ())) {
                    return Err("rewritten() and the edits do not agree".into());
                }
            }
            if let Some(safe) = plans.iter().find(|p| p.statically_safe()) {
                after = Some(apply(safe)?);
            }
            if let Some(first) = plans.first().filter(|p| !p.statically_safe()) {
                nicest = Some(apply(first)?);
            }
            plans.iter().enumerate().map(|(i, p)| describe(i + 1, p)).collect::<String>()
        }
        Err(o) => format!("obstacle: {}\n", o.text),
    };
    if let Some(text) = after.as_ref().filter(|_| s.skip.is_empty()) {
        // A second run finds nothing to do.
        let (_, again) = plans_of(text, &s);
        if again.iter().any(|p| !p.edits.is_empty()) {
            return Err("a second run changes the file again".into());
        }
    }
    if !report.contains(rule) && !case.join("before.c").to_string_lossy().contains("/leave-") {
        return Err(format!("the case does not use the rule {rule}:\n{report}").into());
    }
    compare(&case.join("after.c"), after)?;
    compare(&case.join("nicest.c"), nicest)?;
    compare(&case.join("report.txt"), Some(report.into_bytes()))
}

fn plans_of(text: &[u8], s: &Setting) -> (OneFile, Vec<Plan>) {
    let (program, result) = plans(text, s);
    (program, result.unwrap_or_default())
}

/// The functions after the edit parse without damage, and there are as many as before, but for those that go.
fn well_formed(before: &OneFile, after: &[u8], plan: &Plan) -> Result<(), Failed> {
    let new = OneFile::new(after);
    let goes = |f: &Function| plan.edits.iter().any(|e| e.span.contains(f.span));
    let old: Vec<_> = before.functions.iter().filter(|f| !goes(f)).collect();
    if new.functions.len() != old.len() {
        return Err("the edit changed the number of functions".into());
    }
    match new.functions.iter().zip(&old).find(|(n, o)| n.damage.len() > o.damage.len()) {
        Some((f, _)) => {
            Err(format!("{}() does not parse after the edit:\n{}", f.name, String::from_utf8_lossy(after)).into())
        }
        None => Ok(()),
    }
}

fn describe(number: usize, p: &Plan) -> String {
    let mut out = format!("plan {number}: {}\n", p.rules.iter().map(|r| r.0).collect::<Vec<_>>().join(" "));
    for o in &p.obligations {
        let state = o.discharged.as_ref().map_or("OPEN".to_string(), |why| format!("shown: {why}"));
        out.push_str(&format!("  must: {} {}\n        {state}\n", o.kind.code(), o.text));
    }
    p.notes.iter().for_each(|n| out.push_str(&format!("  note: {n}\n")));
    p.cautions.iter().for_each(|n| out.push_str(&format!("  caution: {n}\n")));
    out
}

fn compare(path: &Path, got: Option<Vec<u8>>) -> Result<(), Failed> {
    let want = fs::read(path).ok();
    if want == got {
        return Ok(());
    }
    if env::var_os("UPDATE_EXPECT").is_some() {
        return {
            let _: () = match got {
                Some(bytes) => fs::write(path, bytes)?,
                None => fs::remove_file(path)?,
            };
            Ok(())
        };
    }
    let show = |b: Option<Vec<u8>>| b.map_or("(absent)\n".to_string(), |b| String::from_utf8_lossy(&b).into_owned());
    Err(format!("{} differs\n--- want\n{}--- got\n{}", path.display(), show(want), show(got)).into())
}
