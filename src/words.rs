//! Words of kernel C that say something about types or nothing at all, as data.
//!
//! Read by the splitter, the masks and the type reader. It deliberately holds no function of the kernel.

/// Annotations without arguments: they say nothing about control or data flow (v6.12 `include/linux/compiler*.h`,
/// `init.h`, `linkage.h`, `cache.h`, and those of v5.2 that are gone).
#[rustfmt::skip]
static ANNOTATIONS: &[&str] = &[
    "__user", "__kernel", "__iomem", "__force", "__percpu", "__rcu", "__bitwise", "__private", "__nocast", "__safe",
    "__init", "__exit", "__initdata", "__exitdata", "__initconst", "__meminit", "__memexit", "__devinit", "__devexit",
    "__init_or_module", "__ref", "__refdata", "__cpuinit", "__net_init", "__net_exit", "__sched", "__lockfunc",
    "__kprobes", "__always_inline", "__always_unused", "__maybe_unused", "__used", "__unused", "__must_check",
    "__weak", "__cold", "__hot", "__pure", "__attribute_const__", "__deprecated", "__malloc", "__packed",
    "__noreturn", "__visible", "__noclone", "__noinline", "__nocfi", "__latent_entropy", "__randomize_layout",
    "__no_randomize_layout", "__read_mostly", "__ro_after_init", "__cacheline_aligned", "__cacheline_aligned_in_smp",
    "____cacheline_aligned", "____cacheline_aligned_in_smp", "__page_aligned_data", "__page_aligned_bss",
    "__no_sanitize_address", "__no_kcsan", "__no_kasan_or_inline", "__no_sanitize_or_inline", "__noscs", "__cpuidle",
    "__flatten", "__gnu_inline", "__no_profile", "__no_stack_protector", "__signal", "__hyp_text", "__extension__",
    "__nonstring", "__uninitialized", "__cdecl", "__irq_entry", "__softirq_entry", "__exception", "__bpf_kfunc",
    "__nosavedata", "__xipram", "noinline", "noinline_for_stack", "noinline_for_kasan", "asmlinkage", "notrace",
    "noinstr", "randomized_struct_fields", "__no_fgcse", "__head", "__noendbr", "__tocdata", "__designated_init",
];

/// Annotations with arguments, and other words whose parentheses are no parameter list (v6.12
/// `include/linux/compiler_attributes.h`, `compiler_types.h`).
#[rustfmt::skip]
static WITH_ARGUMENTS: &[&str] = &[
    "__attribute__", "__attribute", "__aligned", "__section", "__printf", "__scanf", "__acquires", "__releases",
    "__must_hold", "__cond_acquires", "__cond_releases", "__alloc_size", "__alias", "__assume_aligned", "__copy",
    "__diagnose_as", "__no_sanitize", "__guarded_by", "__counted_by", "__counted_by_le", "__counted_by_be",
    "__declspec", "__nonnull", "__nonstring_array", "__realloc_size", "__designated_init_by", "typeof", "__typeof__",
    "__typeof", "asm", "__asm__", "__asm", "_Alignas", "__compiletime_error", "__compiletime_warning", "__errordecl",
    "__free", "__cleanup", "__attribute_const", "_Static_assert", "static_assert", "__target",
];

/// Integer typedefs: signed, bits, names. Widths are those of LP64 (v6.12 `include/linux/types.h`, `mm_types.h`,
/// `kvm_types.h`, `include/uapi/asm-generic/posix_types.h`, `include/asm-generic/int-ll64.h`).
#[rustfmt::skip]
static INTEGERS: &[(bool, u8, &[&str])] = &[
    (false, 8, &["u8", "__u8", "uint8_t", "u_int8_t", "u_char", "unchar"]),
    (true, 8, &["s8", "__s8", "int8_t"]),
    (false, 16, &["u16", "__u16", "uint16_t", "u_int16_t", "u_short", "ushort", "__le16", "__be16", "umode_t"]),
    (true, 16, &["s16", "__s16", "int16_t"]),
    (false, 32, &["u32", "__u32", "uint32_t", "u_int32_t", "u_int", "uint", "__le32", "__be32", "__wsum", "gfp_t", "fmode_t",
        "vm_fault_t", "slab_flags_t", "blk_opf_t", "__poll_t", "dev_t", "uid_t", "gid_t"]),
    (true, 32, &["s32", "__s32", "int32_t", "pid_t", "key_serial_t", "clockid_t"]),
    (false, 64, &["u64", "__u64", "uint64_t", "u_int64_t", "__le64", "__be64", "size_t", "__kernel_size_t", "pgoff_t",
        "uintptr_t", "u_long", "ulong", "sector_t", "blkcnt_t", "dma_addr_t", "phys_addr_t", "resource_size_t",
        "vm_flags_t", "ino_t", "gva_t", "gpa_t", "gfn_t", "hva_t", "hpa_t", "hfn_t", "kvm_pfn_t", "__kernel_ulong_t", "aligned_u64", "__aligned_u64"]),
    (true, 64, &["s64", "__s64", "int64_t", "ssize_t", "loff_t", "off_t", "ptrdiff_t", "intptr_t", "ktime_t",
        "time64_t", "__kernel_ssize_t", "__kernel_loff_t", "__kernel_long_t"]),
    (false, 8, &["blk_status_t"]),
];

/// Whether the word is an annotation without arguments.
pub fn is_annotation(w: &[u8]) -> bool {
    // Most words fail on their first two bytes; the list is not searched for them.
    let plausible = w.starts_with(b"__") || w.starts_with(b"no") || matches!(w.first(), Some(b'a' | b'r'));
    plausible && w.len() > 4 && ANNOTATIONS.iter().any(|a| a.as_bytes() == w)
}

/// Whether the word is an annotation that takes arguments, `typeof` or `asm`.
pub fn takes_arguments(w: &[u8]) -> bool {
    let plausible = w.first() == Some(&b'_') || matches!(w, b"typeof" | b"asm" | b"static_assert");
    plausible && WITH_ARGUMENTS.iter().any(|a| a.as_bytes() == w)
}

/// Signedness and width in bits of an integer typedef that we know.
pub fn integer_typedef(w: &[u8]) -> Option<(bool, u8)> {
    INTEGERS.iter().find(|(_, _, names)| names.iter().any(|n| n.as_bytes() == w)).map(|(s, b, _)| (*s, *b))
}

/// Whether the word is an integer typedef that we know.
pub fn is_integer_typedef(w: &[u8]) -> bool {
    integer_typedef(w).is_some()
}

/// Words that belong to types and never name a function.
pub fn is_type_word(w: &[u8]) -> bool {
    matches!(
        w,
        b"void"
            | b"char"
            | b"short"
            | b"int"
            | b"long"
            | b"float"
            | b"double"
            | b"signed"
            | b"unsigned"
            | b"bool"
            | b"_Bool"
            | b"struct"
            | b"union"
            | b"enum"
            | b"const"
            | b"volatile"
            | b"static"
            | b"extern"
            | b"inline"
            | b"register"
            | b"__inline"
            | b"__inline__"
            | b"__signed__"
            | b"__volatile__"
            | b"__const__"
            | b"__restrict"
            | b"restrict"
            | b"_Complex"
            | b"__int128"
    )
}
