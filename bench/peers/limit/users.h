/* users.h: users, their views and their lists in Redis; the clock. */
#ifndef USERS_H
#define USERS_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

extern void users_add_view(const Event *event);

/* The user's views are asked for soon. */
extern void users_prefetch(int64_t user);

/* Time goes on: what is H old stops counting, windows drop.  False: it is still the same second. */
extern bool users_tick(int64_t second);
extern void users_take_popularity(void);

/*
 * Publishing goes in rounds: begin one with the users that changed up to now,
 * publish up to max of them at a time until that says false.
 */
extern void users_begin_round(void);
extern bool users_publish(int max);
extern bool users_is_published(void);

#endif
