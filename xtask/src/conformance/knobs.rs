//! Deliberately broken models: the proof that the comparison can fail.

use anyhow::{Result, bail};
use gupconv::model::{Capabilities, HugeZeroSkip};

/// Names of the switches that make a visible difference in this dialect.
pub fn applicable(caps: &Capabilities) -> Vec<&'static str> {
    let mut names = vec!["grab_checks_ref", "dax_dirty_effect", "huge_zero_skip", "devmap_zero_frees"];
    names.extend(["release_pages_misses_devmap", "release_batch"]);
    if caps.tracked {
        names.extend(["bias", "pincount_min_order", "zero_pin_noop", "null_skip_at_run_start", "err_guard"]);
        names.extend(["run_grouping", "stat_before_put"]);
    }
    names
}

/// The model with one switch turned.
pub fn broken(caps: &Capabilities, knob: &str) -> Result<Capabilities> {
    let mut c = *caps;
    match knob {
        "grab_checks_ref" => c.grab_checks_ref = !c.grab_checks_ref,
        "bias" => c.bias -= 1,
        "pincount_min_order" => c.pincount_min_order = c.pincount_min_order.map(|order| 3 - order),
        "zero_pin_noop" => c.zero_pin_noop = !c.zero_pin_noop,
        "null_skip_at_run_start" => c.null_skip_at_run_start = !c.null_skip_at_run_start,
        "err_guard" => c.err_guard = !c.err_guard,
        "run_grouping" => c.run_grouping = !c.run_grouping,
        "stat_before_put" => c.stat_before_put = !c.stat_before_put,
        "dax_dirty_effect" => c.dax_dirty_effect = !c.dax_dirty_effect,
        "release_pages_misses_devmap" => c.release_pages_misses_devmap = !c.release_pages_misses_devmap,
        "release_batch" => c.release_batch = 32 - c.release_batch,
        "devmap_zero_frees" => c.devmap_zero_frees = !c.devmap_zero_frees,
        "huge_zero_skip" => {
            c.huge_zero_skip = match c.huge_zero_skip {
                HugeZeroSkip::HeadOnly => HugeZeroSkip::WholeFolio,
                HugeZeroSkip::WholeFolio => HugeZeroSkip::HeadOnly,
            }
        }
        _ => bail!("no such knob: {knob}; here: {}", applicable(caps).join(" ")),
    }
    Ok(c)
}
