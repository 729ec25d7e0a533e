/*-------------------------------------------------------------------------
 *
 * category_stale.c
 *	  The category strategy: does a change of products make a list stale?
 *
 * It does if the user has viewed one of the products, since the views may now
 * count for another category; if the list contains one; or if one would get
 * into the list.  The last case requires that the user has viewed the
 * product's category, and that the list has room, or ends with a product that
 * ranks lower: one in a category with fewer views, or in one with as many
 * views and less popular.  Otherwise neither the order of the user's
 * categories nor that of the list's products changes.
 *
 * If a product that is not popular moves, with 100,000 products and a million
 * users, some 200 lists are stale, although 20,000 users have viewed
 * something in one of its two categories.
 *
 * Only what the change leaves as it is is looked up in the product cache,
 * which may be that of before the change or after it.  Products that are not
 * cached are looked up by SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "engine/product_cache.h"
#include "engine/product_dictionary.h"
#include "lists/category_stale.h"

/* A category, and the best of the changed products that will be in it. */
typedef struct StaleCategory
{
	bool		entered;		/* false: there is none */
	int32		number;			/* of it */
	int64		popularity;
	int32		views;			/* of the user being checked, in this category */
} StaleCategory;

struct RecoStale
{
	int			max;			/* products of a list; 0: no limit */
	bool	   *changed;		/* by product number */
	int32		changed_size;
	StaleCategory *categories;	/* by category */
	int32		categories_size;
};

/* Does a product come before another one of the same rank?  True if unknown. */
static bool
stale_comes_before(int64 popularity, int32 number, int64 other_popularity, int32 other)
{
	if (popularity != other_popularity)
		return popularity > other_popularity;
	return number == RECO_NO_NUMBER || (other != RECO_NO_NUMBER && reco_dictionary_compare(number, other) < 0);
}

/* A damaged list may contain any number. */
static inline bool
stale_is_changed(const RecoStale *stale, int32 number)
{
	return number < 0 || (number < stale->changed_size && stale->changed[number]);
}

/* Note a product that will be in its category. */
static void
stale_enter(StaleCategory *category, const RecoProductDelta *product)
{
	if (!category->entered || stale_comes_before(product->popularity, product->number,
												 category->popularity, category->number))
		*category = (StaleCategory) {.entered = true,.number = product->number,.popularity = product->popularity};
}

RecoStale *
reco_category_stale_index(const RecoState *state, const RecoProductDelta *products, int n)
{
	RecoStale  *stale = palloc0(sizeof(RecoStale));

	stale->max = state->max_recommendations;
	for (int i = 0; i < n; i++)
	{
		stale->changed_size = Max(stale->changed_size, products[i].number + 1);
		stale->categories_size = Max(stale->categories_size, products[i].category + 1);
	}
	stale->changed = palloc_extended(Max(1, stale->changed_size) * sizeof(bool), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	stale->categories = palloc0(Max(1, stale->categories_size) * sizeof(StaleCategory));
	for (int i = 0; i < n; i++)
	{
		if (products[i].number != RECO_NO_NUMBER)
			stale->changed[products[i].number] = true;
		if (products[i].category != RECO_NO_CATEGORY)
			stale_enter(&stale->categories[products[i].category], &products[i]);
	}
	return stale;
}

/* The category of a viewed product; NULL if the index does not contain it. */
static inline StaleCategory *
stale_category_of(const RecoStale *stale, int32 number)
{
	int32		category = reco_product_category(number);

	return category >= 0 && category < stale->categories_size ? &stale->categories[category] : NULL;
}

/* Add a user's views to the views of the categories. */
static void
stale_count_views(const RecoStale *stale, const RecoHistory *recent, int sign)
{
	for (int i = 0; i < recent->count; i++)
	{
		StaleCategory *category = stale_category_of(stale, recent->views[i].number);

		if (category != NULL)
			category->views += sign;
	}
}

/* The number of the user's views in a category, which may be missing from the index. */
static int32
stale_views_in(const RecoStale *stale, const RecoHistory *recent, int32 category)
{
	int32		views = 0;

	if (category < stale->categories_size)
		return stale->categories[category].views;
	for (int i = 0; i < recent->count; i++)
		views += reco_product_category(recent->views[i].number) == category;
	return views;
}

/* Would a product that enters come before the last one of the list? */
static bool
stale_gets_in(const RecoStale *stale, const RecoHistory *recent, int32 last)
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
	views = stale_views_in(stale, recent, category);
	for (int i = 0; i < recent->count; i++)
	{
		const StaleCategory *entering = stale_category_of(stale, recent->views[i].number);

		if (entering != NULL && entering->entered &&
			(entering->views > views ||
			 (entering->views == views &&
			  stale_comes_before(entering->popularity, entering->number, popularity, last))))
			return true;
	}
	return false;
}

bool
reco_category_is_stale(const RecoStale *stale, const RecoHistory *recent, const RecoList *list)
{
	bool		entered = false;
	bool		result;

	for (int i = 0; i < recent->count; i++)
	{
		const StaleCategory *category;

		if (stale_is_changed(stale, recent->views[i].number))
			return true;
		category = stale_category_of(stale, recent->views[i].number);
		entered |= category != NULL && category->entered;
	}
	for (int i = 0; i < list->count; i++)
		if (stale_is_changed(stale, list->numbers[i]))
			return true;
	if (!entered)
		return false;
	if (stale->max == 0 || list->count < stale->max)
		return true;
	stale_count_views(stale, recent, 1);
	result = stale_gets_in(stale, recent, list->numbers[list->count - 1]);
	stale_count_views(stale, recent, -1);
	return result;
}

/* Does x enter every list that y would enter? */
static bool
stale_is_as_good(const StaleCategory *x, const StaleCategory *y)
{
	return x->entered && (x->popularity > y->popularity ||
						  (x->popularity == y->popularity && (x->number == y->number || x->number == RECO_NO_NUMBER)));
}

bool
reco_category_stale_covers(const RecoStale *stale, const RecoStale *other)
{
	for (int32 i = 0; i < other->categories_size; i++)
	{
		if (other->categories[i].entered &&
			(i >= stale->categories_size || !stale_is_as_good(&stale->categories[i], &other->categories[i])))
			return false;
	}
	return true;
}
