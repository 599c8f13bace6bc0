//! Constants of the kernel that matter to control flow, and the small helpers that the interpreter computes itself.
//!
//! Values of include/uapi/asm-generic/errno-base.h, include/linux/mm.h, include/linux/dma-direction.h and
//! arch/x86/include/asm/page_types.h, equal in all trees that were read (4.19 to 6.12). Flags of gup are symbolic but
//! distinct: their numbers changed.

use super::eval::Typed;
use super::value::{ITy, V};
use crate::ast::{Base, CType};

const CONSTANTS: &[(&str, i128, ITy)] = &[
    ("NULL", 0, ITy::ULONG),
    ("true", 1, ITy::BOOL),
    ("false", 0, ITy::BOOL),
    ("EPERM", 1, ITy::INT),
    ("ENOENT", 2, ITy::INT),
    ("EINTR", 4, ITy::INT),
    ("EIO", 5, ITy::INT),
    ("ENXIO", 6, ITy::INT),
    ("E2BIG", 7, ITy::INT),
    ("EBADF", 9, ITy::INT),
    ("EAGAIN", 11, ITy::INT),
    ("ENOMEM", 12, ITy::INT),
    ("EACCES", 13, ITy::INT),
    ("EFAULT", 14, ITy::INT),
    ("EBUSY", 16, ITy::INT),
    ("EEXIST", 17, ITy::INT),
    ("ENODEV", 19, ITy::INT),
    ("EINVAL", 22, ITy::INT),
    ("ENOTTY", 25, ITy::INT),
    ("EFBIG", 27, ITy::INT),
    ("ENOSPC", 28, ITy::INT),
    ("EPIPE", 32, ITy::INT),
    ("ERANGE", 34, ITy::INT),
    ("ENOSYS", 38, ITy::INT),
    ("EOVERFLOW", 75, ITy::INT),
    ("EOPNOTSUPP", 95, ITy::INT),
    ("EMSGSIZE", 90, ITy::INT),
    ("ETIMEDOUT", 110, ITy::INT),
    ("ERESTARTSYS", 512, ITy::INT),
    ("PAGE_SHIFT", 12, ITy::INT),
    ("PAGE_SIZE", 4096, ITy::ULONG),
    ("PAGE_MASK", (1 << 64) - 4096, ITy::ULONG),
    ("DMA_BIDIRECTIONAL", 0, ITy::UINT),
    ("DMA_TO_DEVICE", 1, ITy::UINT),
    ("DMA_FROM_DEVICE", 2, ITy::UINT),
    ("DMA_NONE", 3, ITy::UINT),
    ("PCI_DMA_BIDIRECTIONAL", 0, ITy::INT),
    ("PCI_DMA_TODEVICE", 1, ITy::INT),
    ("PCI_DMA_FROMDEVICE", 2, ITy::INT),
    ("READ", 0, ITy::INT),
    ("WRITE", 1, ITy::INT),
    ("INT_MAX", i32::MAX as i128, ITy::INT),
    ("INT_MIN", i32::MIN as i128, ITy::INT),
    ("UINT_MAX", u32::MAX as i128, ITy::UINT),
    ("LONG_MAX", i64::MAX as i128, ITy::LONG),
    ("ULONG_MAX", u64::MAX as i128, ITy::ULONG),
    ("SIZE_MAX", u64::MAX as i128, ITy::ULONG),
    ("FOLL_WRITE", 1, ITy::INT),
];

/// The value of a constant that we know.
pub fn constant(name: &str) -> Option<Typed> {
    let &(_, v, t) = CONSTANTS.iter().find(|c| c.0 == name)?;
    let ty = match name {
        "NULL" => CType { base: Base::Void, ptr: 1, dims: Vec::new(), function: false },
        _ if t.bits == 1 => CType { base: Base::Bool, ptr: 0, dims: Vec::new(), function: false },
        _ => CType { base: Base::Int { signed: t.signed, bits: t.bits }, ptr: 0, dims: Vec::new(), function: false },
    };
    Some((V::Int(v, t), ty))
}

/// What the interpreter does itself when a function or macro of this name is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Builtin {
    /// The value of argument n.
    Same(usize),
    /// `IS_ERR()`
    IsErr,
    /// `IS_ERR_OR_NULL()`
    IsErrOrNull,
    /// `PTR_ERR()`, `ERR_PTR()`, `ERR_CAST()`: the number or pointer itself.
    Number,
    /// `min()`, `max()`
    Min,
    Max,
    /// With a type as first argument.
    MinT,
    MaxT,
    /// `DIV_ROUND_UP(n, d)`
    DivRoundUp,
    /// `ARRAY_SIZE()`
    ArraySize,
    /// `BUG_ON(c)`
    BugOn,
    /// `BUG()`
    Bug,
    /// `WARN_ON(c)`: its value is the truth of `c`.
    WarnOn,
    /// `container_of(ptr, type, member)`
    ContainerOf,
    /// Memory that is garbage, or NULL.
    Alloc,
    /// Memory that is zero, or NULL.
    ZeroAlloc,
    /// Gives memory back.
    Free(usize),
    /// `memset(p, c, n)`
    Memset,
    /// `memcpy(to, from, n)`
    Memcpy,
    /// Says something in the log of the kernel, nothing else.
    Print,
    /// Depends on its arguments only.
    Pure,
    /// Nothing at all.
    Nothing,
    /// `sg_set_page(sg, page, …)`: keeps the page in the entry.
    SgSet,
    /// `sg_page(sg)`, `sg_page_iter_page(iter)`
    SgGet,
    /// `swap(a, b)`
    Swap,
}

/// The builtin of this name.
pub fn builtin(name: &str) -> Option<Builtin> {
    use Builtin::*;
    Some(match name {
        "likely" | "unlikely" | "READ_ONCE" | "ACCESS_ONCE" | "rcu_dereference" | "array_index_nospec"
        | "PTR_ALIGN" | "__force" | "cpu_to_le32" | "le32_to_cpu" | "cpu_to_le64" | "le64_to_cpu"
        | "u64_to_user_ptr" | "untagged_addr" | "nth_page_same" => Same(0),
        "min_not_zero" => Pure,
        "IS_ERR" => IsErr,
        "IS_ERR_OR_NULL" => IsErrOrNull,
        "PTR_ERR" | "ERR_PTR" | "ERR_CAST" => Number,
        "min" => Min,
        "max" => Max,
        "min_t" => MinT,
        "max_t" => MaxT,
        "DIV_ROUND_UP" => DivRoundUp,
        "ARRAY_SIZE" => ArraySize,
        "BUG_ON" | "VM_BUG_ON" => BugOn,
        "BUG" => Bug,
        "WARN_ON" | "WARN_ON_ONCE" | "WARN" | "WARN_ONCE" => WarnOn,
        "container_of" | "list_entry" => ContainerOf,
        "kmalloc" | "kmalloc_array" | "vmalloc" | "kvmalloc" | "kvmalloc_array" | "kmem_cache_alloc"
        | "kmalloc_node" | "__vmalloc" | "memdup_user" | "kmalloc_obj" | "kmalloc_objs" | "kmalloc_flex"
        | "kvmalloc_obj" | "kvmalloc_objs" | "kvmalloc_flex" => Alloc,
        "kzalloc" | "kcalloc" | "vzalloc" | "kvzalloc" | "kvcalloc" | "kmem_cache_zalloc" | "devm_kzalloc"
        | "devm_kcalloc" | "kzalloc_node" | "kcalloc_node" | "kzalloc_obj" | "kzalloc_objs" | "kzalloc_flex"
        | "kvzalloc_obj" | "kvzalloc_objs" | "kvzalloc_flex" => ZeroAlloc,
        "kfree" | "vfree" | "kvfree" | "kzfree" | "kfree_sensitive" => Free(0),
        "kmem_cache_free" | "devm_kfree" => Free(1),
        "memset" => Memset,
        "memcpy" | "memmove" => Memcpy,
        "printk"
        | "pr_debug"
        | "pr_err"
        | "pr_info"
        | "pr_warn"
        | "pr_warning"
        | "pr_devel"
        | "dev_dbg"
        | "dev_err"
        | "dev_warn"
        | "dev_info"
        | "dev_notice"
        | "DRM_ERROR"
        | "DRM_DEBUG"
        | "DRM_INFO"
        | "dprintk"
        | "trace_printk"
        | "dump_stack"
        | "pr_err_ratelimited"
        | "dev_err_ratelimited"
        | "pr_warn_once" => Print,
        "PAGE_ALIGN" | "offset_in_page" | "ALIGN" | "round_up" | "roundup" | "IS_ALIGNED" | "page_to_pfn"
        | "page_address" | "page_to_phys" | "page_to_nid" | "page_zone" | "pfn_to_page" | "virt_to_page"
        | "vmalloc_to_page" | "__pa" | "__va" | "sg_dma_address" | "sg_dma_len" | "sg_nents" | "sg_next"
        | "is_vmalloc_addr" | "IS_ENABLED" | "test_bit" | "PageAnon" | "PageHuge" | "PageHighMem" | "PageUptodate"
        | "PageKsm" | "page_mapping" | "page_private" | "lower_32_bits" | "upper_32_bits" | "BIT" | "BIT_ULL"
        | "GENMASK" | "access_ok" | "order_base_2" | "ilog2" | "get_order" | "page_to_virt" | "vma_is_fsdax"
        | "sizeof" | "fls" | "ffs" | "_IOC_SIZE" => Pure,
        "might_sleep"
        | "cond_resched"
        | "barrier"
        | "smp_mb"
        | "wmb"
        | "rmb"
        | "mb"
        | "BUILD_BUG_ON"
        | "lockdep_assert_held"
        | "trace_mm_page_free"
        | "prefetch"
        | "prefetchw"
        | "fallthrough"
        | "smp_wmb"
        | "smp_rmb" => Nothing,
        "sg_set_page" | "sg_assign_page" => SgSet,
        "sg_page" | "sg_page_iter_page" => SgGet,
        "swap" => Swap,
        _ => return None,
    })
}
