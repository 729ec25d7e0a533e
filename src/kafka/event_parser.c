/*-------------------------------------------------------------------------
 *
 * event_parser.c
 *	  Parser of a Kafka message into a shopper's event.
 *
 * The message is scanned with PostgreSQL's own JSON lexer, which costs less than
 * half of its parser: nothing is copied, and for each known field only the
 * position of its last value is kept.  Once the whole message has proved to be
 * a JSON object, those values are checked and decoded.
 *
 * No I/O, no transaction, and no ERROR whatever the message contains: what is
 * wrong is returned as one of a few dozen texts, so that they can be counted.
 * Strings without escapes point into the message; all else is allocated in the
 * current memory context, which the caller resets after a batch.  Strings are
 * UTF-8 whatever the database's encoding is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "common/compat.h"
#include "common/guc.h"
#include "common/json_string.h"
#include "common/iso8601.h"
#include "kafka/event_parser.h"

/* Nesting depth of arrays and objects in fields that are ignored. */
#define MAX_DEPTH 1000

/* Limit for milliseconds since 1970: 30,000 years either way. */
#define EPOCH_LIMIT INT64CONST(1000000000000000)

/*
 * 2000-01-01 and 2200-01-01 in seconds since 1970.  No activity is outside of
 * that: a number that is outside as milliseconds, but inside in another unit,
 * has that unit.
 */
#define SANE_EPOCH_MIN 946684800.0
#define SANE_EPOCH_MAX 7258118400.0

typedef enum EventField
{
	FIELD_EVENT_TYPE, FIELD_USER_ID, FIELD_PRODUCT_ID, FIELD_QUERY,
	FIELD_TIMESTAMP, FIELD_UNKNOWN
} EventField;

static const char *const field_names[] = {
	"event_type", "user_id", "product_id", "query", "timestamp"
};

/* A value in the message; JSON_TOKEN_NULL: absent or null. */
typedef struct Value
{
	JsonTokenType type;
	RecoSlice	text;				/* of a string: without its quotes */
} Value;

static bool parser_skip_value(JsonLexContext *lex, int depth);

/* Read the next token, which must be of this type. */
static inline bool
parser_expect(JsonLexContext *lex, JsonTokenType type)
{
	return json_lex(lex) == JSON_SUCCESS && lex->token_type == type;
}

/*
 * The current token opens an array or object: skip to the one that closes it.
 */
static bool
parser_skip_nested(JsonLexContext *lex, int depth)
{
	bool		object = lex->token_type == JSON_TOKEN_OBJECT_START;
	JsonTokenType end = object ? JSON_TOKEN_OBJECT_END : JSON_TOKEN_ARRAY_END;

	if (depth >= MAX_DEPTH || json_lex(lex) != JSON_SUCCESS)
		return false;
	if (lex->token_type == end)
		return true;
	for (;;)
	{
		if (object &&
			(lex->token_type != JSON_TOKEN_STRING ||
			 !parser_expect(lex, JSON_TOKEN_COLON) ||
			 json_lex(lex) != JSON_SUCCESS))
			return false;
		if (!parser_skip_value(lex, depth + 1) || json_lex(lex) != JSON_SUCCESS)
			return false;
		if (lex->token_type == end)
			return true;
		if (lex->token_type != JSON_TOKEN_COMMA || json_lex(lex) != JSON_SUCCESS)
			return false;
	}
}

/* The current token begins a value: skip to its last token. */
static bool
parser_skip_value(JsonLexContext *lex, int depth)
{
	switch (lex->token_type)
	{
		case JSON_TOKEN_STRING:
		case JSON_TOKEN_NUMBER:
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
		case JSON_TOKEN_NULL:
			return true;
		case JSON_TOKEN_OBJECT_START:
		case JSON_TOKEN_ARRAY_START:
			return parser_skip_nested(lex, depth);
		default:
			return false;
	}
}

/* The current token's text; a string's without quotes, not decoded. */
static RecoSlice
parser_token_text(const JsonLexContext *lex)
{
	int			quote = lex->token_type == JSON_TOKEN_STRING ? 1 : 0;
	RecoSlice	text;

	text.data = lex->token_start + quote;
	text.length = lex->token_terminator - lex->token_start - 2 * quote;
	return text;
}

static bool
parser_text_equals(RecoSlice text, const char *other)
{
	return strlen(other) == text.length && memcmp(text.data, other, text.length) == 0;
}

/* The field that a key names. */
static EventField
parser_find_field(RecoSlice key)
{
	if (memchr(key.data, '\\', key.length) != NULL && !reco_json_unescape(&key))
		return FIELD_UNKNOWN;
	for (int field = 0; field < FIELD_UNKNOWN; field++)
	{
		if (parser_text_equals(key, field_names[field]))
			return field;
	}
	return FIELD_UNKNOWN;
}

/*
 * Scan the message, which must be a single JSON object, and note the last value
 * of each field.
 */
static const char *
parser_find_values(JsonLexContext *lex, Value *values)
{
	for (int field = 0; field < FIELD_UNKNOWN; field++)
		values[field].type = JSON_TOKEN_NULL;

	if (json_lex(lex) != JSON_SUCCESS)
		return "invalid JSON";
	if (lex->token_type != JSON_TOKEN_OBJECT_START)
		return parser_skip_value(lex, 0) && parser_expect(lex, JSON_TOKEN_END) ?
			"not a JSON object" : "invalid JSON";
	if (json_lex(lex) != JSON_SUCCESS)
		return "invalid JSON";
	while (lex->token_type != JSON_TOKEN_OBJECT_END)
	{
		EventField	field;

		if (lex->token_type != JSON_TOKEN_STRING)
			return "invalid JSON";
		field = parser_find_field(parser_token_text(lex));
		if (!parser_expect(lex, JSON_TOKEN_COLON) || json_lex(lex) != JSON_SUCCESS)
			return "invalid JSON";
		if (field != FIELD_UNKNOWN)
		{
			values[field].type = lex->token_type;
			values[field].text = parser_token_text(lex);
		}
		if (!parser_skip_value(lex, 0) || json_lex(lex) != JSON_SUCCESS)
			return "invalid JSON";

		/* a comma must be followed by another key */
		if (lex->token_type == JSON_TOKEN_COMMA)
		{
			if (!parser_expect(lex, JSON_TOKEN_STRING))
				return "invalid JSON";
		}
		else if (lex->token_type != JSON_TOKEN_OBJECT_END)
			return "invalid JSON";
	}
	return parser_expect(lex, JSON_TOKEN_END) ? NULL : "invalid JSON";
}

/* Get a string, decoded; NULL data if it is absent. */
static const char *
parser_get_text(EventField field, Value *value, RecoSlice *text)
{
	text->data = NULL;
	text->length = 0;
	if (value->type == JSON_TOKEN_NULL)
		return NULL;
	if (value->type != JSON_TOKEN_STRING)
		return psprintf("%s is not a string", field_names[field]);
	*text = value->text;
	if (memchr(text->data, '\\', text->length) != NULL && !reco_json_unescape(text))
		return psprintf("%s holds a character that text cannot hold", field_names[field]);
	return NULL;
}

/* Is a JSON number written as an integer: no fraction, no exponent? */
static bool
parser_is_plain_integer(RecoSlice text)
{
	for (int i = 0; i < text.length; i++)
	{
		if (!isdigit((unsigned char) text.data[i]) && !(i == 0 && text.data[i] == '-'))
			return false;
	}
	return true;
}

/* Get the product: a string, or an integer, which stands for its digits. */
static const char *
parser_get_product_id(Value *value, RecoSlice *text)
{
	if (value->type == JSON_TOKEN_NUMBER && parser_is_plain_integer(value->text))
	{
		*text = value->text;
		return NULL;
	}
	if (value->type != JSON_TOKEN_NULL && value->type != JSON_TOKEN_STRING)
		return "product_id is neither a string nor an integer";
	return parser_get_text(FIELD_PRODUCT_ID, value, text);
}

/*
 * Get a decimal integer.  Every number or string in an object is followed by a
 * character that is no part of a number, so strtoll stops there.
 */
static bool
parser_get_integer(RecoSlice text, int64 *result)
{
	char	   *end;

	if (text.length == 0 || !(*text.data == '-' || isdigit((unsigned char) *text.data)))
		return false;
	errno = 0;
	*result = strtoll(text.data, &end, 10);
	return errno == 0 && end == text.data + text.length;
}

static const char *
parser_get_user_id(Value *value, int64 *user_id)
{
	RecoSlice	text = value->text;

	switch (value->type)
	{
		case JSON_TOKEN_NULL:
			return "user_id is missing";
		case JSON_TOKEN_NUMBER:
			break;
		case JSON_TOKEN_STRING:
			if (memchr(text.data, '\\', text.length) == NULL || reco_json_unescape(&text))
				break;
			/* FALLTHROUGH */
		default:
			return "user_id is not an integer";
	}
	return parser_get_integer(text, user_id) ? NULL : "user_id is not a 64-bit integer";
}

/* Get milliseconds since 1970, usually an integer. */
static bool
parser_get_epoch(RecoSlice text, TimestampTz *timestamp)
{
	const int64 epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	int64		milliseconds;

	if (parser_get_integer(text, &milliseconds))
	{
		if (milliseconds < -EPOCH_LIMIT || milliseconds > EPOCH_LIMIT)
			return false;
		*timestamp = milliseconds * 1000 - epoch;
	}
	else
	{
		double		value = strtod(text.data, NULL);

		/* a double represents microseconds of our times exactly */
		if (!(fabs(value) <= (double) EPOCH_LIMIT))
			return false;
		*timestamp = (int64) rint(value * 1000) - epoch;
	}
	return IS_VALID_TIMESTAMP(*timestamp);
}

/* If a number is a plausible time in another unit than milliseconds, the reason to reject it. */
static const char *
parser_find_unit(double value)
{
	static const struct
	{
		double		per_second;
		const char *reason;
	}			units[] =
	{
		{1.0, "timestamp is in seconds, not in milliseconds"},
		{1e6, "timestamp is in microseconds, not in milliseconds"},
		{1e9, "timestamp is in nanoseconds, not in milliseconds"}
	};

	for (int i = 0; i < lengthof(units); i++)
	{
		if (value >= SANE_EPOCH_MIN * units[i].per_second &&
			value < SANE_EPOCH_MAX * units[i].per_second)
			return units[i].reason;
	}
	return NULL;
}

static const char *
parser_get_timestamp(Value *value, TimestampTz message_time, TimestampTz *timestamp)
{
	RecoSlice	text = value->text;
	const char *unit;

	switch (value->type)
	{
		case JSON_TOKEN_NULL:
			*timestamp = message_time;
			return NULL;
		case JSON_TOKEN_NUMBER:
			unit = parser_find_unit(strtod(text.data, NULL));
			if (unit != NULL)
				return unit;
			if (!parser_get_epoch(text, timestamp))
				return "timestamp is out of range";
			break;
		case JSON_TOKEN_STRING:
			if (memchr(text.data, '\\', text.length) != NULL && !reco_json_unescape(&text))
				return "timestamp is not ISO 8601";
			if (!reco_iso8601_parse(text.data, text.length, timestamp))
				return "timestamp is not ISO 8601";
			break;
		default:
			return "timestamp is neither a string nor a number";
	}
	if (*timestamp > message_time + reco_max_future * USECS_PER_SEC)
		return "timestamp is later than the message's time by more than reco.max_future";
	return NULL;
}

/* Check the fields that the type of event requires. */
static const char *
parser_check_required(const RecoEvent *event)
{
	RecoSlice	type = event->event_type;

	if (type.data == NULL)
		return "event_type is missing";
	if (event->query.data == NULL && parser_text_equals(type, "search"))
		return "query is missing";
	if (event->product_id.data == NULL &&
		(parser_text_equals(type, "page_view") || parser_text_equals(type, "click") ||
		 parser_text_equals(type, "add_to_cart") || parser_text_equals(type, "purchase")))
		return "product_id is missing";
	return NULL;
}

/* Check the texts' sizes as the CHECK constraints of reco.activity do. */
const char *
reco_event_check_sizes(const RecoEvent *event)
{
	StaticAssertStmt(RECO_EVENT_TYPE_MAX == 64 && RECO_PRODUCT_ID_MAX == 512,
					 "the texts below name other sizes");
	if (event->event_type.data != NULL &&
		(event->event_type.length < 1 || event->event_type.length > RECO_EVENT_TYPE_MAX))
		return "event_type is not of 1 to 64 bytes";
	if (event->product_id.data != NULL &&
		(event->product_id.length < 1 || event->product_id.length > RECO_PRODUCT_ID_MAX))
		return "product_id is not of 1 to 512 bytes";
	return NULL;
}

/*
 * Parse a message that Kafka stamped with message_time.  Returns NULL, or why
 * the message is rejected.
 */
const char *
reco_event_parse(const char *payload, size_t length, TimestampTz message_time,
				 RecoEvent *event)
{
	JsonLexContext space;
	JsonLexContext *lex;
	Value		values[FIELD_UNKNOWN];
	const char *reason;

	if (length == 0)
		return "empty message";
	if (length > reco_max_message_bytes)
		return "larger than reco.max_message_bytes";
	if (pg_encoding_verifymbstr(PG_UTF8, payload, length) != length)
		return memchr(payload, '\0', length) != NULL ?
			"holds a NUL byte" : "invalid UTF-8";

	lex = reco_json_lexer(&space, payload, length);
	reason = parser_find_values(lex, values);
	if (reason == NULL)
		reason = parser_get_text(FIELD_EVENT_TYPE, &values[FIELD_EVENT_TYPE], &event->event_type);
	if (reason == NULL)
		reason = parser_get_user_id(&values[FIELD_USER_ID], &event->user_id);
	if (reason == NULL)
		reason = parser_get_product_id(&values[FIELD_PRODUCT_ID], &event->product_id);
	if (reason == NULL)
		reason = parser_get_text(FIELD_QUERY, &values[FIELD_QUERY], &event->query);
	if (reason == NULL)
		reason = reco_event_check_sizes(event);
	if (reason == NULL)
		reason = parser_get_timestamp(&values[FIELD_TIMESTAMP], message_time,
									  &event->timestamp);
	if (reason == NULL)
		reason = parser_check_required(event);
	return reason;
}
