/*-------------------------------------------------------------------------
 *
 * touched.c
 *	  Does a change of products touch a list?
 *
 * It does if the user has viewed one of them, since its views may count for
 * another category; if the list holds one; and if one would get into it.  That
 * takes a user who viewed its category, and a list with room or whose last
 * product comes after it: is in a category with fewer views, or in one with as
 * many and less popular.  Otherwise neither the order of the user's categories
 * nor that of the list's products is another one than before.
 *
 * So one product of 100,000 that moves touches some 200 lists of a million, if it is not
 * popular, where 20,000 users viewed something of its two categories.
 *
 * But for reco_touched_enter_best, only what does not change is asked of the cached
 * mirror (product_cache.h), so it may be that of before the change or after it, and reco's
 * lock is not needed.  Products that are not cached are looked up by SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "engine/product_cache.h"
#include "engine/product_dictionary.h"
#include "lists/touched.h"

/* A category, and the best of the products that change and are in it then. */
typedef struct Target
{
	bool		entered;		/* there is one */
	int32		number;			/* of it */
	int64		popularity;
	int32		views;			/* of the user at hand, in this category */
} Target;

struct RecoTouched
{
	int			max;			/* products of a list; 0: no limit */
	bool	   *changed;		/* by product number */
	int32		changed_size;
	Target	   *targets;		/* by category */
	int32		targets_size;
};

/* Nothing changes yet; in the present memory context. */
RecoTouched *
reco_touched_create(int max_recommendations)
{
	RecoTouched *touched = palloc0(sizeof(RecoTouched));

	touched->max = max_recommendations;
	touched->changed_size = Max(1, reco_product_end());
	touched->changed = palloc0(touched->changed_size * sizeof(bool));
	touched->targets_size = Max(1, reco_product_categories());
	touched->targets = palloc0(touched->targets_size * sizeof(Target));
	return touched;
}

/* An array of n elements with one more of this index, new ones being zero. */
static void *
extend(void *array, Size element, int32 *n, int32 index)
{
	int32		size = Max(index + 1, *n * 2);

	if (index < *n)
		return array;
	array = repalloc_huge(array, size * element);
	memset((char *) array + *n * element, 0, (size - *n) * element);
	*n = size;
	return array;
}

/* Of the same rank, does a product come before another one?  If not known: yes. */
static bool
comes_before(int64 popularity, int32 number, int64 other_popularity, int32 other)
{
	if (popularity != other_popularity)
		return popularity > other_popularity;
	return number == RECO_NO_NUMBER || (other != RECO_NO_NUMBER && reco_number_compare(number, other) < 0);
}

/* A damaged list may hold any number. */
static inline bool
is_changed(const RecoTouched *touched, int32 number)
{
	return number < 0 || (number < touched->changed_size && touched->changed[number]);
}

/* A product changes. */
void
reco_touched_change(RecoTouched *touched, int32 number)
{
	touched->changed = extend(touched->changed, sizeof(bool), &touched->changed_size, number);
	touched->changed[number] = true;
}

static Target *
target_at(RecoTouched *touched, int32 category)
{
	touched->targets = extend(touched->targets, sizeof(Target), &touched->targets_size, category);
	return &touched->targets[category];
}

/* One of the products that change will be in a category, so popular, and may have no number yet. */
void
reco_touched_enter(RecoTouched *touched, int32 category, int32 number, int64 popularity)
{
	Target	   *target = target_at(touched, category);

	if (!target->entered || comes_before(popularity, number, target->popularity, target->number))
		*target = (Target) {.entered = true,.number = number,.popularity = popularity};
}

/* Some of the products that change are in a category, as it is cached. */
void
reco_touched_enter_best(RecoTouched *touched, int32 category)
{
	const RecoCategory *list;
	int			best = 0;

	if (target_at(touched, category)->entered)
		return;
	list = reco_product_list(category);
	while (best < list->count && !is_changed(touched, list->products[best].number))
		best++;
	if (best < list->count)
		reco_touched_enter(touched, category, list->products[best].number, list->popularity[best]);
}

/* The category of a product viewed; NULL if it has none, or one that no change knows. */
static inline Target *
target_of(const RecoTouched *touched, int32 number)
{
	int32		category = reco_product_category(number);

	return category >= 0 && category < touched->targets_size ? &touched->targets[category] : NULL;
}

/* Add to the categories' views those of a user. */
static void
count_views(const RecoTouched *touched, const RecoRecent *recent, int sign)
{
	for (int i = 0; i < recent->count; i++)
	{
		Target	   *target = target_of(touched, recent->views[i].number);

		if (target != NULL)
			target->views += sign;
	}
}

/* The user's views in a category, which no target may stand for. */
static int32
views_in(const RecoTouched *touched, const RecoRecent *recent, int32 category)
{
	int32		views = 0;

	if (category < touched->targets_size)
		return touched->targets[category].views;
	for (int i = 0; i < recent->count; i++)
		views += reco_product_category(recent->views[i].number) == category;
	return views;
}

/* Would a product that enters come before the list's last one? */
static bool
gets_in(const RecoTouched *touched, const RecoRecent *recent, int32 last)
{
	int32		category = reco_product_category(last);
	const RecoCategory *list;
	int64		popularity;
	int32		views;
	int			at;

	if (category == RECO_NO_CATEGORY)
		return true;
	list = reco_product_list(category);
	at = reco_category_find(list, last);
	if (at < 0)
		return true;
	popularity = list->popularity[at];
	views = views_in(touched, recent, category);
	for (int i = 0; i < recent->count; i++)
	{
		const Target *target = target_of(touched, recent->views[i].number);

		if (target != NULL && target->entered &&
			(target->views > views ||
			 (target->views == views &&
			  comes_before(target->popularity, target->number, popularity, last))))
			return true;
	}
	return false;
}

/* Can the list of these views be another one afterwards? */
bool
reco_touched_is(const RecoTouched *touched, const RecoRecent *recent, const RecoList *list)
{
	bool		entered = false;
	bool		result;

	for (int i = 0; i < recent->count; i++)
	{
		const Target *target;

		if (is_changed(touched, recent->views[i].number))
			return true;
		target = target_of(touched, recent->views[i].number);
		entered |= target != NULL && target->entered;
	}
	for (int i = 0; i < list->count; i++)
		if (is_changed(touched, list->numbers[i]))
			return true;
	if (!entered)
		return false;
	if (touched->max == 0 || list->count < touched->max)
		return true;
	count_views(touched, recent, 1);
	result = gets_in(touched, recent, list->numbers[list->count - 1]);
	count_views(touched, recent, -1);
	return result;
}

/* Does x enter whatever list y would enter? */
static bool
is_as_good(const Target *x, const Target *y)
{
	return x->entered && (x->popularity > y->popularity ||
						  (x->popularity == y->popularity && (x->number == y->number || x->number == RECO_NO_NUMBER)));
}

/* The same products change: does one touch all lists of users with the same views that the other does? */
bool
reco_touched_covers(const RecoTouched *touched, const RecoTouched *other)
{
	for (int32 i = 0; i < other->targets_size; i++)
	{
		if (other->targets[i].entered &&
			(i >= touched->targets_size || !is_as_good(&touched->targets[i], &other->targets[i])))
			return false;
	}
	return true;
}
