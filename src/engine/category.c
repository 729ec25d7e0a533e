/*-------------------------------------------------------------------------
 *
 * category.c
 *	  The products of a category, in order.
 *
 * Touches memory only, but for ids that product_dictionary.c has not cached.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "engine/category.h"
#include "engine/product_dictionary.h"
#include "utils/memutils.h"

static void *
category_grow(void *array, MemoryContext context, Size size)
{
	return array == NULL ? MemoryContextAlloc(context, size) : repalloc_huge(array, size);
}

/* Append a product; arrays that are made live in the context. */
void
reco_category_append(RecoCategory *category, MemoryContext context,
					 RecoProduct product, int64 popularity)
{
	if (category->count == category->size)
	{
		int			size = Max(16, category->size * 2);

		category->products = category_grow(category->products, context, size * sizeof(RecoProduct));
		category->popularity = category_grow(category->popularity, context, size * sizeof(int64));
		category->size = size;
	}
	category->popularity[category->count] = popularity;
	category->products[category->count++] = product;
}

/* Put a product where it belongs. */
void
reco_category_insert(RecoCategory *category, MemoryContext context,
					 RecoProduct product, int64 popularity)
{
	int			at;

	reco_category_append(category, context, product, popularity);
	for (at = category->count - 1; at > 0; at--)
		if (reco_category_compare(category, category->count - 1, category, at - 1) > 0)
			break;
	memmove(&category->products[at + 1], &category->products[at],
			(category->count - 1 - at) * sizeof(RecoProduct));
	memmove(&category->popularity[at + 1], &category->popularity[at],
			(category->count - 1 - at) * sizeof(int64));
	category->products[at] = product;
	category->popularity[at] = popularity;
}

/* Where a product stands; -1: it does not. */
int
reco_category_find(const RecoCategory *category, int32 number)
{
	for (int i = 0; i < category->count; i++)
		if (category->products[i].number == number)
			return i;
	return -1;
}

/* Take a product out, if it is there. */
void
reco_category_remove(RecoCategory *category, int32 number)
{
	int			at = reco_category_find(category, number);
	int			after = category->count - at - 1;

	if (at < 0)
		return;
	memmove(&category->products[at], &category->products[at + 1], after * sizeof(RecoProduct));
	memmove(&category->popularity[at], &category->popularity[at + 1], after * sizeof(int64));
	category->count--;
}

/* Which of two products comes first in a list, all else being equal? */
int
reco_category_compare(const RecoCategory *a, int i, const RecoCategory *b, int j)
{
	const RecoProduct *x = &a->products[i];
	const RecoProduct *y = &b->products[j];

	if (x->order != 0 && y->order != 0)
		return x->order - y->order;
	if (a->popularity[i] != b->popularity[j])
		return a->popularity[i] > b->popularity[j] ? -1 : 1;
	return reco_dictionary_compare(x->number, y->number);
}
