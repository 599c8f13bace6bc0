//! Which argument of an acquiring call is the array, which the count, which the flags: by the names of the parameters.
//!
//! The prototype of the tree comes first. A call with as many arguments as no prototype of the tree has is code for
//! another kernel, behind a `#if`, and is read by the lists of parameters that kernels have had.

use super::Acquire;
use crate::ast::{BinOp, Expr, ExprKind};

/// Roles of the arguments of one acquiring call, as 0-based positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Receives the pages.
    pub pages: Option<usize>,
    /// How many.
    pub count: Option<usize>,
    /// `gup_flags`, or the int `write` of old trees.
    pub flags: Option<usize>,
    /// The flags argument is a boolean `write`.
    pub write_bool: bool,
}

impl Acquire {
    /// Argument roles for a call with `argc` arguments; `prototype` is the parameter list found in the tree, if any.
    pub fn roles(&self, argc: usize, prototype: Option<&[String]>) -> Roles {
        if let Some(p) = prototype
            && p.len() == argc
        {
            let r = Roles::named(&mut p.iter().map(String::as_str));
            if r.pages.is_some() || self.returns_page {
                return r;
            }
        }
        let fit = self.signatures.iter().find(|s| s.split(',').count() == argc).or(self.signatures.first());
        fit.map(|s| Roles::named(&mut s.split(','))).unwrap_or_default()
    }

    /// Argument roles of a call. Two lists of kernels apart can have the same length: in code for either, behind a
    /// `#if`, flags or an int of the one stand where the other one has the array.
    pub fn roles_of(&self, args: &[&Expr], prototype: Option<&[String]>) -> Roles {
        let r = self.roles(args.len(), prototype);
        let array = |r: &Roles| r.pages.and_then(|i| args.get(i)).is_some_and(|a| !flags(a));
        if r.pages.is_none() || array(&r) {
            return r;
        }
        let null = |r: &Roles| r.pages.and_then(|i| args.get(i)?.ident()).is_some_and(|n| &**n == "NULL");
        let as_long = self.signatures.iter().filter(|s| s.split(',').count() == args.len());
        as_long.map(|s| Roles::named(&mut s.split(','))).find(|o| array(o) && !null(o)).unwrap_or(r)
    }
}

/// Flags, or a number: no array.
fn flags(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Int { .. } => true,
        ExprKind::Ident(n) => n.starts_with("FOLL_") || n.ends_with("flags") || matches!(&**n, "write" | "force"),
        ExprKind::Binary(BinOp::BitOr | BinOp::BitAnd, ..) => true,
        ExprKind::Cond(_, Some(a), b) => flags(a) && flags(b),
        _ => false,
    }
}

impl Roles {
    /// Roles by the names of the parameters.
    fn named(names: &mut dyn Iterator<Item = &str>) -> Self {
        let mut r = Self::default();
        for (i, n) in names.enumerate() {
            match n {
                "pages" | "vec" | "folios" | "page" | "pagep" => r.pages = Some(i),
                "nr_pages" | "nr_frames" | "maxpages" | "max_folios" => r.count = Some(i),
                "gup_flags" | "foll_flags" | "flags" if !r.write_bool => r.flags = Some(i),
                "write" => {
                    r.flags = Some(i);
                    r.write_bool = true;
                }
                _ => {}
            }
        }
        r
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::Api;

    #[test]
    fn positions_follow_the_prototype_then_the_argument_count() {
        let a = Api::get().acquire("get_user_pages_remote").cloned();
        let Some(a) = a else { panic!("no entry") };
        assert_eq!(a.roles(8, None).pages, Some(5));
        assert_eq!(a.roles(6, None).pages, Some(4));
        let p: Vec<String> = ["mm", "start", "nr_pages", "gup_flags", "pages", "locked"].map(String::from).into();
        assert_eq!(a.roles(6, Some(&p)).flags, Some(3));
    }

    #[test]
    fn of_two_lists_of_one_length_the_write_flag_comes_before_other_flags() {
        let old = Api::get().acquire("__get_user_pages_unlocked").map(|a| a.roles(8, None));
        assert_eq!(old.map(|r| (r.pages, r.flags, r.write_bool)), Some((Some(6), Some(4), true)));
        let new = Api::get().acquire("__get_user_pages_unlocked").map(|a| a.roles(6, None));
        assert_eq!(new.map(|r| (r.pages, r.flags, r.write_bool)), Some((Some(4), Some(5), false)));
    }
}
