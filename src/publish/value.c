/*-------------------------------------------------------------------------
 *
 * value.c
 *	  Keys and values in Redis, as applications read them; no I/O.
 *
 *		123                             {"user_id":123,"recommended_products":["a","b"]}
 *		trending:2025-02-25T10:00:00    a hash: product_id -> views
 *
 * Keys are made of the templates' bytes as they stand in the settings; values
 * are UTF-8 whatever the database's encoding.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "common/json_string.h"
#include "publish/value.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* The longest number or time that stands for a placeholder, and its NUL. */
#define ID_BYTES 64

static RecoTemplate
make_template(const char *text, const char *placeholder, bool window)
{
	const char *at = strstr(text, placeholder);
	RecoTemplate template;

	if (at == NULL)
		elog(ERROR, "key template \"%s\" lacks %s", text, placeholder);
	template.prefix = pnstrdup(text, at - text);
	template.suffix = pstrdup(at + strlen(placeholder));
	template.window = window;
	return template;
}

RecoTemplate
reco_format_user_template(void)
{
	return make_template(reco_redis_user_key, "{user_id}", false);
}

RecoTemplate
reco_format_trending_template(void)
{
	return make_template(reco_redis_trending_key, "{window_start}", true);
}

/* A number, or 2025-02-25T10:00:00 in UTC; returns its length. */
static int
print_id(int64 id, bool window, char *text)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (!window)
		return pg_lltoa(id, text);
	if (timestamp2tm(id, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	return snprintf(text, ID_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year, tm.tm_mon,
					tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* The opposite of print_id; what it would not print so is refused. */
static bool
scan_id(const char *text, bool window, int64 *id)
{
	char		again[ID_BYTES];

	if (window)
	{
		struct pg_tm tm = {0};
		Timestamp	at;

		if (sscanf(text, "%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
				   &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6 ||
			tm.tm_mon < 1 || tm.tm_mon > MONTHS_PER_YEAR ||
			tm2timestamp(&tm, 0, NULL, &at) != 0)
			return false;
		*id = at;
	}
	else
		*id = strtoll(text, NULL, 10);
	print_id(*id, window, again);
	return strcmp(again, text) == 0;
}

/* The key of a user or window. */
void
reco_format_key(const RecoTemplate *template, int64 id, StringInfo key)
{
	char		text[ID_BYTES];
	int			length = print_id(id, template->window, text);

	resetStringInfo(key);
	appendStringInfoString(key, template->prefix);
	appendBinaryStringInfo(key, text, length);
	appendStringInfoString(key, template->suffix);
}

/* Whose key is it?  False if the template does not make it. */
bool
reco_format_parse_key(const RecoTemplate *template, const char *key, size_t length, int64 *id)
{
	size_t		before = strlen(template->prefix);
	size_t		after = strlen(template->suffix);
	char		text[ID_BYTES];

	if (length <= before + after || length - before - after >= sizeof(text) ||
		memcmp(key, template->prefix, before) != 0 ||
		memcmp(key + length - after, template->suffix, after) != 0)
		return false;
	length -= before + after;
	memcpy(text, key + before, length);
	text[length] = '\0';
	return scan_id(text, template->window, id);
}

/* Redis's glob pattern for all keys of a template, and some that are not. */
char *
reco_format_pattern(const RecoTemplate *template)
{
	StringInfoData pattern;
	const char *parts[] = {template->prefix, template->suffix};

	initStringInfo(&pattern);
	for (int i = 0; i < lengthof(parts); i++)
	{
		if (i > 0)
			appendStringInfoChar(&pattern, '*');
		for (const char *p = parts[i]; *p != '\0'; p++)
		{
			if (strchr("*?[]^\\", *p))
				appendStringInfoChar(&pattern, '\\');
			appendStringInfoChar(&pattern, *p);
		}
	}
	return pattern.data;
}

/* A user's value: this, the products' JSON strings with commas in between, and the end. */
void
reco_format_list_begin(StringInfo value, int64 user_id)
{
	char		number[MAXINT8LEN + 1];

	appendStringInfoString(value, "{\"user_id\":");
	appendBinaryStringInfo(value, number, pg_lltoa(user_id, number));
	appendStringInfoString(value, ",\"recommended_products\":[");
}

void
reco_format_list_end(StringInfo value)
{
	appendStringInfoString(value, "]}");
}

/* Append a product_id as a field of a window's hash. */
void
reco_format_product(StringInfo value, Datum product)
{
	text	   *name = DatumGetTextPP(product);
	int			length = VARSIZE_ANY_EXHDR(name);
	bool		raw;
	const char *utf8 = reco_json_utf8(VARDATA_ANY(name), &length, &raw);

	appendBinaryStringInfo(value, utf8, length);
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
reco_format_is_list(const char *value, size_t length, int64 user_id)
{
	StringInfoData head;
	const char *end = value + length;
	const char *p;
	bool		same;

	initStringInfo(&head);
	reco_format_list_begin(&head, user_id);
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
