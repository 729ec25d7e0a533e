/*
 * windows.c: counters by product for each hour, and the trending hashes.
 */
#include "windows.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "catalog.h"
#include "publish.h"

#define WINDOWS 64				/* more than are kept, and the future has */
#define TRENDING 10
#define WINDOW_TTL "100800"

typedef struct Window
{
	int64_t		start;			/* in seconds; 0: unused */
	uint32_t   *counts;			/* by product */
	int			size;
	uint32_t	tenth;			/* the tenth greatest count, when last published */
	bool		dirty;
} Window;

static Window windows[WINDOWS];

static Window *
find(int64_t second)
{
	int64_t		start = second / WINDOW * WINDOW;
	Window	   *window = &windows[start / WINDOW % WINDOWS];

	if (window->start == 0)
		*window = (Window) {.start = start};
	return window;
}

void
windows_add(int64_t second, int32_t product)
{
	Window	   *window = find(second);

	if (product >= window->size)
	{
		int			size = product >= catalog_names ? 2 * product : catalog_names;

		window->counts = resize(window->counts, size * sizeof(uint32_t));
		memset(window->counts + window->size, 0, (size - window->size) * sizeof(uint32_t));
		window->size = size;
	}
	if (++window->counts[product] >= window->tenth)
		window->dirty = true;
}

static void
publish_window_key(const Window *window)
{
	char		key[64];
	time_t		start = window->start;
	struct tm	tm;

	publish_word(key, strftime(key, sizeof(key), "trending:%Y-%m-%dT%H:%M:%S", gmtime_r(&start, &tm)));
}

void
windows_drop(int64_t horizon)
{
	for (Window *window = windows; window < windows + WINDOWS; window++)
	{
		if (window->start == 0 || window->start >= horizon)
			continue;
		publish_command(2);
		publish_word("DEL", 3);
		publish_window_key(window);
		free(window->counts);
		*window = (Window) {0};
	}
}

void
windows_count_popularity(int64_t after)
{
	memset(popularity, 0, catalog_names * sizeof(uint64_t));
	for (Window *window = windows; window < windows + WINDOWS; window++)
	{
		if (window->start <= after)
			continue;
		for (int product = 0; product < window->size && product < catalog_names; product++)
			popularity[product] += window->counts[product];
	}
}

/* The tenth greatest count; 0 if there are fewer. */
static uint32_t
find_tenth(const Window *window)
{
	uint32_t	top[TRENDING] = {0};

	for (int product = 0; product < window->size; product++)
	{
		uint32_t	count = window->counts[product];
		int			at = TRENDING - 1;

		if (count <= top[at])
			continue;
		for (; at > 0 && top[at - 1] < count; at--)
			top[at] = top[at - 1];
		top[at] = count;
	}
	return top[TRENDING - 1];
}

/* Replace the hash as a whole. */
static void
publish_window(Window *window)
{
	uint32_t	least;
	int			fields = 0;

	window->dirty = false;
	window->tenth = find_tenth(window);
	least = window->tenth ? window->tenth : 1;
	for (int product = 0; product < window->size; product++)
		fields += window->counts[product] >= least;

	publish_command(1);
	publish_word("MULTI", 5);
	publish_command(2);
	publish_word("DEL", 3);
	publish_window_key(window);
	publish_command(2 + 2 * fields);
	publish_word("HSET", 4);
	publish_window_key(window);
	for (int product = 0; product < window->size; product++)
	{
		char		count[16];

		if (window->counts[product] < least)
			continue;
		publish_word(name_text(&names[product]), names[product].length);
		publish_word(count, sprintf(count, "%u", window->counts[product]));
	}
	publish_command(3);
	publish_word("EXPIRE", 6);
	publish_window_key(window);
	publish_word(WINDOW_TTL, strlen(WINDOW_TTL));
	publish_command(1);
	publish_word("EXEC", 4);
}

void
windows_publish(void)
{
	for (Window *window = windows; window < windows + WINDOWS; window++)
	{
		if (window->dirty)
			publish_window(window);
	}
}
