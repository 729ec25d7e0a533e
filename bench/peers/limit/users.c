/*
 * users.c: users, their views and their lists in Redis; the clock.
 *
 * A user's views stand in the order (second, product); the oldest decides when
 * the user is looked at again without an event: users stand in the list of the
 * second in which that view turns H old.  Used by one thread.
 */
#include "users.h"

#include <string.h>

#include "catalog.h"
#include "publish.h"
#include "recommend.h"
#include "windows.h"

#define SECOND INT64_C(1000000)
#define H 86400
#define RETENTION 90000
#define USER_TTL "93600"		/* H + 1 h of future + 1 h */
#define REFRESH 3600			/* a list that does not change is sent again after this */
#define DUE_LISTS 131072		/* more seconds than H and the future have */

typedef struct User
{
	int64_t		id;
	View	   *views;
	int32_t		count;
	int32_t		size;
	uint32_t	due;			/* the oldest view's second when it was entered into a due list */
	uint32_t	published_at;
	uint64_t	published;		/* hash of the list in Redis; 0: none */
	bool		dirty;
} User;

static Table user_table;
static User *users;				/* by number */
static Numbers changed;			/* users whose list may have changed */
static Numbers round_users;		/* those of them that are being published */
static int	round_next;			/* the first that is not */
static int	sweep_next;			/* users from here on have not seen the last popularity */
static int	sweep_end;
static Numbers due[DUE_LISTS];	/* users whose oldest view has this second */
static int64_t now;				/* the clock, in seconds */

static void
mark_changed(int32_t number)
{
	if (!users[number].dirty)
	{
		users[number].dirty = true;
		push(&changed, number);
	}
}

static User *
find_user(int64_t id)
{
	Slot	   *slot;

	reserve(&user_table);
	slot = find_slot(&user_table, id, NULL);
	if (!slot->number)
	{
		if ((user_table.count & (user_table.count - 1)) == 0)
			users = resize(users, (2 * user_table.count + 1) * sizeof(User));
		*slot = (Slot) {id, ++user_table.count};
		users[slot->number - 1] = (User) {.id = id};
	}
	return &users[slot->number - 1];
}

/* See to it that the user is looked at when the oldest view turns H old. */
static void
enter_due(User *user)
{
	if (user->count > 0 && user->views[0].second != user->due)
	{
		user->due = user->views[0].second;
		push(&due[user->due % DUE_LISTS], user - users);
	}
}

static void
forget_oldest(User *user, int count)
{
	user->count -= count;
	memmove(user->views, user->views + count, user->count * sizeof(View));
}

static void
add_to_user(User *user, View view)
{
	int			at;

	if (user->count == user->size)
	{
		user->size = user->size ? 2 * user->size : 4;
		user->views = resize(user->views, user->size * sizeof(View));
	}
	for (at = user->count++; at > 0; at--)
	{
		View		before = user->views[at - 1];

		if (before.second < view.second ||
			(before.second == view.second && compare_names(before.product, view.product) <= 0))
			break;
		user->views[at] = before;
	}
	user->views[at] = view;
	if (user->count > MAX_VIEWS)
		forget_oldest(user, 1);
	enter_due(user);
	mark_changed(user - users);
}

static int64_t
horizon(void)
{
	return (now - RETENTION) / WINDOW * WINDOW;
}

void
users_add_view(const Event *event)
{
	int64_t		second = (event->at + SECOND - 1) / SECOND;
	int32_t		product;

	if (event->at < horizon() * SECOND)
		return;
	product = name_number(event->product, event->product_length);
	windows_add(event->at / SECOND, product);
	if (second > now - H)
		add_to_user(find_user(event->user), (View) {second, product});
}

void
users_prefetch(int64_t user)
{
	if (user_table.slots)
		__builtin_prefetch(&user_table.slots[mix(user) & user_table.mask]);
}

/* The views of this second turn H old. */
static void
expire(uint32_t second)
{
	Numbers    *list = &due[second % DUE_LISTS];

	for (int i = 0; i < list->count; i++)
	{
		User	   *user = &users[list->items[i]];
		int			old = 0;

		while (old < user->count && user->views[old].second <= second)
			old++;
		if (old > 0)
		{
			forget_oldest(user, old);
			mark_changed(list->items[i]);
			enter_due(user);
		}
	}
	free(list->items);
	*list = (Numbers) {0};
}

bool
users_tick(int64_t second)
{
	if (second <= now)
		return false;
	for (int64_t last = now ? now : second - 1; last < second; last++)
		expire(last + 1 - H);
	now = second;
	windows_drop(horizon());
	return true;
}

/* A product's views in the windows that start within H; then all lists may change, bit by bit. */
void
users_take_popularity(void)
{
	windows_count_popularity(now - H);
	catalog_sort();
	sweep_next = 0;
	sweep_end = user_table.count;
}

static void
publish_list(const char *key, int key_length, const int32_t *list, int length)
{
	static char value[64 + MAX_LIST * (6 * MAX_PRODUCT_BYTES + 3)];
	char	   *at = stpcpy(value, "{\"user_id\":");

	at = mempcpy(at, key, key_length);
	at = stpcpy(at, ",\"recommended_products\":");
	for (int i = 0; i < length; i++)
	{
		const Name *product = &names[list[i]];

		*at++ = i == 0 ? '[' : ',';
		at = mempcpy(at, name_json(product), product->json_length);
	}
	at = stpcpy(at, "]}");
	publish_command(5);
	publish_word("SET", 3);
	publish_word(key, key_length);
	publish_word(value, at - value);
	publish_word("EX", 2);
	publish_word(USER_TTL, strlen(USER_TTL));
}

/* Publish the user's list if it is not the one in Redis, or is about to expire there. */
static void
publish_user(User *user)
{
	char		key[24];
	int			key_length = sprintf(key, "%lld", (long long) user->id);
	int32_t		list[MAX_LIST];
	int			length = recommend(user->views, user->count, list);
	uint64_t	hash = length;

	user->dirty = false;
	for (int i = 0; i < length; i++)
		hash = mix(hash ^ list[i]) + 1;
	if (hash == user->published && (length == 0 || now - user->published_at < REFRESH))
		return;
	user->published = hash;
	user->published_at = now;
	if (length > 0)
	{
		publish_list(key, key_length, list, length);
		return;
	}
	publish_command(2);
	publish_word("DEL", 3);
	publish_word(key, key_length);
}

void
users_begin_round(void)
{
	Numbers		taken = round_users;

	round_users = changed;
	round_next = 0;
	changed = taken;
	changed.count = 0;
}

bool
users_publish(int max)
{
	for (int i = 0; i < max && sweep_next < sweep_end; i++)
		mark_changed(sweep_next++);
	for (; max > 0 && round_next < round_users.count; max--)
		publish_user(&users[round_users.items[round_next++]]);
	return round_next < round_users.count;
}

bool
users_is_published(void)
{
	return changed.count == 0 && round_next == round_users.count && sweep_next == sweep_end;
}

