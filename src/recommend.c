/*-------------------------------------------------------------------------
 *
 * recommend.c
 *	  From a user's recent views to the list of recommended products.
 *
 * A list is a function of the recent views and of the mirror: the user's most
 * viewed categories, down to rank state->top_categories with all that tie;
 * from them, category by category of better rank first, the most popular
 * products that the user has not viewed.  Categories of the same rank are
 * merged by popularity.  Does no I/O but what product.h does to load the
 * mirror.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "port/pg_bitutils.h"
#include "product.h"
#include "recommend.h"
#include "utils/memutils.h"

/* A category that the user viewed, and how far its products are taken. */
typedef struct Interest
{
	int32		category;
	int			views;
	int			next;
	const RecoCategory *list;
} Interest;

/* Where a category stands among the interests; good if mark is the present one. */
typedef struct Slot
{
	uint32		mark;
	int32		interest;
} Slot;

/* Scratch space of the process: slots by category. */
static Slot *slot_of = NULL;
static int32 slots = 0;
static uint32 mark = 0;			/* of the present list; nothing is cleared in between */

/*
 * The products viewed, by open addressing; as small as can be, so that it
 * stays in the processor's first cache.  Marks by product number did not.
 */
#define NO_PRODUCT (-1)
static int32 *viewed = NULL;
static uint32 viewed_size = 0;	/* a power of 2 */
static uint32 viewed_mask = 0;	/* of the part in use */

static void
grow_slots(int32 needed)
{
	int32		wanted = Max(needed, Max(1024, slots * 2));

	if (slot_of == NULL)
		slot_of = MemoryContextAllocHuge(TopMemoryContext, wanted * sizeof(Slot));
	else
		slot_of = repalloc_huge(slot_of, wanted * sizeof(Slot));
	memset(slot_of + slots, 0, (wanted - slots) * sizeof(Slot));
	slots = wanted;
}

static void
next_mark(void)
{
	if (++mark == 0)
	{
		memset(slot_of, 0, slots * sizeof(Slot));
		mark = 1;
	}
}

/* Where a product stands among the viewed ones, or would. */
static inline uint32
viewed_slot(int32 number)
{
	uint32		slot = ((uint32) number * 0x9E3779B1U) >> 7 & viewed_mask;

	while (viewed[slot] != number && viewed[slot] != NO_PRODUCT)
		slot = (slot + 1) & viewed_mask;
	return slot;
}

static void
note_viewed(const RecoRecent *recent)
{
	uint32		size = pg_nextpower2_32(Max(16, recent->count) * 4);

	if (size > viewed_size)
	{
		if (viewed != NULL)
			pfree(viewed);
		viewed = NULL;
		viewed_size = 0;
		viewed = MemoryContextAllocHuge(TopMemoryContext, size * sizeof(int32));
		viewed_size = size;
	}
	viewed_mask = size - 1;
	memset(viewed, 0xFF, size * sizeof(int32));
	for (int i = 0; i < recent->count; i++)
		viewed[viewed_slot(recent->views[i].number)] = recent->views[i].number;
}

static bool
is_viewed(int32 number)
{
	return viewed[viewed_slot(number)] == number;
}

/*
 * Count the views of each category; returns the number of categories.  All are
 * looked up first: so the processor waits for its misses side by side.
 */
static int
count_interests(const RecoRecent *recent, Interest *interests)
{
	int32	   *categories = palloc(recent->count * sizeof(int32));
	int			count = 0;

	for (int i = 0; i < recent->count; i++)
		categories[i] = recent->views[i].number;
	reco_product_categorize(categories, recent->count);
	for (int i = 0; i < recent->count; i++)
	{
		int32		category = categories[i];

		if (category == RECO_NO_CATEGORY)
			continue;
		if (category >= slots)
			grow_slots(category + 1);
		if (slot_of[category].mark != mark)
		{
			interests[count] = (Interest) {.category = category};
			slot_of[category] = (Slot) {mark, count++};
		}
		interests[slot_of[category].interest].views++;
	}
	pfree(categories);
	return count;
}

/*
 * Put the most viewed of the interests from first on before the others;
 * returns where those end.  A few ranks are asked for, which need no sort.
 */
static int
select_most_viewed(Interest *interests, int first, int count)
{
	int			most = 0;
	int			end = first;

	for (int i = first; i < count; i++)
		most = Max(most, interests[i].views);
	for (int i = first; i < count; i++)
	{
		Interest	found = interests[i];

		if (found.views < most)
			continue;
		interests[i] = interests[end];
		interests[end++] = found;
	}
	return end;
}

/* Step over viewed products; the next one, NULL at the end. */
static const RecoProduct *
peek(Interest *interest)
{
	while (interest->next < interest->list->count)
	{
		const RecoProduct *product = &interest->list->products[interest->next];

		if (!is_viewed(product->number))
			return product;
		interest->next++;
	}
	return NULL;
}

static bool
append(RecoList *list, const RecoProduct *product, int max)
{
	reco_list_append(list, product->number);
	return max == 0 || list->count < max;
}

/* Does the next product of x come before that of y? */
static inline bool
is_better(const Interest *x, const Interest *y)
{
	int32		a = x->list->products[x->next].order;
	int32		b = y->list->products[y->next].order;

	if (a != 0 && b != 0)
		return a < b;
	return reco_category_compare(x->list, x->next, y->list, y->next) < 0;
}

/* Put an interest among n others, the one with the best next product first. */
static void
insert(Interest **sorted, int n, Interest *interest)
{
	int			at = 0;

	while (at < n && is_better(sorted[at], interest))
		at++;
	memmove(&sorted[at + 1], &sorted[at], (n - at) * sizeof(Interest *));
	sorted[at] = interest;
}

/*
 * Append the products of categories of one rank; false when the list is full.
 * They are few: keeping them sorted takes half the time of a binaryheap.
 */
static bool
append_group(RecoList *list, Interest *group, int n, int max)
{
	Interest  **sorted = palloc(n * sizeof(Interest *));
	int			left = 0;
	bool		more = true;

	for (int i = 0; i < n; i++)
		if (peek(&group[i]) != NULL)
			insert(sorted, left++, &group[i]);
	while (more && left > 0)
	{
		Interest   *best = sorted[0];

		more = append(list, peek(best), max);
		best->next++;
		left--;
		memmove(sorted, sorted + 1, left * sizeof(Interest *));
		if (peek(best) != NULL)
			insert(sorted, left++, best);
	}
	pfree(sorted);
	return more;
}

/* Compute the list. */
void
reco_recommend(const RecoState *state, const RecoRecent *recent, RecoList *list)
{
	Interest   *interests = palloc(Max(1, recent->count) * sizeof(Interest));
	int			count;
	bool		more = true;

	next_mark();
	count = count_interests(recent, interests);
	list->count = 0;
	note_viewed(recent);
	for (int first = 0, end; more && first < count && first < state->top_categories; first = end)
	{
		end = select_most_viewed(interests, first, count);
		for (int i = first; i < end; i++)
			interests[i].list = reco_product_list(interests[i].category);
		more = append_group(list, &interests[first], end - first, state->max_recommendations);
	}
	pfree(interests);
}
