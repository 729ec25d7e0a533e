/*-------------------------------------------------------------------------
 *
 * value.c
 *	  Formats lists and windows as the values that applications read.
 *
 *		{"user_id":123,"recommended_products":["a","b"]}
 *
 * Values are UTF-8 whatever the database's encoding.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/json_string.h"
#include "engine/lookup.h"
#include "lists/list_codec.h"
#include "publish/value.h"
#include "utils/builtins.h"

static RecoList numbers;		/* of the current list */

/* Begin to read lists under a snapshot. */
void
reco_value_begin(Snapshot snapshot)
{
	reco_lookup_begin(snapshot);
	reco_list_init(&numbers);
}

void
reco_value_end(void)
{
	reco_lookup_end();
	pfree(numbers.numbers);
}

static void
value_append_head(StringInfo value, int64 user_id)
{
	char		number[MAXINT8LEN + 1];

	appendStringInfoString(value, "{\"user_id\":");
	appendBinaryStringInfo(value, number, pg_lltoa(user_id, number));
	appendStringInfoString(value, ",\"recommended_products\":[");
}

/* Append the value for a user's list. */
void
reco_value_append_list(StringInfo value, int64 user_id, Datum list)
{
	reco_list_unpack(&numbers, list);
	value_append_head(value, user_id);
	for (int i = 0; i < numbers.count; i++)
	{
		RecoSlice	id = reco_lookup_quoted(numbers.numbers[i]);

		if (i > 0)
			appendStringInfoCharMacro(value, ',');
		appendBinaryStringInfo(value, id.data, id.length);
	}
	appendStringInfoString(value, "]}");
}

/* Append a product_id, as the name of a window's field. */
void
reco_value_append_product(StringInfo value, RecoSlice product)
{
	bool		raw;
	int			length = product.length;
	const char *utf8 = reco_json_utf8(product.data, &length, &raw);

	appendBinaryStringInfo(value, utf8, length);
}

static int
value_compare_fields(const void *a, const void *b)
{
	const RecoSlice *left = a;
	const RecoSlice *right = b;
	int			order = memcmp(left->data, right->data, Min(left->length, right->length));

	return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
}

/* Sort a window's fields, and join them to a text that does not depend on their order. */
RecoSlice
reco_value_join(RecoSlice *fields, int count)
{
	StringInfoData text;

	initStringInfo(&text);
	qsort(fields, count, sizeof(RecoSlice), value_compare_fields);
	for (int i = 0; i < count; i++)
	{
		appendStringInfoString(&text, i > 0 ? ", " : "");
		appendBinaryStringInfo(&text, fields[i].data, fields[i].length);
	}
	return (RecoSlice) {text.data, text.len};
}

/* Skip the JSON string that begins at p; NULL if there is none. */
static const char *
value_skip_string(const char *p, const char *end)
{
	if (p >= end || *p++ != '"')
		return NULL;
	while (p < end && *p != '"')
		p += *p == '\\' ? 2 : 1;
	return p < end ? p + 1 : NULL;
}

/* Has a value the form of a list for this user? */
bool
reco_value_is_list(const char *value, size_t length, int64 user_id)
{
	StringInfoData head;
	const char *end = value + length;
	const char *p;
	bool		same;

	initStringInfo(&head);
	value_append_head(&head, user_id);
	same = length > head.len && memcmp(value, head.data, head.len) == 0;
	p = value + head.len;
	pfree(head.data);
	if (!same)
		return false;

	/* an empty list is accepted, too */
	if (*p != ']')
	{
		while ((p = value_skip_string(p, end)) != NULL && p < end && *p == ',')
			p++;
	}
	return p != NULL && end - p == 2 && p[0] == ']' && p[1] == '}';
}
