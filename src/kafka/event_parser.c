/*-------------------------------------------------------------------------
 *
 * event_parser.c
 *	  One Kafka message to one event of a shopper.
 *
 * The message is walked with PostgreSQL's own JSON lexer, which costs less
 * than half of its parser: nothing is copied, and of the fields that have a
 * meaning only the place of the last value is kept.  When the whole message
 * has proved to be one JSON object, those values are checked and decoded.
 *
 * No I/O, no transaction, and no ERROR for anything that a message may hold:
 * what is wrong comes back as a text, one of a few dozens, so that they can be
 * counted.  Strings without an escape point into the message, all else is
 * allocated in the current memory context, which the caller resets after a
 * batch.  Strings are UTF-8 whatever the database's encoding is.
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

/* Arrays and objects within fields that nobody reads. */
#define MAX_DEPTH 1000

/* Milliseconds since 1970 that are looked at: 30,000 years either way. */
#define EPOCH_LIMIT INT64CONST(1000000000000000)

/*
 * 2000-01-01 and 2200-01-01 in seconds since 1970.  No shopper's activity is
 * older or younger: a number outside of them, read as milliseconds, that lies
 * between them in another unit is of that unit.
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

/* A value as it stands in the message; JSON_TOKEN_NULL: absent or null. */
typedef struct Value
{
	JsonTokenType type;
	RecoSlice	text;				/* of a string: without its quotes */
} Value;

static bool skip_value(JsonLexContext *lex, int depth);

/* The next token must be of this type. */
static inline bool
expect(JsonLexContext *lex, JsonTokenType type)
{
	return json_lex(lex) == JSON_SUCCESS && lex->token_type == type;
}

/*
 * The present token opens an array or object: go to the one that closes it.
 */
static bool
skip_nested(JsonLexContext *lex, int depth)
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
			 !expect(lex, JSON_TOKEN_COLON) ||
			 json_lex(lex) != JSON_SUCCESS))
			return false;
		if (!skip_value(lex, depth + 1) || json_lex(lex) != JSON_SUCCESS)
			return false;
		if (lex->token_type == end)
			return true;
		if (lex->token_type != JSON_TOKEN_COMMA || json_lex(lex) != JSON_SUCCESS)
			return false;
	}
}

/* The present token begins a value: go to its last token. */
static bool
skip_value(JsonLexContext *lex, int depth)
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
			return skip_nested(lex, depth);
		default:
			return false;
	}
}

/* The present token's text; a string's without the quotes, not decoded. */
static RecoSlice
token_text(const JsonLexContext *lex)
{
	int			quote = lex->token_type == JSON_TOKEN_STRING ? 1 : 0;
	RecoSlice	text;

	text.data = lex->token_start + quote;
	text.length = lex->token_terminator - lex->token_start - 2 * quote;
	return text;
}

static bool
text_equals(RecoSlice text, const char *other)
{
	return strlen(other) == text.length && memcmp(text.data, other, text.length) == 0;
}

/* Which field does this key name? */
static EventField
find_field(RecoSlice key)
{
	if (memchr(key.data, '\\', key.length) != NULL && !reco_json_unescape(&key))
		return FIELD_UNKNOWN;
	for (int field = 0; field < FIELD_UNKNOWN; field++)
	{
		if (text_equals(key, field_names[field]))
			return field;
	}
	return FIELD_UNKNOWN;
}

/*
 * Walk the message, which must be one JSON object and nothing else, and note
 * the last value of each field.
 */
static const char *
find_values(JsonLexContext *lex, Value *values)
{
	for (int field = 0; field < FIELD_UNKNOWN; field++)
		values[field].type = JSON_TOKEN_NULL;

	if (json_lex(lex) != JSON_SUCCESS)
		return "invalid JSON";
	if (lex->token_type != JSON_TOKEN_OBJECT_START)
		return skip_value(lex, 0) && expect(lex, JSON_TOKEN_END) ?
			"not a JSON object" : "invalid JSON";
	if (json_lex(lex) != JSON_SUCCESS)
		return "invalid JSON";
	while (lex->token_type != JSON_TOKEN_OBJECT_END)
	{
		EventField	field;

		if (lex->token_type != JSON_TOKEN_STRING)
			return "invalid JSON";
		field = find_field(token_text(lex));
		if (!expect(lex, JSON_TOKEN_COLON) || json_lex(lex) != JSON_SUCCESS)
			return "invalid JSON";
		if (field != FIELD_UNKNOWN)
		{
			values[field].type = lex->token_type;
			values[field].text = token_text(lex);
		}
		if (!skip_value(lex, 0) || json_lex(lex) != JSON_SUCCESS)
			return "invalid JSON";

		/* a comma must be followed by another key */
		if (lex->token_type == JSON_TOKEN_COMMA)
		{
			if (!expect(lex, JSON_TOKEN_STRING))
				return "invalid JSON";
		}
		else if (lex->token_type != JSON_TOKEN_OBJECT_END)
			return "invalid JSON";
	}
	return expect(lex, JSON_TOKEN_END) ? NULL : "invalid JSON";
}

/* Take a string. */
static const char *
take_text(EventField field, Value *value, RecoSlice *text)
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

/* Is a JSON number an integer that is written as one: no fraction, no exponent? */
static bool
is_plain_integer(RecoSlice text)
{
	for (int i = 0; i < text.length; i++)
	{
		if (!isdigit((unsigned char) text.data[i]) && !(i == 0 && text.data[i] == '-'))
			return false;
	}
	return true;
}

/* A string, or an integer, which stands for its digits. */
static const char *
take_product_id(Value *value, RecoSlice *text)
{
	if (value->type == JSON_TOKEN_NUMBER && is_plain_integer(value->text))
	{
		*text = value->text;
		return NULL;
	}
	if (value->type != JSON_TOKEN_NULL && value->type != JSON_TOKEN_STRING)
		return "product_id is neither a string nor an integer";
	return take_text(FIELD_PRODUCT_ID, value, text);
}

/*
 * Take a decimal integer.  A character that is part of no number stands
 * behind every number and string of an object, so strtoll ends in time.
 */
static bool
take_integer(RecoSlice text, int64 *result)
{
	char	   *end;

	if (text.length == 0 || !(*text.data == '-' || isdigit((unsigned char) *text.data)))
		return false;
	errno = 0;
	*result = strtoll(text.data, &end, 10);
	return errno == 0 && end == text.data + text.length;
}

static const char *
take_user_id(Value *value, int64 *user_id)
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
	return take_integer(text, user_id) ? NULL : "user_id is not a 64-bit integer";
}

/* Milliseconds since 1970, mostly an integer. */
static bool
take_epoch(RecoSlice text, TimestampTz *timestamp)
{
	const int64 epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	int64		milliseconds;

	if (take_integer(text, &milliseconds))
	{
		if (milliseconds < -EPOCH_LIMIT || milliseconds > EPOCH_LIMIT)
			return false;
		*timestamp = milliseconds * 1000 - epoch;
	}
	else
	{
		double		value = strtod(text.data, NULL);

		/* a double holds microseconds of our times exactly */
		if (!(fabs(value) <= (double) EPOCH_LIMIT))
			return false;
		*timestamp = (int64) rint(value * 1000) - epoch;
	}
	return IS_VALID_TIMESTAMP(*timestamp);
}

/* Why a number is no time in milliseconds: it is one in another unit? */
static const char *
find_unit(double value)
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
take_timestamp(Value *value, TimestampTz message_time, TimestampTz *timestamp)
{
	RecoSlice	text = value->text;
	const char *unit;

	switch (value->type)
	{
		case JSON_TOKEN_NULL:
			*timestamp = message_time;
			return NULL;
		case JSON_TOKEN_NUMBER:
			unit = find_unit(strtod(text.data, NULL));
			if (unit != NULL)
				return unit;
			if (!take_epoch(text, timestamp))
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

/* What the type of the event asks for. */
static const char *
check_required(const RecoEvent *event)
{
	RecoSlice	type = event->event_type;

	if (type.data == NULL)
		return "event_type is missing";
	if (event->query.data == NULL && text_equals(type, "search"))
		return "query is missing";
	if (event->product_id.data == NULL &&
		(text_equals(type, "page_view") || text_equals(type, "click") ||
		 text_equals(type, "add_to_cart") || text_equals(type, "purchase")))
		return "product_id is missing";
	return NULL;
}

/* Are texts of the sizes that the CHECK constraints of reco.activity allow? */
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
 * Fill in the event of a message that Kafka stamped with message_time.
 * Returns NULL, or why the message is refused.
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
	reason = find_values(lex, values);
	if (reason == NULL)
		reason = take_text(FIELD_EVENT_TYPE, &values[FIELD_EVENT_TYPE], &event->event_type);
	if (reason == NULL)
		reason = take_user_id(&values[FIELD_USER_ID], &event->user_id);
	if (reason == NULL)
		reason = take_product_id(&values[FIELD_PRODUCT_ID], &event->product_id);
	if (reason == NULL)
		reason = take_text(FIELD_QUERY, &values[FIELD_QUERY], &event->query);
	if (reason == NULL)
		reason = reco_event_check_sizes(event);
	if (reason == NULL)
		reason = take_timestamp(&values[FIELD_TIMESTAMP], message_time,
								&event->timestamp);
	if (reason == NULL)
		reason = check_required(event);
	return reason;
}
