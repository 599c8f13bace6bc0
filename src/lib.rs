//! gupconv: from `get_user_pages*()` to where the pages are released, and a proved rewrite of the release.
//!
//! The pipeline, in order; each hop hands one public type on (ARCHITECTURE.md has the map and the invariants):
//!
//! discover → split → parse → index → sites → flow → classify → plan → edit → prove → report

pub mod ast;
pub mod classify;
pub mod cli;
pub mod compile;
pub mod concern;
pub mod config;
pub mod decide;
pub mod discover;
pub mod edit;
pub mod entries;
pub mod error;
pub mod explain;
pub mod findings;
pub mod fix;
pub mod flow;
pub mod hazard;
pub mod index;
pub mod kbuild;
pub mod kernel;
mod lanes;
pub mod lex;
pub mod model;
pub mod normalise;
pub mod parse;
pub mod plan;
pub mod prerequisite;
pub mod print;
pub mod program;
pub mod proof;
pub mod prove;
pub mod report;
pub mod rules;
pub mod run;
pub mod series;
pub mod sites;
pub mod source;
pub mod split;
pub mod trace;
pub mod words;
pub mod write;
