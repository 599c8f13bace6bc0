//! The table of the kernel's API as it stands in `api.toml`.
//!
//! Names and positions only; what they mean is in [`super::Api`].

use super::{Acquire, ReleaseFn, Vessel};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct RawSearch {
    pub parts: Vec<String>,
}
#[derive(Deserialize)]
pub(super) struct Raw {
    pub search: RawSearch,
    pub acquire: Vec<Acquire>,
    pub release: Vec<ReleaseFn>,
    pub dirty: Vec<RawDirty>,
    pub origin: RawOrigin,
    pub frees: RawFresh,
    pub fresh: RawFresh,
    pub same: Vec<RawSame>,
    pub store: Vec<RawStore>,
    pub exchange: Vec<RawExchange>,
    pub duplicate: Vec<RawDuplicate>,
    pub iterate: Vec<RawIterate>,
    pub address: RawAddress,
    pub containers: RawContainers,
    pub lent: RawLent,
    pub own: RawOwn,
    pub sets: Vec<RawSets>,
    pub vessel: Vec<Vessel>,
    pub handover: Vec<RawHandover>,
    pub borrow: RawBorrow,
    pub reference: RawReference,
    pub case: RawCase,
    pub data: RawData,
    pub context: RawContext,
}
#[derive(Deserialize)]
pub(super) struct RawDirty {
    pub name: String,
    pub kind: String,
}
#[derive(Deserialize)]
pub(super) struct RawOrigin {
    pub counted: Vec<String>,
    pub uncounted: Vec<String>,
    pub filling: Vec<String>,
}
#[derive(Deserialize)]
pub(super) struct RawFresh {
    pub names: Vec<String>,
}
#[derive(Deserialize)]
pub(super) struct RawSame {
    pub names: Vec<String>,
    pub arg: usize,
    #[serde(default)]
    pub head: bool,
}
#[derive(Deserialize)]
pub(super) struct RawStore {
    pub names: Vec<String>,
    pub to: usize,
    pub from: usize,
    #[serde(default)]
    pub container: bool,
}
#[derive(Deserialize)]
pub(super) struct RawExchange {
    pub names: Vec<String>,
    pub to: usize,
    pub from: usize,
    pub back: Option<usize>,
    #[serde(default)]
    pub always: bool,
}
#[derive(Deserialize)]
pub(super) struct RawDuplicate {
    pub names: Vec<String>,
    pub arg: usize,
}
#[derive(Deserialize)]
pub(super) struct RawSets {
    pub names: Vec<String>,
    pub tag: String,
    pub fields: Vec<String>,
}
#[derive(Deserialize)]
pub(super) struct RawIterate {
    pub names: Vec<String>,
    pub over: usize,
    pub cursor: usize,
    #[serde(default)]
    pub sg: bool,
}
#[derive(Deserialize)]
pub(super) struct RawAddress {
    pub of_page: Vec<String>,
    pub to_page: Vec<String>,
    pub convert: Vec<String>,
    pub mapped: Vec<String>,
    pub frame_type: String,
}
#[derive(Deserialize)]
pub(super) struct RawLent {
    pub fields: Vec<String>,
    pub looked_at: Vec<String>,
}
#[derive(Deserialize)]
pub(super) struct RawOwn {
    pub tags: Vec<String>,
    pub copies: Vec<String>,
}
#[derive(Deserialize)]
pub(super) struct RawContainers {
    pub tags: Vec<String>,
    pub sized: Vec<String>,
    pub chained: Vec<String>,
}
#[derive(Deserialize)]
pub(super) struct RawHandover {
    pub names: Vec<String>,
    #[serde(default)]
    pub flag: String,
    pub gap: String,
}
#[derive(Deserialize)]
pub(super) struct RawBorrow {
    pub page_flags: Vec<String>,
    pub meta: Vec<String>,
    pub read: Vec<String>,
    pub write: Vec<String>,
    pub map: Vec<String>,
    pub io: Vec<String>,
    pub none: Vec<String>,
}
#[derive(Deserialize)]
pub(super) struct RawReference {
    pub extra: Vec<String>,
    pub brief: Vec<String>,
    pub unmaps: Vec<String>,
}
#[derive(Deserialize)]
pub(super) struct RawCase {
    pub notifier: Vec<String>,
    pub closes: Vec<String>,
    pub not_user_iter: Vec<String>,
    pub kernel_iter: Vec<String>,
    pub user_iter: Vec<String>,
}
#[derive(Deserialize, Debug)]
pub(super) struct RawData {
    pub copies: Vec<String>,
    pub fills: Vec<String>,
    pub reads: Vec<String>,
    pub copying: Vec<String>,
    pub member_names: Vec<(String, usize)>,
    pub sets_variable: Vec<String>,
    pub maps_pages: Vec<String>,
    pub to_memory: Vec<String>,
    pub from_memory: Vec<String>,
    pub tells_private: Vec<String>,
    pub flushes: Vec<String>,
}
#[derive(Deserialize)]
pub(super) struct RawContext {
    pub atomic_enter: Vec<String>,
    pub atomic_leave: Vec<String>,
    pub atomic_asked: Vec<String>,
    pub waits: Vec<String>,
    pub tells: Vec<String>,
    pub lock: Vec<String>,
    pub lock_or_fail: Vec<String>,
    pub lock_if_free: Vec<String>,
    pub unlock: Vec<String>,
    pub callback: Vec<RawCallback>,
    pub fields: RawFields,
}
#[derive(Deserialize)]
pub(super) struct RawCallback {
    pub names: Vec<String>,
    pub arg: usize,
}
#[derive(Deserialize)]
pub(super) struct RawFields {
    pub atomic: Vec<String>,
}
