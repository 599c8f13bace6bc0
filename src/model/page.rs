//! Pages and folios: the part of `struct page` that the reference functions and the dirtying functions look at.

/// Number of a folio in a [`crate::model::Memory`]. Folios lie in memory in the order of their numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FolioId(pub u8);

impl FolioId {
    /// Page `idx` of the folio; 0 is the head.
    pub fn page(self, idx: u8) -> Page {
        Page { folio: self, idx }
    }
}

/// A `struct page`: a place in a folio. `idx` is below [`Folio::nr`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Page {
    /// The folio.
    pub folio: FolioId,
    /// 0 is the head.
    pub idx: u8,
}

/// An entry of a page array, as the functions find it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ptr {
    /// NULL.
    Null,
    /// `ERR_PTR(-n)`; the field is the negative number.
    ErrPtr(i32),
    /// Memory that was never written.
    Poison,
    /// A page.
    Page(Page),
}

impl From<Page> for Ptr {
    fn from(page: Page) -> Ptr {
        Ptr::Page(page)
    }
}

/// Who holds the page lock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lock {
    /// Nobody.
    Free,
    /// The code that runs: taking it again never returns.
    Caller,
    /// Somebody else, who will give it back: taking it waits.
    Other,
}

/// The file systems, by what their dirtying function does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileKind {
    /// Buffer heads, as ext4.
    Buffer,
    /// No buffer heads: `__set_page_dirty_nobuffers()`, `filemap_dirty_folio()`.
    NoBuf,
    /// DAX: dirty tracking lies elsewhere.
    Dax,
    /// hugetlbfs: the flag only.
    Hugetlb,
}

/// What the page belongs to: `page_mapping()`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Map {
    /// Anonymous memory, not in the swap cache: no mapping.
    Anon,
    /// A file.
    File(FileKind),
    /// Was truncated: no mapping any more.
    Gone,
}

/// Device memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Device {
    /// Ordinary memory.
    None,
    /// `MEMORY_DEVICE_FS_DAX`: counts are 1-based, 1 means idle.
    FsDax,
}

/// A folio: one page, or a compound page. Counts live on the head.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Folio {
    /// Number of pages: 1, 2, 4, …; a power of two.
    pub nr: u8,
    /// `_refcount`.
    pub refs: i32,
    /// `_pincount` or `compound_pincount`; meaningless where the order has none.
    pub pinc: i32,
    /// `PG_dirty`.
    pub dirty: bool,
    /// The page-cache mark `PAGECACHE_TAG_DIRTY` and the inode's place on the dirty list: what writeback looks for.
    pub tagged: bool,
    /// `PG_writeback`.
    pub wb: bool,
    /// `PG_locked`.
    pub lock: Lock,
    /// The mapping.
    pub map: Map,
    /// Dirty bits of two buffers; `None` when there are no buffers.
    pub bufs: Option<[bool; 2]>,
    /// The file system was told of a write (`page_mkwrite`) since the last writeback.
    pub aware: bool,
    /// The zero page.
    pub zero: bool,
    /// The huge zero page.
    pub hugezero: bool,
    /// Device memory.
    pub dev: Device,
    /// Given back to the allocator: any further change is a use after free.
    pub freed: bool,
}

impl Folio {
    /// log2 of the number of pages.
    pub fn order(&self) -> u8 {
        self.nr.trailing_zeros() as u8
    }

    /// Whether it is compound (`PageCompound()`, `folio_test_large()`).
    pub fn compound(&self) -> bool {
        self.nr > 1
    }
}

/// The folios that proofs and tests put into a memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Anonymous page.
    Anon,
    /// File page with clean buffers.
    FileBuffer,
    /// File page of a file system without buffer heads.
    FileNoBuf,
    /// FS-DAX file page.
    FileDax,
    /// The zero page.
    Zero,
    /// hugetlbfs.
    Hugetlb,
    /// The huge zero page.
    HugeZero,
}

impl Kind {
    /// A folio of one page with `refs` references; clean, unlocked.
    pub fn order0(self, refs: i32) -> Folio {
        self.folio(1, refs)
    }

    /// A folio of `nr` pages (a power of two) with `refs` references; clean, unlocked.
    pub fn folio(self, nr: u8, refs: i32) -> Folio {
        Folio {
            nr,
            refs,
            pinc: 0,
            dirty: false,
            tagged: false,
            wb: false,
            lock: Lock::Free,
            map: match self {
                Kind::Anon | Kind::Zero | Kind::HugeZero => Map::Anon,
                Kind::FileBuffer => Map::File(FileKind::Buffer),
                Kind::FileNoBuf => Map::File(FileKind::NoBuf),
                Kind::FileDax => Map::File(FileKind::Dax),
                Kind::Hugetlb => Map::File(FileKind::Hugetlb),
            },
            bufs: (self == Kind::FileBuffer).then_some([false; 2]),
            aware: false,
            zero: self == Kind::Zero,
            hugezero: self == Kind::HugeZero,
            dev: if self == Kind::FileDax { Device::FsDax } else { Device::None },
            freed: false,
        }
    }
}
