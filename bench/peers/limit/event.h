/* event.h: one Kafka message to one event. */
#ifndef EVENT_H
#define EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_PRODUCT_BYTES 512

typedef struct Event
{
	bool		is_view;		/* a page_view: the only type that lists and trending know */
	int64_t		user;
	int64_t		at;				/* microseconds since 1970 */
	const char *product;		/* within the message, or decoded; not terminated */
	int			product_length;
	char		decoded[MAX_PRODUCT_BYTES]; /* room for a product with escapes */
} Event;

/* False: the message is one that reco refuses.  message_ms: the message's own time. */
extern bool event_parse(const char *text, size_t length, int64_t message_ms, Event *event);

#endif
