/*
 * recommend.c: the user's most viewed categories, and the best products of
 * these that the user has not viewed.
 */
#include "recommend.h"

#include <stdbool.h>
#include <string.h>

#include "catalog.h"

#define TOP_CATEGORIES 3

typedef struct Interest
{
	int32_t		views;
	int32_t		category;
	int32_t		head;			/* position of the best product left */
	const int32_t *next;
	const int32_t *end;
} Interest;

/* Marks by number that one user leaves behind need not be cleared: a new mark is used for the next. */
static uint32_t *viewed_mark, *category_mark;
static int32_t *interest_of;
static uint32_t mark;
static int	marks;

static void
begin_marks(const View *views, int count)
{
	for (int i = 0; i < count; i++)
	{
		int			number = views[i].product,
					size = 2 * (number > catalog_names ? number : catalog_names) + 1;

		if (number < marks)
			continue;
		viewed_mark = resize(viewed_mark, size * sizeof(uint32_t));
		category_mark = resize(category_mark, size * sizeof(uint32_t));
		interest_of = resize(interest_of, size * sizeof(int32_t));
		memset(viewed_mark + marks, 0, (size - marks) * sizeof(uint32_t));
		memset(category_mark + marks, 0, (size - marks) * sizeof(uint32_t));
		marks = size;
	}
	if (++mark == 0)
	{
		memset(viewed_mark, 0, marks * sizeof(uint32_t));
		memset(category_mark, 0, marks * sizeof(uint32_t));
		mark = 1;
	}
}

static int
by_views(const void *a, const void *b)
{
	return ((const Interest *) b)->views - ((const Interest *) a)->views;
}

/* The categories that the user viewed, most viewed first; marks the products that were. */
static int
count_interests(const View *views, int viewed, Interest *interests)
{
	int			count = 0;

	begin_marks(views, viewed);
	for (int i = 0; i < viewed; i++)
	{
		int32_t		product = views[i].product;
		int32_t		category = names[product].category;

		viewed_mark[product] = mark;
		if (category == NONE)
			continue;
		if (category_mark[category] != mark)
		{
			category_mark[category] = mark;
			interest_of[category] = count;
			interests[count++] = (Interest) {.category = category};
		}
		interests[interest_of[category]].views++;
	}
	if (count > 1)
		qsort(interests, count, sizeof(Interest), by_views);
	return count;
}

static inline void
advance(Interest *interest)
{
	for (; interest->next < interest->end; interest->next++)
	{
		if (viewed_mark[by_position[*interest->next]] != mark)
		{
			interest->head = *interest->next++;
			return;
		}
	}
	interest->head = INT32_MAX;
}

/* Append products of categories of one rank, best first; returns the list's new length. */
static int
merge(Interest *interests, int count, int32_t *list, int length)
{
	for (int i = 0; i < count; i++)
	{
		const Numbers *shelf = &shelves[interests[i].category];

		interests[i].next = shelf->items;
		interests[i].end = shelf->items + shelf->count;
		advance(&interests[i]);
	}
	while (length < MAX_LIST)
	{
		Interest   *best = interests;

		for (int i = 1; i < count; i++)
		{
			if (interests[i].head < best->head)
				best = &interests[i];
		}
		if (best->head == INT32_MAX)
			break;
		list[length++] = by_position[best->head];
		advance(best);
	}
	return length;
}

int
recommend(const View *views, int viewed, int32_t *list)
{
	Interest	interests[MAX_VIEWS];
	int			count = count_interests(views, viewed, interests);
	int			length = 0;

	for (int i = 0, next; i < count && i < TOP_CATEGORIES && length < MAX_LIST; i = next)
	{
		for (next = i + 1; next < count && interests[next].views == interests[i].views;)
			next++;
		length = merge(interests + i, next - i, list, length);
	}
	return length;
}
