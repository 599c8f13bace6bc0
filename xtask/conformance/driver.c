/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads sequences of calls, runs them on the functions above, answers with a hash of all that was observed (counters,
 * flags, results, events, fault) after every call, or with the observations themselves. Our own text.
 */
static unsigned char h_log[1 << 16];
static unsigned int h_len;
static bool h_verbose;
static uint64_t h_hash;

static void h_put(unsigned char byte)
{
	h_hash = (h_hash ^ byte) * 0x100000001b3ULL;
	if (h_verbose && h_len < sizeof(h_log))
		h_log[h_len++] = byte;
}

static void h_put32(int value)
{
	for (int i = 0; i < 4; i++)
		h_put((unsigned int)value >> (8 * i));
}

static void h_event(int what, struct page *page)
{
	h_put(0xe0);
	h_put(what);
	h_put(page ? page - mem_map : 0xff);
}

#if HAVE_folio_mark_dirty
bool folio_mark_dirty(struct folio *folio)
{
	h_change(&folio->page);
	h_event(E_DIRTY, &folio->page);
	return cut_folio_mark_dirty(folio);
}
#if HAVE_set_page_dirty
int set_page_dirty(struct page *page)
{
	return cut_set_page_dirty(page);
}
#endif
#elif HAVE_set_page_dirty
int set_page_dirty(struct page *page)
{
	h_event(E_DIRTY, h_change(page));
	return cut_set_page_dirty(page);
}
#endif

#if HAVE_folio_mark_dirty
static const struct address_space_operations h_aops[] = {
	{ .dirty_folio = ext4_dirty_folio },
	{ .dirty_folio = filemap_dirty_folio },
	{ .dirty_folio = noop_dirty_folio },
	{ .dirty_folio = noop_dirty_folio },
};
#else
static const struct address_space_operations h_aops[] = {
	{ .set_page_dirty = ext4_set_page_dirty },
	{ .set_page_dirty = __set_page_dirty_nobuffers },
	{ .set_page_dirty = noop_set_page_dirty },
	{ .set_page_dirty = hugetlbfs_set_page_dirty },
};
#endif
static struct address_space h_spaces[4];

enum {
	OP_GET_PAGE, OP_GET_SLOW, OP_GET_FAST, OP_PIN_SLOW, OP_PIN_FAST, OP_PUT_PAGE, OP_PUT_USER_PAGE, OP_PUT_USER_PAGES,
	OP_PUT_USER_PAGES_DIRTY, OP_PUT_USER_PAGES_DIRTY_LOCK, OP_UNPIN_USER_PAGE, OP_UNPIN_USER_PAGES,
	OP_UNPIN_USER_PAGES_DIRTY_LOCK, OP_UNPIN_RANGE, OP_UNPIN_FOLIO, OP_UNPIN_FOLIOS, OP_UNPIN_USER_FOLIO,
	OP_RELEASE_PAGES, OP_SET_PAGE_DIRTY, OP_SET_PAGE_DIRTY_LOCK, OP_SET_PAGE_DIRTY_FLAG, OP_FOLIO_ADD_PIN,
	OP_LOCK_PAGE, OP_UNLOCK_PAGE, OP_TRYLOCK_PAGE, OP_MAYBE_PINNED, OP_FOLIO_PUT,
};

#define ENTRIES 64
static struct page *h_array[ENTRIES + 512];

static int h_grab_slow(struct page *page, unsigned int flags)
{
#if HAVE_try_grab_folio_fast
	return try_grab_folio(page_folio(page), 1, flags) == 0;
#elif HAVE_try_grab_page
	return try_grab_page(page, flags);
#else
	return try_get_page(page);
#endif
}

static int h_grab_fast(struct page *page, int refs, unsigned int flags)
{
#if HAVE_try_grab_folio_fast
	return try_grab_folio_fast(page, refs, flags) != NULL;
#elif HAVE_try_grab_folio
	return try_grab_folio(page, refs, flags) != NULL;
#elif HAVE_try_grab_compound_head
	return try_grab_compound_head(page, refs, flags) != NULL;
#else
	return try_get_compound_head(page, refs) != NULL;
#endif
}

static int h_call(int op, int flag, long n, struct page **pages)
{
	struct page *page = pages[0];

	switch (op) {
	case OP_GET_PAGE: get_page(page); return 0;
	case OP_GET_SLOW: return h_grab_slow(page, FOLL_GET);
	case OP_GET_FAST: return h_grab_fast(page, n, FOLL_GET);
	case OP_PIN_SLOW: return h_grab_slow(page, FOLL_PIN);
	case OP_PIN_FAST: return h_grab_fast(page, n, FOLL_PIN);
	case OP_PUT_PAGE: put_page(page); return 0;
#if HAVE_put_user_page
	case OP_PUT_USER_PAGE: put_user_page(page); return 0;
#endif
#if HAVE_put_user_pages
	case OP_PUT_USER_PAGES: put_user_pages(pages, n); return 0;
#endif
#if HAVE_put_user_pages_dirty
	case OP_PUT_USER_PAGES_DIRTY: put_user_pages_dirty(pages, n); return 0;
#endif
#if HAVE_put_user_pages_dirty_lock && DIRTY_LOCK_ARITY == 2
	case OP_PUT_USER_PAGES_DIRTY_LOCK: put_user_pages_dirty_lock(pages, n); return 0;
#elif HAVE_put_user_pages_dirty_lock
	case OP_PUT_USER_PAGES_DIRTY_LOCK: put_user_pages_dirty_lock(pages, n, flag); return 0;
#endif
#if HAVE_unpin_user_page
	case OP_UNPIN_USER_PAGE: unpin_user_page(page); return 0;
#endif
#if HAVE_unpin_user_pages
	case OP_UNPIN_USER_PAGES: unpin_user_pages(pages, n); return 0;
#endif
#if HAVE_unpin_user_pages_dirty_lock
	case OP_UNPIN_USER_PAGES_DIRTY_LOCK: unpin_user_pages_dirty_lock(pages, n, flag); return 0;
#endif
#if HAVE_unpin_user_page_range_dirty_lock
	case OP_UNPIN_RANGE: unpin_user_page_range_dirty_lock(page, n, flag); return 0;
#endif
#if HAVE_unpin_folio
	case OP_UNPIN_FOLIO: unpin_folio((struct folio *)page); return 0;
#endif
#if HAVE_unpin_folios
	case OP_UNPIN_FOLIOS: unpin_folios((struct folio **)pages, n); return 0;
#endif
#if HAVE_unpin_user_folio
	case OP_UNPIN_USER_FOLIO: unpin_user_folio((struct folio *)page, n); return 0;
#endif
#if HAVE_release_pages
	case OP_RELEASE_PAGES: release_pages(pages, n); return 0;
#endif
#if HAVE_set_page_dirty
	case OP_SET_PAGE_DIRTY: set_page_dirty(page); return 0;
#endif
#if HAVE_set_page_dirty_lock
	case OP_SET_PAGE_DIRTY_LOCK: set_page_dirty_lock(page); return 0;
#endif
	case OP_SET_PAGE_DIRTY_FLAG: SetPageDirty(page); return 0;
#if HAVE_folio_add_pin
	case OP_FOLIO_ADD_PIN: folio_add_pin((struct folio *)page); return 0;
#endif
	case OP_LOCK_PAGE: lock_page(page); return 0;
	case OP_UNLOCK_PAGE: unlock_page(page); return 0;
	case OP_TRYLOCK_PAGE: return trylock_page(page);
#if HAVE_folio_maybe_dma_pinned
	case OP_MAYBE_PINNED: return folio_maybe_dma_pinned(page_folio(page));
#elif HAVE_page_maybe_dma_pinned
	case OP_MAYBE_PINNED: return page_maybe_dma_pinned(page);
#endif
#if HAVE_folio_put
	case OP_FOLIO_PUT: folio_put(page_folio(page)); return 0;
#endif
	default:
		fprintf(stderr, "operation %d is not compiled in\n", op);
		exit(2);
	}
}

static void h_observe(void)
{
	for (struct page *p = mem_map; p < mem_map + h_pages; p += 1u << p->order) {
		h_put32(p->_refcount.counter);
		h_put32(p->_pincount.counter);
		h_put(p->dirty | p->tagged << 1 | p->has_bufs << 2 | p->bufs[0].dirty << 3 | p->bufs[1].dirty << 4 |
		      (p->mapping != NULL) << 5 | p->freed << 6);
		h_put(p->locker);
	}
	h_put32(h_acquired);
	h_put32(h_released);
}

static const unsigned char *h_in;

static unsigned char h_u8(void)
{
	return *h_in++;
}

static long h_i64(void)
{
	int64_t v;

	memcpy(&v, h_in, 8);
	h_in += 8;
	return v;
}

static int h_i32(void)
{
	int32_t v;

	memcpy(&v, h_in, 4);
	h_in += 4;
	return v;
}

static void h_setup(void)
{
	unsigned int folios = h_u8();

	memset(mem_map, 0, sizeof(mem_map));
	h_pages = 0;
	h_acquired = h_released = 0;
	h_zero_pfn = ~0UL;
	huge_zero_page = (struct page *)1;
	huge_zero_folio = (struct folio *)1;
	for (unsigned int i = 0; i < folios; i++) {
		struct page *head = mem_map + h_pages;
		unsigned int order = h_u8(), space = h_u8(), flags = h_u8();

		for (unsigned int k = 0; k < 1u << order; k++) {
			head[k].head = head;
			head[k].device = flags & 4;
			head[k].pgmap = flags & 4 ? &h_pagemap : NULL;
		}
		head->order = order;
		head->locker = h_u8();
		head->dirty = flags & 1;
		head->tagged = (flags & 2) != 0;
		head->has_bufs = (flags & 8) != 0;
		head->bufs[0].b_this_page = &head->bufs[1];
		head->bufs[1].b_this_page = &head->bufs[0];
		head->mapping = space < 4 ? &h_spaces[space] : NULL;
		head->_refcount.counter = h_i32();
		head->_pincount.counter = h_i32();
		if (flags & 16)
			h_zero_pfn = h_pages;
		if (flags & 32) {
			huge_zero_page = head;
			huge_zero_folio = (struct folio *)head;
		}
		h_pages += 1u << order;
	}
	h_atomic = h_u8();
}

static void h_run(void)
{
	volatile unsigned int ops;

	h_setup();
	ops = h_u8();
	h_hash = 0xcbf29ce484222325ULL;
	h_len = 0;
	for (volatile unsigned int i = 0; i < ops; i++) {
		int op = h_u8(), flag = h_u8();
		long n = h_i64();
		unsigned int len = h_u8();

		for (unsigned int k = 0; k < ENTRIES; k++)
			h_array[k] = H_END;
		for (unsigned int k = 0; k < len; k++) {
			unsigned char e = h_u8();

			h_array[k] = e == 0 ? NULL : e == 1 ? (struct page *)-14L : e == 2 ? H_POISON : mem_map + (e - 3);
		}
		memset(h_fault, 0, sizeof(h_fault));
		if (!setjmp(h_out)) {
			int result = h_call(op, flag, n, h_array);

			h_put(0xd0);
			h_put(result);
		} else {
			h_put(0xf0);
			h_put(h_fault[0]);
			h_put(h_fault[1]);
		}
		h_observe();
		if (h_fault[0])
			break;
	}
}

int main(void)
{
	static unsigned char buffer[1 << 16];
	uint32_t length;

	for (unsigned int i = 0; i < 4; i++) {
		h_spaces[i].a_ops = &h_aops[i];
		h_spaces[i].host = &h_inode;
	}
	/* Behind the array a value that equals none of its neighbours stops loops that only compare entries. */
	for (unsigned int k = ENTRIES; k < sizeof(h_array) / sizeof(h_array[0]); k++)
		h_array[k] = (struct page *)(0x6b6b6b6b6b000000UL + 8 * k);
	/* Frames: length, bytes. 0 flushes; 0xffffffff asks for the observations of the next sequence. */
	while (fread(&length, sizeof(length), 1, stdin) == 1) {
		if (length == 0) {
			fflush(stdout);
			continue;
		}
		if (length == 0xffffffffu) {
			h_verbose = true;
			continue;
		}
		if (length > sizeof(buffer) || fread(buffer, length, 1, stdin) != 1)
			return 2;
		h_in = buffer;
		h_run();
		if (h_verbose) {
			fwrite(&h_len, sizeof(h_len), 1, stdout);
			fwrite(h_log, h_len, 1, stdout);
			h_verbose = false;
		} else {
			fwrite(&h_hash, sizeof(h_hash), 1, stdout);
		}
	}
	return 0;
}
