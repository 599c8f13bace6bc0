//! What kernel functions do with pages: the table of `api.toml`, by name.
//!
//! The only place that knows kernel function names. It knows nothing of any tree: which of the functions exist, and how
//! their parameters are ordered there, is the business of the prototypes that are read from the tree.

mod capabilities;
mod data;
pub mod dialect;
pub mod document;
pub mod prototypes;
mod raw;
mod roles;

pub use data::Lock;
pub use roles::Roles;

use crate::trace::{Dirty, GapCode};
use raw::Raw;
use rustc_hash::FxHashMap;
use serde::Deserialize;
use std::sync::OnceLock;

/// What kind of reference an acquiring function takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcquireKind {
    /// A plain reference on user pages.
    Gup,
    /// A pin (`FOLL_PIN`) on user pages.
    Pin,
    /// User pages or bare pfns, kept in an object.
    Vector,
    /// Pages of an iterator.
    Iter,
    /// One page, for a look at `struct page`.
    Follow,
    /// One page of user memory, returned.
    Dump,
}

/// An acquiring function.
#[derive(Clone, Debug, Deserialize)]
pub struct Acquire {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: AcquireKind,
    /// The page is the return value.
    #[serde(default)]
    pub returns_page: bool,
    /// What is user memory is pinned by it already, and nothing is taken of other pages.
    #[serde(default)]
    pub extracts: bool,
    /// Count and result are an `int`; those of the others are longer.
    #[serde(default)]
    pub int: bool,
    /// Parameter lists that kernels have had.
    pub signatures: Vec<String>,
}

/// A function that drops a reference.
#[derive(Clone, Debug, Deserialize)]
pub struct ReleaseFn {
    /// Name.
    pub name: String,
    /// Position of the page, or array.
    pub arg: usize,
    /// Position of the count.
    pub count: Option<usize>,
    /// Takes an array.
    #[serde(default)]
    pub batch: bool,
    /// Already the new form.
    #[serde(default)]
    pub converted: bool,
    /// Frees a page that was allocated: never the release of a pin.
    #[serde(default)]
    pub other: bool,
    /// Releases what an object holds; the primitive put is inside.
    #[serde(default)]
    pub wrapper: bool,
    /// Arithmetic on the count, of one reference or of several.
    #[serde(default)]
    pub counter: bool,
    /// Dirties as well.
    #[serde(default)]
    dirty: Option<String>,
}

impl ReleaseFn {
    /// How the call itself dirties the pages.
    pub fn dirty(&self) -> Dirty {
        self.dirty.as_deref().map_or(Dirty::None, dirty_kind)
    }
}

fn dirty_kind(s: &str) -> Dirty {
    match s {
        "SetPageDirty" => Dirty::SetPageDirty,
        "SetPageDirtyLock" => Dirty::SetPageDirtyLock,
        "FlagOnly" => Dirty::FlagOnly,
        _ => Dirty::None,
    }
}

/// What a callee does with a page that it is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Borrow {
    /// Looks at `struct page` only.
    Meta,
    /// The CPU reads the data.
    Read,
    /// The CPU writes the data.
    Write,
    /// Makes the data addressable by the CPU; what happens then depends on the address.
    Map,
    /// Makes the data reachable by a device.
    Io,
    /// Nothing of interest.
    None,
}

/// Storage of pages in a container by a call.
#[derive(Clone, Copy, Debug)]
pub struct StoreFn {
    /// Argument stored to.
    pub to: usize,
    /// Argument stored.
    pub from: usize,
    /// Both are containers.
    pub container: bool,
}

/// A call that stores a value and gives the one that was there.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeFn {
    /// Argument stored to, or its address.
    pub to: usize,
    /// Argument stored.
    pub from: usize,
    /// Argument to which what was there goes; the result, if there is none.
    pub back: Option<usize>,
    /// It does not depend on what is there.
    pub always: bool,
}

/// A loop macro over a container.
#[derive(Clone, Copy, Debug)]
pub struct IterateFn {
    /// The container.
    pub over: usize,
    /// The cursor.
    pub cursor: usize,
    /// Over a scatterlist.
    pub sg: bool,
}

/// An object of the kernel core that carries pages between subsystems: what is put into any of them may come out of
/// any other.
#[derive(Clone, Debug, Deserialize)]
pub struct Vessel {
    /// Struct and field that stand for the contents.
    pub tag: String,
    /// See `tag`.
    pub field: String,
    /// What its pages are called in a message.
    pub what: String,
    /// A function that names one of these and drops a reference releases such pages.
    pub words: Vec<String>,
    /// Functions that put a page in.
    pub fill: Vec<String>,
    page: usize,
    cursors: Vec<String>,
    /// Functions by which somebody comes to an object of his own, or fills it.
    pub makes: Vec<String>,
    /// Functions that fill it with pages of the user for whoever made it.
    pub given: Vec<String>,
    gives: Vec<String>,
}

/// The role of a name in the context analysis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContextFn {
    /// Makes what follows atomic.
    Enter,
    /// Ends it.
    Leave,
    /// Tells whether it is atomic.
    Asked,
    /// Registers its n-th argument as a callback that runs in atomic context.
    Callback(usize),
    /// Waits for the end of a transfer (true), or tells it.
    Transfer(bool),
}

/// The table.
#[derive(Debug)]
pub struct Api {
    acquire: FxHashMap<String, Acquire>,
    release: FxHashMap<String, ReleaseFn>,
    dirty: FxHashMap<String, Dirty>,
    counted: FxHashMap<String, bool>,
    filling: FxHashMap<String, ()>,
    frees: FxHashMap<String, ()>,
    fresh: FxHashMap<String, ()>,
    same: FxHashMap<String, usize>,
    heads: FxHashMap<String, ()>,
    frame_type: String,
    store: FxHashMap<String, StoreFn>,
    exchange: FxHashMap<String, ExchangeFn>,
    duplicate: FxHashMap<String, usize>,
    iterate: FxHashMap<String, IterateFn>,
    address: FxHashMap<String, ()>,
    from_address: FxHashMap<String, ()>,
    mapped_address: FxHashMap<String, ()>,
    convert_address: FxHashMap<String, ()>,
    sized: FxHashMap<String, ()>,
    chained: FxHashMap<String, ()>,
    containers: FxHashMap<String, ()>,
    lent: FxHashMap<String, Borrow>,
    own: FxHashMap<String, ()>,
    own_copies: FxHashMap<String, ()>,
    sets: FxHashMap<String, (String, Vec<String>)>,
    vessels: Vec<Vessel>,
    handover: FxHashMap<String, (Option<GapCode>, String)>,
    borrow: FxHashMap<String, Borrow>,
    extra: FxHashMap<String, ()>,
    brief: FxHashMap<String, ()>,
    unmaps: FxHashMap<String, ()>,
    notifier: FxHashMap<String, ()>,
    closes: Vec<String>,
    not_user_iter: FxHashMap<String, ()>,
    /// Of what makes an iterator: whether it is one over memory of the kernel.
    iter_makers: FxHashMap<String, bool>,
    data: data::Data,
    context: FxHashMap<String, ContextFn>,
    locks: FxHashMap<String, Lock>,
    atomic_fields: FxHashMap<String, ()>,
    acquire_names: Vec<String>,
    search_parts: Vec<String>,
    page_flags: Vec<String>,
}

fn set(names: Vec<String>) -> FxHashMap<String, ()> {
    names.into_iter().map(|n| (n, ())).collect()
}

impl Api {
    /// The table that ships with the program.
    ///
    /// The text is part of the program and a test reads it, so a syntax error cannot reach a user; were there one, the
    /// table would be empty and nothing would be found.
    pub fn get() -> &'static Api {
        static API: OnceLock<Api> = OnceLock::new();
        API.get_or_init(|| match toml::from_str::<Raw>(include_str!("api.toml")) {
            Ok(raw) => Api::from_raw(raw),
            Err(e) => unreachable_table(&e.to_string()),
        })
    }

    fn from_raw(raw: Raw) -> Api {
        let mut borrow = FxHashMap::default();
        let b = raw.borrow;
        // Later lists win: `page_address` is a mapping although it also gives an address.
        for (names, kind) in [
            (b.none, Borrow::None),
            (b.meta, Borrow::Meta),
            (b.read, Borrow::Read),
            (b.write, Borrow::Write),
            (b.io, Borrow::Io),
            (b.map, Borrow::Map),
        ] {
            borrow.extend(names.into_iter().map(|n| (n, kind)));
        }
        let mut counted: FxHashMap<String, bool> = raw.origin.counted.into_iter().map(|n| (n, true)).collect();
        counted.extend(raw.origin.uncounted.into_iter().map(|n| (n, false)));
        let filling = set(raw.origin.filling);
        let mut acquire_names: Vec<String> = raw.acquire.iter().map(|a| a.name.clone()).collect();
        acquire_names.sort();
        Api {
            acquire: raw.acquire.into_iter().map(|a| (a.name.clone(), a)).collect(),
            release: raw.release.into_iter().map(|a| (a.name.clone(), a)).collect(),
            dirty: raw.dirty.into_iter().map(|d| (d.name, dirty_kind(&d.kind))).collect(),
            counted,
            filling,
            frees: set(raw.frees.names),
            fresh: set(raw.fresh.names),
            heads: set(raw.same.iter().filter(|s| s.head).flat_map(|s| s.names.clone()).collect()),
            frame_type: raw.address.frame_type,
            same: raw.same.into_iter().flat_map(|s| s.names.into_iter().map(move |n| (n, s.arg))).collect(),
            store: raw
                .store
                .into_iter()
                .flat_map(|s| {
                    let f = StoreFn { to: s.to, from: s.from, container: s.container };
                    s.names.into_iter().map(move |n| (n, f))
                })
                .collect(),
            exchange: raw
                .exchange
                .into_iter()
                .flat_map(|x| {
                    let f = ExchangeFn { to: x.to, from: x.from, back: x.back, always: x.always };
                    x.names.into_iter().map(move |n| (n, f))
                })
                .collect(),
            duplicate: raw.duplicate.into_iter().flat_map(|d| d.names.into_iter().map(move |n| (n, d.arg))).collect(),
            iterate: raw
                .iterate
                .into_iter()
                .flat_map(|s| {
                    let f = IterateFn { over: s.over, cursor: s.cursor, sg: s.sg };
                    s.names.into_iter().map(move |n| (n, f))
                })
                .collect(),
            address: set(raw.address.of_page),
            from_address: set(raw.address.to_page),
            mapped_address: set(raw.address.mapped),
            convert_address: set(raw.address.convert),
            sized: set(raw.containers.sized),
            chained: set(raw.containers.chained),
            containers: set(raw.containers.tags),
            lent: {
                let io = raw.lent.fields.into_iter().map(|f| (f, Borrow::Io));
                io.chain(raw.lent.looked_at.into_iter().map(|f| (f, Borrow::Meta))).collect()
            },
            own_copies: set(raw.own.copies),
            own: set(raw.own.tags),
            sets: raw
                .sets
                .into_iter()
                .flat_map(|s| s.names.into_iter().map(move |n| (n, (s.tag.clone(), s.fields.clone()))))
                .collect(),
            vessels: raw.vessel,
            handover: raw
                .handover
                .into_iter()
                .flat_map(|h| {
                    let gap = GapCode::ALL.iter().copied().find(|g| g.code() == h.gap);
                    h.names.into_iter().map(move |n| (n, (gap, h.flag.clone())))
                })
                .collect(),
            borrow,
            extra: set(raw.reference.extra),
            brief: set(raw.reference.brief),
            unmaps: set(raw.reference.unmaps),
            notifier: set(raw.case.notifier),
            closes: raw.case.closes,
            not_user_iter: set(raw.case.not_user_iter),
            iter_makers: raw
                .case
                .kernel_iter
                .into_iter()
                .map(|n| (n, true))
                .chain(raw.case.user_iter.into_iter().map(|n| (n, false)))
                .collect(),
            data: data::Data::new(raw.data),
            context: data::context(&raw.context),
            locks: data::locks(&raw.context),
            atomic_fields: set(raw.context.fields.atomic),
            acquire_names,
            page_flags: b.page_flags,
            search_parts: raw.search.parts,
        }
    }

    /// The acquiring function of this name.
    pub fn acquire(&self, name: &str) -> Option<&Acquire> {
        self.acquire.get(name)
    }
    /// Names of all acquiring functions, sorted.
    pub fn acquire_names(&self) -> &[String] {
        &self.acquire_names
    }
    /// Parts of words; every acquiring function has one of them in its name. Few, since the search of the tree for them
    /// is most of the time of a run.
    pub fn search_parts(&self) -> &[String] {
        &self.search_parts
    }
    /// The releasing function of this name.
    pub fn release(&self, name: &str) -> Option<&ReleaseFn> {
        self.release.get(name)
    }
    /// How the function of this name dirties its argument.
    pub fn dirty(&self, name: &str) -> Option<Dirty> {
        self.dirty.get(name).copied()
    }
    /// The function returns a page that is no pin; the value tells whether it brings a reference of its own.
    pub fn origin(&self, name: &str) -> Option<bool> {
        self.counted.get(name).copied()
    }
    /// Stores pages that are no pins, each with a reference of its own, in the array that it is given.
    pub fn is_filling(&self, name: &str) -> bool {
        self.filling.contains_key(name)
    }
    /// Gives the memory of its first argument back.
    pub fn is_free(&self, name: &str) -> bool {
        self.frees.contains_key(name)
    }
    /// The result is new memory or a number: nothing that holds pages.
    pub fn is_fresh(&self, name: &str) -> bool {
        self.fresh.contains_key(name)
    }
    /// The result is the same page or container as this argument.
    pub fn same(&self, name: &str) -> Option<usize> {
        self.same.get(name).copied()
    }
    /// The result is the page that counts the references of its argument.
    pub fn head(&self, name: &str) -> bool {
        self.heads.contains_key(name)
    }
    /// What the names of types of frame numbers have in common.
    pub fn frame_type(&self) -> &str {
        &self.frame_type
    }
    /// The call stores one argument in another.
    pub fn store(&self, name: &str) -> Option<StoreFn> {
        self.store.get(name).copied()
    }
    /// The call stores one argument in another, and gives what was there.
    pub fn exchange(&self, name: &str) -> Option<ExchangeFn> {
        self.exchange.get(name).copied()
    }
    /// The result is new memory that begins with what is in this argument.
    pub fn duplicate(&self, name: &str) -> Option<usize> {
        self.duplicate.get(name).copied()
    }
    /// The loop macro runs over a container of pages.
    pub fn iterate(&self, name: &str) -> Option<IterateFn> {
        self.iterate.get(name).copied()
    }
    /// The result is a number or address of the page.
    pub fn is_address(&self, name: &str) -> bool {
        self.address.contains_key(name)
    }
    /// The result is the page of a number or address.
    pub fn is_page_of_address(&self, name: &str) -> bool {
        self.from_address.contains_key(name)
    }
    /// The address that the call gives or takes is the one by which the kernel itself gets at the page.
    pub fn is_mapped(&self, name: &str) -> bool {
        self.mapped_address.contains_key(name)
    }
    /// The functions that give the page of a number or address, or hand its reference on by the number.
    pub fn pages_of_addresses(&self) -> impl Iterator<Item = &str> {
        let handed = self.handover.iter().filter(|(_, (gap, _))| gap.is_none()).map(|(name, _)| name);
        self.from_address.keys().chain(handed).map(|name| &**name)
    }
    /// The functions that give a number or address of a page.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.address.keys().map(|name| &**name)
    }
    /// Makes one kind of address or number of another.
    pub fn converts_address(&self, name: &str) -> bool {
        self.convert_address.contains_key(name)
    }
    /// Pages stored in this field stay with whoever stored them: what is done with them meanwhile.
    pub fn lent(&self, tag: &str, field: &str) -> Option<Borrow> {
        self.lent.get(&format!("{tag}.{field}")).copied()
    }
    /// A request that each user makes for itself: fields of it are joined within a folder only.
    pub fn is_own(&self, tag: &str) -> bool {
        self.own.contains_key(tag)
    }
    /// The struct whose fields the function sets, and the field by argument (empty: none).
    pub fn sets(&self, name: &str) -> Option<(&str, &[String])> {
        self.sets.get(name).map(|(tag, fields)| (tag.as_str(), fields.as_slice()))
    }
    /// Objects of this struct carry pages to code of other subsystems.
    pub fn is_request(&self, tag: &str) -> bool {
        self.sets.values().any(|(t, _)| t == tag) || self.vessels.iter().any(|v| v.tag == tag)
    }
    /// The function copies the data of such a request, and does nothing else to it.
    pub fn copies_request(&self, name: &str) -> bool {
        self.own_copies.contains_key(name)
    }
    /// All vessels.
    pub fn vessels(&self) -> &[Vessel] {
        &self.vessels
    }
    /// Words that lead to what is in vessels.
    pub fn vessel_words(&self) -> impl Iterator<Item = &str> {
        self.vessels.iter().flat_map(|v| v.words.iter().map(String::as_str))
    }
    /// The vessel with these contents.
    pub fn vessel(&self, tag: &str, field: &str) -> Option<&Vessel> {
        self.vessels.iter().find(|v| v.tag == tag && v.field == field)
    }
    /// The call puts its n-th argument into a vessel.
    pub fn fills(&self, name: &str) -> Option<(&Vessel, usize)> {
        self.vessels.iter().find(|v| v.fill.iter().any(|n| n == name)).map(|v| (v, v.page))
    }
    /// The loop macro runs its first argument over a vessel.
    pub fn runs_over(&self, name: &str) -> Option<&Vessel> {
        self.vessels.iter().find(|v| v.cursors.iter().any(|n| n == name))
    }
    /// The function gives a page of a vessel.
    pub fn gives_of(&self, name: &str) -> Option<&Vessel> {
        self.vessels.iter().find(|v| v.gives.iter().any(|n| n == name))
    }
    /// A struct whose fields are part of the container.
    pub fn is_container(&self, tag: &str) -> bool {
        self.containers.contains_key(tag)
    }
    /// The container of the first argument ends behind as many entries as the second one says.
    pub fn sizes(&self, name: &str) -> bool {
        self.sized.contains_key(name)
    }
    /// Containers of the arguments are one behind the other from then on.
    pub fn chains(&self, name: &str) -> bool {
        self.chained.contains_key(name)
    }
    /// The callee takes the pages over: the gap this makes, or `None` inside for one that is only handed on.
    pub fn handover(&self, name: &str) -> Option<Option<GapCode>> {
        self.handover.get(name).map(|h| h.0)
    }
    /// It does so only if its last argument has this flag.
    pub fn handover_flag(&self, name: &str) -> Option<&str> {
        self.handover.get(name).map(|h| h.1.as_str()).filter(|flag| !flag.is_empty())
    }
    /// What the callee does with a page that it neither keeps nor drops.
    pub fn borrow(&self, name: &str) -> Option<Borrow> {
        // `SetPageFoo`: the prefix, then a capital; `folio_test_foo`: the prefix ends in `_`.
        let flag = || {
            self.page_flags.iter().any(|p| {
                name.strip_prefix(p.as_str())
                    .is_some_and(|rest| p.ends_with('_') || rest.starts_with(|c: char| c.is_ascii_uppercase()))
            })
        };
        self.borrow.get(name).copied().or_else(|| flag().then_some(Borrow::Meta))
    }
    /// Takes an extra reference.
    pub fn is_extra_reference(&self, name: &str) -> bool {
        self.extra.contains_key(name)
    }
    /// Maps a page for the processor that is running, which nobody keeps.
    pub fn maps_briefly(&self, name: &str) -> bool {
        self.brief.contains_key(name)
    }
    /// Takes a page out of a page table and leaves that one's reference to the caller, who drops it.
    pub fn unmaps(&self, name: &str) -> bool {
        self.unmaps.contains_key(name)
    }
    /// The member of a table of operations that is called when the last user of an object is gone, in the text of the
    /// table up to its name (`static const struct file_operations`).
    pub fn closes(&self, table: &str, member: &str) -> bool {
        let mut words = table.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.any(|w| self.closes.iter().any(|c| c.strip_prefix(w).and_then(|m| m.strip_prefix('.')) == Some(member)))
    }
    /// Evidence of an MMU notifier (CASE 3).
    pub fn is_notifier(&self, name: &str) -> bool {
        self.notifier.contains_key(name) || name.contains("mmu_notifier_") || name.contains("mmu_interval_")
    }
    /// Evidence that an iterator has no user pages.
    pub fn is_not_user_iter(&self, name: &str) -> bool {
        self.not_user_iter.contains_key(name)
    }
    /// Makes an iterator: whether it is one over memory of the kernel.
    pub fn makes_iter(&self, name: &str) -> Option<bool> {
        self.iter_makers.get(name).copied()
    }
    /// Role in the context analysis.
    pub fn context(&self, name: &str) -> Option<ContextFn> {
        self.context.get(name).copied()
    }
    /// A callback in this field runs in atomic context.
    pub fn is_atomic_field(&self, field: &str) -> bool {
        self.atomic_fields.contains_key(field)
    }
}

/// A broken table is a broken build, never a wrong answer.
fn unreachable_table(error: &str) -> Api {
    panic!("src/kernel/api.toml: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_parses_and_agrees_with_itself() {
        let api = Api::get();
        assert!(api.acquire("get_user_pages_fast").is_some());
        assert!(api.release("put_page").is_some_and(|r| !r.converted));
        for n in api.acquire_names() {
            assert!(api.search_parts().iter().any(|p| n.contains(p.as_str())), "{n} is not searched for");
            assert!(api.release(n).is_none(), "{n} acquires and releases");
        }
    }
}
