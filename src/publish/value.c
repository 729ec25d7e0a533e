/*-------------------------------------------------------------------------
 *
 * value.c
 *	  Values as applications read them, from lists and windows as rows hold them.
 *
 *		{"user_id":123,"recommended_products":["a","b"]}
 *
 * They are UTF-8 whatever the database's encoding.  Writes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/json_string.h"
#include "engine/lookup.h"
#include "lists/list_codec.h"
#include "publish/value.h"
#include "utils/builtins.h"

static RecoList numbers;		/* of the list at hand */

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
append_head(StringInfo value, int64 user_id)
{
	char		number[MAXINT8LEN + 1];

	appendStringInfoString(value, "{\"user_id\":");
	appendBinaryStringInfo(value, number, pg_lltoa(user_id, number));
	appendStringInfoString(value, ",\"recommended_products\":[");
}

/* Append the value of a user whose row holds the list. */
void
reco_value_append_list(StringInfo value, int64 user_id, Datum list)
{
	reco_list_unpack(&numbers, list);
	append_head(value, user_id);
	for (int i = 0; i < numbers.count; i++)
	{
		RecoSlice	id = reco_lookup_quoted(numbers.numbers[i]);

		if (i > 0)
			appendStringInfoCharMacro(value, ',');
		appendBinaryStringInfo(value, id.data, id.length);
	}
	appendStringInfoString(value, "]}");
}

/* Append a product_id as a window's field. */
void
reco_value_append_product(StringInfo value, Datum product)
{
	text	   *name = DatumGetTextPP(product);
	int			length = VARSIZE_ANY_EXHDR(name);
	bool		raw;
	const char *utf8 = reco_json_utf8(VARDATA_ANY(name), &length, &raw);

	appendBinaryStringInfo(value, utf8, length);
}

static int
compare_texts(const void *a, const void *b)
{
	const RecoSlice *left = a;
	const RecoSlice *right = b;
	int			order = memcmp(left->data, right->data, Min(left->length, right->length));

	return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
}

/* A window's fields as one text, in whatever order they come; sorts them. */
RecoSlice
reco_value_join(RecoSlice *fields, int count)
{
	StringInfoData text;

	initStringInfo(&text);
	qsort(fields, count, sizeof(RecoSlice), compare_texts);
	for (int i = 0; i < count; i++)
	{
		appendStringInfoString(&text, i > 0 ? ", " : "");
		appendBinaryStringInfo(&text, fields[i].data, fields[i].length);
	}
	return (RecoSlice) {text.data, text.len};
}

/* The end of the JSON string that begins at p; NULL if there is none. */
static const char *
skip_json_string(const char *p, const char *end)
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
	append_head(&head, user_id);
	same = length > head.len && memcmp(value, head.data, head.len) == 0;
	p = value + head.len;
	pfree(head.data);
	if (!same)
		return false;

	/* What reco writes has one element at least; an empty list is reco's too. */
	if (*p != ']')
	{
		while ((p = skip_json_string(p, end)) != NULL && p < end && *p == ',')
			p++;
	}
	return p != NULL && end - p == 2 && p[0] == ']' && p[1] == '}';
}
