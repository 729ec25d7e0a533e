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

/* Scratch space of the process: slots by category, marks by product. */
static Slot *slot_of = NULL;
static int32 slots = 0;
static uint32 *viewed = NULL;	/* = mark: viewed */
static int32 viewed_size = 0;
static uint32 mark = 0;			/* of the present list; nothing is cleared in between */
static uint64 maybe_viewed;		/* bit number % 64: spares most looks at viewed */

static void *
grow(void *array, int32 *size, int32 needed, Size element)
{
	int32		wanted = Max(needed, Max(1024, *size * 2));

	if (array == NULL)
		array = MemoryContextAllocHuge(TopMemoryContext, wanted * element);
	else
		array = repalloc_huge(array, wanted * element);
	memset((char *) array + *size * element, 0, (wanted - *size) * element);
	*size = wanted;
	return array;
}

static void
next_mark(void)
{
	if (++mark == 0)
	{
		memset(viewed, 0, viewed_size * sizeof(uint32));
		memset(slot_of, 0, slots * sizeof(Slot));
		mark = 1;
	}
}

static void
mark_viewed(const RecoRecent *recent)
{
	maybe_viewed = 0;
	for (int i = 0; i < recent->count; i++)
	{
		int32		number = recent->views[i].number;

		maybe_viewed |= UINT64CONST(1) << (number % 64);
		if (number >= viewed_size)
			viewed = grow(viewed, &viewed_size, number + 1, sizeof(uint32));
		viewed[number] = mark;
	}
}

static bool
is_viewed(int32 number)
{
	return (maybe_viewed >> (number % 64) & 1) != 0 &&
		number < viewed_size && viewed[number] == mark;
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
		categories[i] = reco_product_category(recent->views[i].number);
	for (int i = 0; i < recent->count; i++)
	{
		int32		category = categories[i];

		if (category == RECO_NO_CATEGORY)
			continue;
		if (category >= slots)
			slot_of = grow(slot_of, &slots, category + 1, sizeof(Slot));
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

/* Most viewed first. */
#define ST_SORT sort_interests
#define ST_ELEMENT_TYPE Interest
#define ST_COMPARE(a, b) ((b)->views - (a)->views)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

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
	mark_viewed(recent);
	sort_interests(interests, count);
	for (int first = 0, end; more && first < count && first < state->top_categories; first = end)
	{
		for (end = first; end < count && interests[end].views == interests[first].views; end++)
			interests[end].list = reco_product_list(interests[end].category);
		more = append_group(list, &interests[first], end - first, state->max_recommendations);
	}
	pfree(interests);
}
