/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the functions cut out of a kernel tree need in order to compile and run in user space: types with the
 * fields that they touch, atomic counters that notice a freed page, locks and warnings that write events, and file
 * systems. Our own text. Where the kernel generates a function by macro (page flags), ours stands in.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- language ---- */
#define likely(x) (x)
#define unlikely(x) (x)
#define __must_check
#define __maybe_unused
#define __always_inline inline
#define READ_ONCE(x) (x)
#define WRITE_ONCE(x, v) ((x) = (v))
#define IS_ENABLED(x) 0
#define min_t(type, a, b) ((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define uninitialized_var(x) x
#define BUILD_BUG_ON(x) ((void)0)
#define MAX_ERRNO 4095
#define IS_ERR_VALUE(x) ((unsigned long)(void *)(x) >= (unsigned long)-MAX_ERRNO)
#define ENOMEM 12
#define EREMOTEIO 121
#define CONFIG_BLOCK 1
#define PAGEVEC_SIZE 31
#define SWAP_CLUSTER_MAX 32UL
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
typedef unsigned int gfp_t;
typedef unsigned long pgoff_t;

/* ---- types ---- */
typedef struct { int counter; } atomic_t;
typedef struct { int unused; } spinlock_t;
struct list_head { struct list_head *next, *prev; };
#define LIST_HEAD(name) struct list_head name = { &(name), &(name) }
struct pglist_data { spinlock_t lru_lock; };
struct lruvec { int unused; };
struct xarray { int unused; };
struct inode { int unused; };
struct vm_area_struct;
struct page;
struct folio;
struct address_space;
struct writeback_control;

enum memory_type { MEMORY_DEVICE_PRIVATE = 1, MEMORY_DEVICE_PUBLIC, MEMORY_DEVICE_FS_DAX, MEMORY_DEVICE_PCI_P2PDMA };
struct dev_pagemap_ops { void (*page_free)(struct page *page); };
/* The callback took (page, data) in one version and moved into ops with (page) in the next. */
struct dev_pagemap {
	enum memory_type type;
	void (*page_free)(struct page *page, void *data);
	void *data;
	const struct dev_pagemap_ops *ops;
};

struct address_space_operations {
	int (*set_page_dirty)(struct page *page);
	bool (*dirty_folio)(struct address_space *mapping, struct folio *folio);
};
struct address_space {
	const struct address_space_operations *a_ops;
	struct xarray i_pages;
	spinlock_t private_lock, i_private_lock;
	struct inode *host;
};
struct buffer_head { struct buffer_head *b_this_page; bool dirty; };

struct page {
	unsigned long flags;
	struct address_space *mapping;
	struct list_head lru;
	struct dev_pagemap *pgmap;
	atomic_t _refcount;
	atomic_t _pincount;
	/* ours */
	struct page *head;
	unsigned int order;
	bool dirty, tagged, has_bufs, freed, device;
	unsigned char locker; /* 0 nobody, 1 the code that runs, 2 somebody else */
	struct buffer_head bufs[2];
};
struct folio {
	union {
		struct {
			unsigned long flags;
			struct address_space *mapping;
			struct list_head lru;
			struct dev_pagemap *pgmap;
			atomic_t _refcount;
			atomic_t _pincount;
		};
		struct page page;
	};
};
struct folio_batch { unsigned char nr, i; bool percpu_pvec_drained; struct folio *folios[PAGEVEC_SIZE]; };

/* ---- the machine ---- */
#define H_PAGES 64
static struct page mem_map[H_PAGES];
static unsigned int h_pages; /* pages in use */
static bool h_atomic;
static long h_acquired, h_released;
static unsigned long h_zero_pfn;
static struct page *huge_zero_page;
static struct folio *huge_zero_folio;
static jmp_buf h_out;
static unsigned char h_fault[2];

/* Pointer values for entries that are no page. None of them is ever dereferenced: h_head() sees them first. */
#define H_POISON ((struct page *)0x5a5a5a5a5a5a5a58UL)
#define H_END ((struct page *)0x6b6b6b6b6b6b6b68UL)

enum { F_NULL = 1, F_ERR, F_POISON, F_END, F_UAF, F_DEADLOCK, F_ATOMIC, F_BUG };
enum { E_DIRTY = 1, E_SLEEP, E_LOCK, E_UNLOCK, E_FREE, E_IDLE, E_WARN, E_UNDERFLOW, E_FREEPINNED };

static void h_event(int what, struct page *page);

static void h_die(int what, struct page *page)
{
	h_fault[0] = what;
	h_fault[1] = page ? (unsigned char)(page - mem_map) : 0;
	longjmp(h_out, 1);
}

/* The head of a page; a pointer that is no page ends the run. */
static struct page *h_head(const struct page *page)
{
	unsigned long p = (unsigned long)page;

	if (page >= mem_map && page < mem_map + h_pages)
		return page->head;
	if (p == (unsigned long)H_POISON)
		h_die(F_POISON, NULL);
	if (p >= (unsigned long)-MAX_ERRNO)
		h_die(F_ERR, NULL);
	if (p < 65536)
		h_die(F_NULL, NULL);
	h_die(F_END, NULL);
	return NULL;
}

/* A change of this page. */
static struct page *h_change(const struct page *page)
{
	struct page *head = h_head(page);

	if (head->freed)
		h_die(F_UAF, head);
	return head;
}

static struct page *h_owner(const void *field)
{
	size_t at = (const char *)field - (const char *)mem_map;

	return h_change(mem_map + at / sizeof(struct page));
}

static void h_free(struct page *page);

#define compound_head(p) h_head(p)
#define page_folio(p) ((struct folio *)h_head((const struct page *)(p)))
#define folio_page(f, n) (&(f)->page + (n))
#define PageTail(p) (h_head(p) != (p))
#define PageCompound(p) (h_head(p)->order > 0)
#define PageHead(p) (h_head(p) == (p) && (p)->order > 0)
#define compound_order(p) (h_head(p)->order)
#define folio_test_large(f) (h_head(&(f)->page)->order > 0)
#define folio_nr_pages(f) (1UL << (f)->page.order)
#define nth_page(p, n) ((p) + (n))
#define folio_page_idx(f, p) ((p) - &(f)->page)
#define page_to_pfn(p) ((unsigned long)((p) - mem_map))
#define is_zero_pfn(pfn) ((pfn) == h_zero_pfn)
#define page_is_fake_head(p) 0

/* ---- warnings and bugs ---- */
#define WARN_ON_ONCE(c) ({ bool w_ = !!(c); if (w_) h_event(E_WARN, NULL); w_; })
#define WARN_ON(c) WARN_ON_ONCE(c)
#define BUG_ON(c) do { if (c) h_die(F_BUG, NULL); } while (0)
/* CONFIG_DEBUG_VM is off */
#define VM_BUG_ON(c) ((void)0)
#define VM_BUG_ON_PAGE(c, p) ((void)0)
#define VM_BUG_ON_FOLIO(c, f) ((void)0)
#define VM_WARN_ON_ONCE(c) ((void)0)
#define VM_WARN_ON_ONCE_FOLIO(c, f) ((void)0)

/* ---- atomic counters ---- */
static int h_sub(int n, atomic_t *v)
{
	struct page *head = h_owner(v);

	v->counter = (int)((unsigned int)v->counter - (unsigned int)n);
	if (v->counter < 0)
		h_event(E_UNDERFLOW, head);
	return v->counter;
}

static int h_add(int n, atomic_t *v)
{
	h_owner(v);
	v->counter = (int)((unsigned int)v->counter + (unsigned int)n);
	return v->counter;
}

#define atomic_read(v) ((v)->counter)
#define atomic_add(n, v) ((void)h_add(n, v))
#define atomic_inc(v) ((void)h_add(1, v))
#define atomic_inc_return(v) h_add(1, v)
#define atomic_sub(n, v) ((void)h_sub(n, v))
#define atomic_dec(v) ((void)h_sub(1, v))
#define atomic_sub_return(n, v) h_sub(n, v)
#define atomic_dec_return(v) h_sub(1, v)
#define atomic_sub_and_test(n, v) (h_sub(n, v) == 0)
#define atomic_dec_and_test(v) (h_sub(1, v) == 0)
#define atomic_add_unless(v, n, u) ((v)->counter == (u) ? false : (h_add(n, v), true))
#define smp_mb__after_atomic() ((void)0)
#define rcu_read_lock() ((void)0)
#define rcu_read_unlock() ((void)0)
#define irqs_disabled() 1
#define page_ref_tracepoint_active(x) 0
#define __page_ref_set(p, v) ((void)0)
#define __page_ref_mod(p, v) ((void)0)
#define __page_ref_mod_and_test(p, v, r) ((void)0)
#define __page_ref_mod_and_return(p, v, r) ((void)0)
#define __page_ref_mod_unless(p, v, u) ((void)0)
#define GUP_PIN_COUNTING_BIAS H_BIAS
#define folio_pincount_ptr(f) (&(f)->_pincount)
#define compound_pincount_ptr(p) (&(p)->_pincount)
#define compound_pincount(p) (h_head(p)->_pincount.counter)
#define folio_has_pincount(f) folio_test_large(f)

/* ---- statistics ---- */
enum { NR_FOLL_PIN_ACQUIRED = 1, NR_FOLL_PIN_RELEASED, NR_FILE_DIRTY };
#define page_pgdat(p) ((void)h_head(p), (struct pglist_data *)NULL)
static void mod_node_page_state(struct pglist_data *pgdat, int item, long n)
{
	(void)pgdat;
	*(item == NR_FOLL_PIN_ACQUIRED ? &h_acquired : &h_released) += n;
}
#define node_stat_mod_folio(f, item, n) mod_node_page_state(page_pgdat(&(f)->page), item, n)

/* ---- flags ---- */
#define PG_locked 0
#define folio_flags(f, n) (&(f)->page.flags)
#define PageDirty(p) (h_head(p)->dirty)
#define TestSetPageDirty(p) ({ struct page *d_ = h_change(p); bool o_ = d_->dirty; d_->dirty = true; o_; })
#define SetPageDirty(p) ((void)(h_change(p)->dirty = true))
#define folio_test_dirty(f) PageDirty(&(f)->page)
#define folio_test_set_dirty(f) TestSetPageDirty(&(f)->page)
#define PageLocked(p) (h_head(p)->locker != 0)
#define folio_test_locked(f) PageLocked(&(f)->page)
#define PageUptodate(p) 1
#define folio_test_uptodate(f) 1
#define PagePrivate(p) (h_head(p)->has_bufs)
#define folio_test_private(f) PagePrivate(&(f)->page)
#define PageReclaim(p) 0
#define ClearPageReclaim(p) ((void)0)
#define folio_test_reclaim(f) 0
#define folio_clear_reclaim(f) ((void)0)
#define PageAnonExclusive(p) 1
#define folio_test_anon(f) 0
#define folio_test_hugetlb(f) 0
#define is_migrate_cma_page(p) 0
#define is_longterm_pinnable_page(p) 1
#define folio_is_longterm_pinnable(f) 1
#define is_pci_p2pdma_page(p) 0
#define is_device_private_page(p) 0
#define FOLL_WRITE 0x01
#define FOLL_GET 0x04
#define FOLL_LONGTERM 0x10000
#define FOLL_PIN 0x40000
#define FOLL_PCI_P2PDMA 0x100000

/* ---- lock ---- */
static void might_sleep(void)
{
	h_event(E_SLEEP, NULL);
	if (h_atomic)
		h_die(F_ATOMIC, NULL);
}

static int test_and_set_bit_lock(int nr, unsigned long *flags)
{
	struct page *head = h_owner(flags);

	(void)nr;
	if (head->locker)
		return 1;
	head->locker = 1;
	h_event(E_LOCK, head);
	return 0;
}

static void __lock_page(struct page *page)
{
	struct page *head = h_change(page);

	if (head->locker == 1)
		h_die(F_DEADLOCK, head);
	head->locker = 1; /* the other one has unlocked by now */
	h_event(E_LOCK, head);
}
#define __folio_lock(f) __lock_page(&(f)->page)

static void unlock_page(struct page *page)
{
	struct page *head = h_change(page);

	if (!head->locker)
		h_die(F_BUG, NULL);
	head->locker = 0;
	h_event(E_UNLOCK, head);
}
#define folio_unlock(f) unlock_page(&(f)->page)
#define spin_lock(l) ((void)(l))
#define spin_unlock(l) ((void)(l))
#define spin_lock_irqsave(l, f) ((void)(l), (f) = 0)
#define spin_unlock_irqrestore(l, f) ((void)(l), (void)(f))
#define xa_lock_irqsave(l, f) ((f) = 0)
#define xa_unlock_irqrestore(l, f) ((void)(f))
#define unlock_page_lruvec_irqrestore(l, f) ((void)(l), (void)(f))

/* ---- freeing ---- */
static void h_free(struct page *page)
{
	struct page *head = h_change(page);

	head->freed = true;
	h_event(E_FREE, head);
	if (head->_pincount.counter != 0 && head->order > 0)
		h_event(E_FREEPINNED, head);
}
#define __put_page(p) h_free(p)
#define __put_compound_page(p) h_free(p)
#define __folio_put(f) h_free(&(f)->page)
#define __folio_put_large(f) h_free(&(f)->page)
#define free_huge_folio(f) h_free(&(f)->page)
#define free_zone_device_page(p) h_free(p)
#define free_zone_device_folio(f) h_free(&(f)->page)
#define __page_cache_release(f, l, fl) ((void)(l), (void)(fl), h_free(&(f)->page))
static void list_add(struct list_head *entry, struct list_head *list)
{
	(void)list;
	h_free(container_of(entry, struct page, lru));
}
#define mem_cgroup_uncharge_list(l) ((void)(l))
#define free_unref_page_list(l) ((void)(l))
#define mem_cgroup_uncharge_folios(b) ((void)(b))
#define free_unref_folios(b) ((void)(b))
#define folio_unqueue_deferred_split(f) ((void)(f))
#define folio_undo_large_rmappable(f) ((void)(f))
#define PageLRU(p) 0
#define folio_test_lru(f) 0
#define __ClearPageLRU(p) ((void)0)
#define __ClearPageActive(p) ((void)0)
#define __ClearPageWaiters(p) ((void)0)
#define __folio_clear_lru_flags(f) ((void)0)
#define del_page_from_lru_list(p, l, n) ((void)0)
#define page_off_lru(p) 0
#define mem_cgroup_page_lruvec(p, d) ((struct lruvec *)NULL)
#define mem_cgroup_uncharge(p) ((void)0)
#define lruvec_del_folio(l, f) ((void)0)
#define folio_lruvec_relock_irqsave(f, l, fl) ((void)(fl), (struct lruvec *)NULL)

/* ---- device pages ---- */
static int devmap_managed_key;
#define static_branch_unlikely(k) ((void)(k), 1)
#define is_zone_device_page(p) (h_head(p)->device)
#define folio_is_zone_device(f) is_zone_device_page(&(f)->page)
static void h_idle(struct page *page)
{
	h_event(E_IDLE, h_head(page));
}
#define wake_up_var(field) h_idle(h_owner(field))
static void h_page_free(struct page *page, void *data)
{
	(void)data;
	h_idle(page);
}
static const struct dev_pagemap_ops h_pagemap_ops = { h_idle };
static struct dev_pagemap h_pagemap = { MEMORY_DEVICE_FS_DAX, h_page_free, NULL, &h_pagemap_ops };

/* ---- encoded pages, folio batches ---- */
struct encoded_page;
#define ENCODED_PAGE_BITS 3ul
#define ENCODED_PAGE_BIT_NR_PAGES_NEXT 2ul
/* A page array holds plain pointers; an errno is one too, whatever its low bits. */
#define encoded_page_ptr(e) ((struct page *)(e))
#define encoded_page_flags(e) 0ul
#define encoded_nr_pages(e) ((unsigned long)(e) >> 2)
typedef union {
	struct page **pages;
	struct folio **folios;
	struct encoded_page **encoded_pages;
} release_pages_arg __attribute__((__transparent_union__));
#define folio_batch_init(b) ((b)->nr = 0)
#define folio_batch_reinit(b) ((b)->nr = 0)
#define folio_batch_add(b, f) ((b)->folios[(b)->nr++] = (f), (unsigned int)(PAGEVEC_SIZE - (b)->nr))

/* ---- file systems ---- */
static struct inode h_inode;
#define PAGECACHE_TAG_DIRTY 0
#define I_DIRTY_PAGES 0
static struct address_space *page_mapping(struct page *page)
{
	return h_head(page)->mapping;
}
#define folio_mapping(f) page_mapping(&(f)->page)
#define page_has_buffers(p) (h_head(p)->has_bufs)
#define page_buffers(p) (&h_head(p)->bufs[0])
#define folio_buffers(f) ((f)->page.has_bufs ? &(f)->page.bufs[0] : NULL)
#define set_buffer_dirty(b) ((void)(h_owner(b), (b)->dirty = true))
static struct page *h_tagging;
#define page_index(p) (h_tagging = h_change(p), 0)
#define folio_index(f) page_index(&(f)->page)
#define __xa_set_mark(xa, index, mark) ((void)(index), (void)(h_tagging->tagged = true))
#define lock_page_memcg(p) ((void)0)
#define unlock_page_memcg(p) ((void)0)
#define folio_memcg_lock(f) ((void)0)
#define folio_memcg_unlock(f) ((void)0)
#define account_page_dirtied(p, m) ((void)0)
#define folio_account_dirtied(f, m) ((void)0)
#define __mark_inode_dirty(i, f) ((void)(i))

/* Entry points that write the event, around the cut functions. */
int set_page_dirty(struct page *page);
bool folio_mark_dirty(struct folio *folio);
