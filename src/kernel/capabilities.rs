//! What the model has to know of a tree, read from the bodies of its functions.
//!
//! Starts from the generation that is nearest by dialect; every switch that a body decides is then set by the body.

use super::prototypes::Prototypes;
use crate::config::DialectKind;
use crate::model::{Capabilities, HugeZeroSkip};

/// Functions that take a reference or pin for GUP, in the trees that have them.
const GRAB: &[&str] = &["try_grab_page", "try_grab_folio", "try_grab_folio_fast", "try_grab_compound_head"];
/// Functions that refuse to raise a count of zero or less (v4.19 has none of them).
const CHECKED_GET: &[&str] = &["try_get_page", "try_get_compound_head", "try_get_folio"];
/// What groups consecutive entries of one folio.
const RUN: &[&str] = &["gup_folio_next", "compound_next", "for_each_compound_head", "for_each_folio"];
/// What drops the reference at the end of a pin's release.
const DROP: &[&str] = &["page_ref_sub_and_test", "put_page_refs", "put_compound_head", "folio_put_refs", "__put_page"];

/// The capabilities of a tree of dialect `kind`; `bodies` are those of mm/gup.c and mm/swap.c.
pub(super) fn of(kind: DialectKind, headers: &Prototypes, bodies: &Prototypes) -> Capabilities {
    let mut caps = match kind {
        DialectKind::None | DialectKind::PutUserPage2 => Capabilities::placeholder_2arg(),
        DialectKind::PutUserPage3 => Capabilities::placeholder_3arg(),
        DialectKind::PinUserPages if bodies.declares("gup_put_folio") => Capabilities::pincount_6_1(),
        DialectKind::PinUserPages => Capabilities::tracked_5_7(),
    };
    let any_has = |functions: &[&str], word: &str| functions.iter().any(|f| bodies.body_has(f, word));
    let has_any = |function: &str, words: &[&str]| words.iter().any(|w| bodies.body_has(function, w));
    let params = |f: &str| headers.params(f).map(|p| p.len() as u8);

    caps.put_user = headers.declares("put_user_page");
    caps.put_user_pages_dirty = headers.declares("put_user_pages_dirty");
    let arity = params("unpin_user_pages_dirty_lock").or(params("put_user_pages_dirty_lock"));
    caps.dirty_lock_arity = arity.unwrap_or(caps.dirty_lock_arity);
    caps.range_release = headers.declares("unpin_user_page_range_dirty_lock");
    caps.folio_release = headers.declares("unpin_folios");
    caps.dax_dirty_effect = headers.declares("noop_dirty_folio");

    let bias = headers.macro_value("GUP_PIN_COUNTING_BIAS");
    caps.tracked = bias.is_some() && headers.declares("unpin_user_page");
    caps.bias = bias.and_then(shifted).unwrap_or(caps.bias);
    caps.pincount_min_order = if caps.tracked { pincount_min_order(headers) } else { None };

    if GRAB.iter().chain(CHECKED_GET).any(|f| bodies.body(f).is_some()) || headers.declares("try_get_page") {
        caps.grab_checks_ref = CHECKED_GET.iter().any(|f| headers.declares(f) || bodies.declares(f));
    } else if bodies.declares("follow_page_mask") {
        caps.grab_checks_ref = false;
    }
    if GRAB.iter().any(|f| bodies.body(f).is_some()) {
        caps.zero_pin_noop = any_has(GRAB, "is_zero_page") || any_has(GRAB, "is_zero_folio");
    }
    if bodies.body("unpin_user_pages").is_some() {
        caps.err_guard = bodies.body_has("unpin_user_pages", "IS_ERR_VALUE");
        caps.run_grouping = has_any("unpin_user_pages", RUN);
        let null = |w: &[String]| w[0] == "!" && w[1] == "pages" && w[2] == "[";
        caps.null_skip_at_run_start = bodies.body("unpin_user_pages").is_some_and(|b| b.windows(3).any(null));
    }
    for f in ["gup_put_folio", "unpin_user_page"] {
        if let Some(body) = bodies.body(f)
            && let Some(counted) = body.iter().position(|w| w == "NR_FOLL_PIN_RELEASED")
        {
            // The release itself stands behind the counter, or in front of it.
            caps.stat_before_put = body[counted..].iter().any(|w| DROP.contains(&w.as_str()));
            break;
        }
    }
    if bodies.body("release_pages").is_some() {
        let batch = bodies.body_has("release_pages", "folio_batch_add");
        let worker = if batch { "folios_put_refs" } else { "release_pages" };
        caps.release_batch = if batch { Capabilities::pincount_6_12().release_batch } else { 1 };
        caps.release_pages_misses_devmap = bodies.body_has(worker, "is_device_public_page");
        let folio = bodies.body_has(worker, "is_huge_zero_folio") || bodies.body_has(worker, "folio");
        caps.huge_zero_skip = if folio { HugeZeroSkip::WholeFolio } else { HugeZeroSkip::HeadOnly };
    }
    if let Some(body) = bodies.body("follow_pfn_pte") {
        // FOLL_GET is refused, FOLL_PIN is not thought of (v5.7, v5.10).
        let get = body.iter().any(|w| w == "FOLL_GET");
        caps.pin_leaves_holes = caps.tracked && get && !body.iter().any(|w| w == "FOLL_PIN");
    }
    if bodies.body("get_user_pages").is_some() {
        let checked = has_any("get_user_pages", &["is_valid_gup_flags", "is_valid_gup_args"]);
        let warns = checked || (caps.tracked && refuses_longterm(bodies));
        caps.get_longterm = !warns;
    }
    if bodies.declares("get_user_pages_fast") {
        caps.longterm_refuses_file_write = bodies.declares("writable_file_mapping_allowed");
        caps.fast_negative_overflows = any_has(&["internal_get_user_pages_fast", "gup_fast_fallback"], "EOVERFLOW");
    }
    caps
}

/// `get_user_pages()` itself has `if (WARN_ON_ONCE(gup_flags & FOLL_LONGTERM)) return -EINVAL` (v5.10 mm/gup.c).
fn refuses_longterm(bodies: &Prototypes) -> bool {
    let Some(body) = bodies.body("get_user_pages") else { return false };
    let warns = |w: &[String]| w[0].starts_with("WARN_ON") && w[1..].iter().any(|t| t == "FOLL_LONGTERM");
    body.windows(7).any(warns)
}

/// `N` of `( 1U < < n )`.
fn shifted(value: &str) -> Option<i32> {
    let words: Vec<&str> = value.split(' ').filter(|w| !matches!(*w, "(" | ")")).collect();
    match words.as_slice() {
        [one, "<", "<", n] if one.trim_end_matches(['U', 'L']) == "1" => 1i32.checked_shl(n.parse().ok()?),
        [n] => n.trim_end_matches(['U', 'L']).parse().ok(),
        _ => None,
    }
}

/// The smallest order with a pin count of its own, from the function that decides it. A test of 64 bit trees that
/// takes every large folio counts; 32 bit trees may start one order later (v7.2).
fn pincount_min_order(headers: &Prototypes) -> Option<u8> {
    for f in ["hpage_pincount_available", "folio_has_pincount", "folio_maybe_dma_pinned", "page_maybe_dma_pinned"] {
        let tokens: Vec<&str> = match (headers.body(f), headers.macro_value(f)) {
            (Some(body), _) => body.iter().map(String::as_str).collect(),
            (None, Some(value)) => value.split(' ').collect(),
            (None, None) => continue,
        };
        if tokens.contains(&"folio_test_large") {
            return Some(1);
        }
        if tokens.contains(&"PageCompound") {
            return Some(if tokens.windows(2).any(|w| w == [">", "1"]) { 2 } else { 1 });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bias_is_computed() {
        assert_eq!(shifted("( 1U < < 10 )"), Some(1024));
        assert_eq!(shifted("1024"), Some(1024));
        assert_eq!(shifted("PAGE_SIZE"), None);
    }

    #[test]
    fn the_smallest_order_with_a_count() {
        let of = |text: &str| {
            let mut p = Prototypes::default();
            p.add("include/linux/mm.h", text.as_bytes());
            pincount_min_order(&p)
        };
        let old = "static inline bool hpage_pincount_available(struct page *page)\n{\n\
            \treturn PageCompound(page) && compound_order(page) > 1;\n}\n";
        assert_eq!(of(old), Some(2));
        assert_eq!(of(&old.replace(" && compound_order(page) > 1", "")), Some(1));
        assert_eq!(of("#define folio_has_pincount(folio) folio_test_large(folio)\n"), Some(1));
        assert_eq!(of("int x;\n"), None);
    }
}
