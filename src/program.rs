//! What the hops behind the index may ask about the tree: functions, structs and text, by place and by name.
//!
//! A trait, so that rewriting and proving can be tested on a few lines of C without a tree.

use crate::ast::{Function, StructDef};
use crate::source::{FileId, Loc};
use std::sync::Arc;

/// Read access to the parsed part of a tree.
pub trait Program: Sync {
    /// Path of the file, relative to the root of the tree, `/` between components.
    fn path(&self, file: FileId) -> &str;
    /// The bytes of the file as read.
    fn text(&self, file: FileId) -> Arc<[u8]>;
    /// The function definition around a place.
    fn function_at(&self, at: Loc) -> Option<Arc<Function>>;
    /// The definition that a call of `name` in file `from` reaches: a static of that file, else the exported one.
    fn function(&self, from: FileId, name: &str) -> Option<(FileId, Arc<Function>)>;
    /// The definition of `struct tag` (or union) that file `from` sees.
    fn structure(&self, from: FileId, tag: &str) -> Option<Arc<StructDef>>;
    /// The names of the parameters of a function of the headers.
    fn parameters(&self, name: &str) -> Option<Vec<String>> {
        let _ = name;
        None
    }
    /// Files in the folder of `from` that name the function, ascending.
    fn naming_nearby(&self, from: FileId, name: &str) -> Vec<FileId> {
        let _ = (from, name);
        Vec::new()
    }
}
