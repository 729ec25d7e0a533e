/*-------------------------------------------------------------------------
 *
 * message.c
 *	  An event of a shop as JSON.
 *
 * 80 of 100 are views; the user and the product are drawn, the time is given.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <time.h>

#include "message.h"

#define put_literal(p, text) ((char *) memcpy(p, text, sizeof(text) - 1) + sizeof(text) - 1)

static char *
put_number(char *p, uint64_t n)
{
	char		digits[20];
	int			i = sizeof(digits);

	do
		digits[--i] = '0' + n % 10;
	while ((n /= 10) > 0);
	memcpy(p, digits + i, sizeof(digits) - i);
	return p + sizeof(digits) - i;
}

/* ISO 8601 in UTC with milliseconds; the part up to the second is kept. */
static char *
put_time(char *p, int64_t ms)
{
	static int64_t known = -1;
	static char text[32];
	int			rest = (int) (ms % 1000);

	if (ms / 1000 != known)
	{
		time_t		second = ms / 1000;
		struct tm	tm;

		known = second;
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.", gmtime_r(&second, &tm));
	}
	memcpy(p, text, 20);
	p[20] = '0' + rest / 100;
	p[21] = '0' + rest / 10 % 10;
	p[22] = '0' + rest % 10;
	p[23] = 'Z';
	return p + 24;
}

static char *
put_hex(char *p, uint32_t n)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		*p++ = "0123456789abcdef"[n >> shift & 15];
	return p;
}

/* Of a hundred events 80 are views, 8 clicks, 5 searches, 5 additions to a cart, 2 purchases. */
static char *
put_type(char *p, int percent)
{
	if (percent < 80)
		return put_literal(p, "page_view");
	if (percent < 88)
		return put_literal(p, "click");
	if (percent < 93)
		return put_literal(p, "search");
	if (percent < 98)
		return put_literal(p, "add_to_cart");
	return put_literal(p, "purchase");
}

/* Writes one event, about 130 bytes, and returns its size; *user tells whose it is. */
size_t
message_make(char *message, int64_t ms, const Zipf *users, const Zipf *products, uint32_t *user)
{
	uint64_t	bits = random_bits();
	int			percent = (int) (bits % 100);
	char	   *p = message;

	*user = 1 + zipf_draw(users);
	p = put_literal(p, "{\"event_type\":\"");
	p = put_type(p, percent);
	p = put_literal(p, "\",\"user_id\":");
	p = put_number(p, *user);
	if (percent >= 88 && percent < 93)
		p = put_literal(p, ",\"query\":\"running shoes ");
	else
		p = put_literal(p, ",\"product_id\":\"product_");
	p = put_number(p, zipf_draw(products));
	p = put_literal(p, "\",\"timestamp\":\"");
	p = put_time(p, ms);
	p = put_literal(p, "\",\"session\":\"");
	p = put_hex(p, (uint32_t) (bits >> 32));
	p = put_literal(p, "\"}");
	return p - message;
}
