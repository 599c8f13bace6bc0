//! What shows that the data of pages is used: the fact that decided the CASE of a trace, for the message.

use crate::ast::ExprKind;
use crate::classify;
use crate::kernel::Api;
use crate::program::Program;
use crate::trace::{PinTrace, Use, UseKind};

/// What shows that the data of pages is used (the cases of `pin_user_pages.rst`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Evidence {
    /// This function gives the data to a device.
    Device(String),
    /// A device has the data until this function takes it back.
    DeviceUntil(String),
    /// The processor gets at it by this function.
    Processor(String),
    /// The physical address, which this function gives, goes to somebody while the page is held.
    Address(String),
    /// The physical address or the number, which the first function gives, goes to the second one; the page is kept.
    Handed(String, String),
    /// Something else.
    Other,
}

impl Evidence {
    /// Of a trace.
    pub(super) fn of(program: &dyn Program, trace: &PinTrace) -> Self {
        let used = |kinds: &[UseKind]| {
            let told = |u: &&Use| kinds.contains(&u.kind) && trace.case_why == format!("{}()", u.callee);
            trace.uses.iter().find(told).map(|u| u.callee.to_string())
        };
        if trace.case_why == classify::GIVEN_AWAY {
            let number = trace.uses.iter().find(|u| u.kind == UseKind::Address);
            return number.map_or(Evidence::Other, |u| Evidence::Address(u.callee.to_string()));
        }
        let device = used(&[UseKind::Io]).map(|by| {
            // The call that begins it says more than the one that ends it.
            let begins = |u: &&Use| u.kind == UseKind::Io && !u.callee.contains("unmap");
            match trace.uses.iter().find(begins) {
                Some(u) => Evidence::Device(u.callee.to_string()),
                None if by.contains("unmap") => Evidence::DeviceUntil(by),
                None => Evidence::Device(by),
            }
        });
        let cpu = || {
            let by = used(&[UseKind::Read, UseKind::Write, UseKind::Map])?;
            let begins = |u: &&Use| u.kind == UseKind::Map && !u.callee.contains("unmap");
            let map = trace.uses.iter().find(begins).filter(|_| by.contains("unmap"));
            Some(Evidence::Processor(map.map_or(by, |u| u.callee.to_string())))
        };
        device.or_else(cpu).or_else(|| handed(program, trace)).unwrap_or(Evidence::Other)
    }
}

/// Who gets the physical address, or the frame number, of pages that an object keeps; of no other pages.
fn handed(program: &dyn Program, trace: &PinTrace) -> Option<Evidence> {
    let api = Api::get();
    let physical = |u: &&Use| u.kind == UseKind::Address && ["phys", "pfn"].iter().any(|w| u.callee.contains(w));
    trace.uses.iter().filter(physical).filter(|_| !trace.local && trace.case == 2).find_map(|u| {
        let f = program.function_at(u.at)?;
        let mut to = None;
        f.body.walk_exprs(&mut |e| {
            let ExprKind::Call { callee, args } = &e.kind else { return };
            let Some(name) = callee.ident() else { return };
            // What makes another number of it is not who gets it; a macro may do anything.
            let makes = api.is_address(name) || api.same(name).is_some() || api.converts_address(name);
            let function = name.bytes().any(|b| b.is_ascii_lowercase());
            if function && !makes && args.iter().any(|a| a.span.contains(u.at.span)) {
                to = Some(name.to_string());
            }
        });
        Some(Evidence::Handed(u.callee.to_string(), to?))
    })
}
