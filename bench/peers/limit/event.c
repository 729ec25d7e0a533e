/*
 * event.c: a minimal JSON scan.  The object is walked once; of each field that
 * has a meaning the last value's place is kept, and checked at the end.
 */
#include "event.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FUTURE INT64_C(3600000000)

typedef enum Field
{
	EVENT_TYPE, USER_ID, PRODUCT_ID, QUERY, TIMESTAMP, UNKNOWN
} Field;

/* kind: '"', '0' (a number), '{' (an object or array), 't' (true, false); 'n': absent or null */
typedef struct Value
{
	char		kind;
	bool		escaped;
	int			length;
	const char *start;			/* of a string: behind the quote */
} Value;

typedef struct Scan
{
	const char *at;
	const char *end;
} Scan;

/* Step over one of these characters, if it is next. */
static inline bool
take(Scan *scan, const char *any)
{
	return scan->at < scan->end && *scan->at != '\0' && strchr(any, *scan->at) != NULL && scan->at++;
}

/* Step over spaces, then over c, if it is next. */
static inline bool
take_token(Scan *scan, char c)
{
	while (scan->at < scan->end && (unsigned char) *scan->at <= ' ')
		scan->at++;
	return scan->at < scan->end && *scan->at == c && scan->at++;
}

/* The opening quote is behind us. */
static inline bool
scan_string(Scan *scan, Value *value)
{
	const char *at = scan->at;

	value->kind = '"';
	value->escaped = false;
	value->start = at;
	for (; at < scan->end && *at != '"'; at++)
	{
		if ((unsigned char) *at < ' ')
			return false;
		if (*at == '\\')
		{
			value->escaped = true;
			at++;
		}
	}
	value->length = at - value->start;
	scan->at = at + 1;
	return at < scan->end;
}

/* An object or array: to the bracket that closes it. */
static bool
scan_nested(Scan *scan)
{
	Value		ignored;
	int			depth = 0;

	while (scan->at < scan->end)
	{
		char		c = *scan->at++;

		if (c == '"' && !scan_string(scan, &ignored))
			return false;
		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		if (depth == 0)
			return true;
	}
	return false;
}

static inline bool
scan_value(Scan *scan, Value *value)
{
	if (take_token(scan, '"'))
		return scan_string(scan, value);
	if (scan->at >= scan->end)
		return false;
	value->start = scan->at;
	value->kind = *scan->at == 'f' ? 't' : *scan->at == '[' ? '{' : *scan->at;
	if (value->kind == '{')
		return scan_nested(scan);
	if (value->kind != 't' && value->kind != 'n')
		value->kind = '0';
	while (scan->at < scan->end && (unsigned char) *scan->at > ' ' && *scan->at != ',' && *scan->at != '}')
		scan->at++;
	value->length = scan->at - value->start;
	return value->length > 0;
}

static inline bool
is_text(const Value *value, const char *text)
{
	return (size_t) value->length == strlen(text) && memcmp(value->start, text, strlen(text)) == 0;
}

static inline Field
find_field(const Value *key)
{
	return is_text(key, "event_type") ? EVENT_TYPE :
		is_text(key, "user_id") ? USER_ID :
		is_text(key, "product_id") ? PRODUCT_ID :
		is_text(key, "timestamp") ? TIMESTAMP :
		is_text(key, "query") ? QUERY : UNKNOWN;
}

static bool
scan_object(Scan *scan, Value *values)
{
	Value		key;

	if (!take_token(scan, '{'))
		return false;
	if (!take_token(scan, '}'))
	{
		do
		{
			if (!(take_token(scan, '"') && scan_string(scan, &key) && take_token(scan, ':') &&
				  scan_value(scan, &values[find_field(&key)])))
				return false;
		} while (take_token(scan, ','));
		if (!take_token(scan, '}'))
			return false;
	}
	return !take_token(scan, '\0') && scan->at == scan->end;
}

static int
put_utf8(char *to, unsigned code)
{
	int			more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;

	to[0] = more == 0 ? code : (0xF0 << (3 - more)) | code >> (6 * more);
	for (int i = 1; i <= more; i++)
		to[i] = 0x80 | (code >> (6 * (more - i)) & 63);
	return more + 1;
}

/* \uXXXX; -1 if that is not next. */
static int
take_unicode(Scan *scan)
{
	int			code = 0;

	if (!take(scan, "\\") || !take(scan, "u"))
		return -1;
	for (int i = 0; i < 4; i++, scan->at++)
	{
		char		c = scan->at < scan->end ? *scan->at | 32 : 0;

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return -1;
		code = code * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return code;
}

/* Decode a string with escapes into "to"; returns its length, -1 if it is wrong or too long. */
static int
unescape(const Value *value, char *to, int size)
{
	static const char names[] = "\"\\/bfnrt",
				meanings[] = "\"\\/\b\f\n\r\t";
	Scan		scan = {value->start, value->start + value->length};
	int			n = 0;

	while (scan.at < scan.end)
	{
		const char *name = *scan.at == '\\' ? strchr(names, scan.at[1]) : NULL;

		if (n + 4 > size)
			return -1;
		if (*scan.at != '\\')
			to[n++] = *scan.at++;
		else if (name != NULL)
		{
			to[n++] = meanings[name - names];
			scan.at += 2;
		}
		else
		{
			int			code = take_unicode(&scan);

			if (code >= 0xD800 && code < 0xDC00)
			{
				int			low = take_unicode(&scan);

				code = low < 0xDC00 || low > 0xDFFF ? -1 : 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
			}
			if (code <= 0 || (code >= 0xDC00 && code < 0xE000))
				return -1;
			n += put_utf8(to + n, code);
		}
	}
	return n;
}

/* An integer of up to 64 bits, all of the value. */
static inline bool
parse_integer(const Value *value, int64_t *result)
{
	bool		negative = value->length > 0 && value->start[0] == '-';
	int64_t		sum = 0;

	for (int i = negative; i < value->length; i++)
	{
		int			digit = value->start[i] - '0';

		/* downwards: the least number has no opposite */
		if (digit < 0 || digit > 9 || __builtin_mul_overflow(sum, 10, &sum) || __builtin_sub_overflow(sum, digit, &sum))
			return false;
	}
	*result = negative ? sum : -sum;
	return value->length > negative && (negative || sum != INT64_MIN);
}

static inline bool
digits(Scan *scan, int count, int *value)
{
	*value = 0;
	for (; count > 0; count--, scan->at++)
	{
		if (scan->at >= scan->end || *scan->at < '0' || *scan->at > '9')
			return false;
		*value = *value * 10 + (*scan->at - '0');
	}
	return true;
}

/* The days from 1970-01-01 (Howard Hinnant's days_from_civil). */
static inline int64_t
days_of(int year, int month, int day)
{
	int			y = year - (month <= 2);
	int			era = y / 400;
	int			of_era = y - era * 400;
	int			of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * INT64_C(146097) + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* YYYY-MM-DD[(T| )hh:mm[:ss[.fraction]][Z|±hh[:mm]]] to microseconds since 1970. */
static bool
parse_time(const Value *value, int64_t *at)
{
	Scan		scan = {value->start, value->start + value->length};
	int			year, month, day, hour = 0, minute = 0, second = 0, fraction = 0;
	int			zone_hour = 0, zone_minute = 0, sign = 0, digit;

	if (!digits(&scan, 4, &year) || !take(&scan, "-") || !digits(&scan, 2, &month) || !take(&scan, "-") ||
		!digits(&scan, 2, &day) || year == 0 || month < 1 || month > 12 || day < 1 || day > 31)
		return false;
	if (take(&scan, "T "))
	{
		if (!digits(&scan, 2, &hour) || !take(&scan, ":") || !digits(&scan, 2, &minute) ||
			(take(&scan, ":") && !digits(&scan, 2, &second)) || hour > 24 || minute > 59 || second > 60)
			return false;
		if (take(&scan, "."))
		{
			for (int unit = 100000; digits(&scan, 1, &digit); unit /= 10)
				fraction += digit * unit;
		}
		if (!take(&scan, "Z") && scan.at < scan.end)
		{
			sign = *scan.at == '+' ? 1 : -1;
			if (!take(&scan, "+-") || !digits(&scan, 2, &zone_hour) ||
				(take(&scan, ":"), scan.at < scan.end && !digits(&scan, 2, &zone_minute)))
				return false;
		}
	}
	*at = (days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
		   sign * (zone_hour * 3600 + zone_minute * 60)) * INT64_C(1000000) + fraction;
	return scan.at == scan.end;
}

bool
event_parse(const char *text, size_t length, int64_t message_ms, Event *event)
{
	Value		values[UNKNOWN + 1];
	const Value *type = &values[EVENT_TYPE],
			   *user = &values[USER_ID],
			   *product = &values[PRODUCT_ID],
			   *query = &values[QUERY],
			   *at = &values[TIMESTAMP];

	for (int field = 0; field < UNKNOWN; field++)
		values[field].kind = 'n';
	if (!scan_object(&(Scan) {text, text + length}, values) || type->kind != '"' || type->length == 0 ||
		(user->kind != '0' && user->kind != '"') || !parse_integer(user, &event->user))
		return false;

	event->is_view = is_text(type, "page_view");
	if (product->kind == '"')
	{
		event->product = product->escaped ? event->decoded : product->start;
		event->product_length = product->escaped ? unescape(product, event->decoded, sizeof(event->decoded)) : product->length;
		if (event->product_length < 1 || event->product_length > MAX_PRODUCT_BYTES)
			return false;
	}
	else if (product->kind != 'n' || event->is_view || is_text(type, "click") || is_text(type, "add_to_cart") ||
			 is_text(type, "purchase"))
		return false;
	if (query->kind != '"' && (query->kind != 'n' || is_text(type, "search")))
		return false;

	if (at->kind == 'n')
		event->at = message_ms * 1000;
	else if (at->kind == '0')
		event->at = strtod(at->start, NULL) * 1000;
	else if (at->kind != '"' || !parse_time(at, &event->at))
		return false;
	return event->at <= message_ms * 1000 + MAX_FUTURE;
}
