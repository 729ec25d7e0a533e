/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Formats and parses the names of keys in Redis; no I/O.
 *
 *		123                             a user's list
 *		trending:2025-02-25T10:00:00    a window, by its start in UTC
 *
 * The bytes of the templates are used as they are in the settings.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "redis/key.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* The longest number or time that replaces a placeholder, and its NUL. */
#define ID_BYTES 64

static RecoRedisTemplate
key_make_template(const char *text, const char *placeholder, bool window)
{
	const char *at = strstr(text, placeholder);
	RecoRedisTemplate template;

	if (at == NULL)
		elog(ERROR, "key template \"%s\" lacks %s", text, placeholder);
	template.prefix = pnstrdup(text, at - text);
	template.suffix = pstrdup(at + strlen(placeholder));
	template.window = window;
	return template;
}

RecoRedisTemplate
reco_redis_user_key_template(void)
{
	return key_make_template(reco_redis_user_key, "{user_id}", false);
}

RecoRedisTemplate
reco_redis_window_key_template(void)
{
	return key_make_template(reco_redis_trending_key, "{window_start}", true);
}

/* Print a number, or 2025-02-25T10:00:00 in UTC; returns the length. */
static int
key_print_id(int64 id, bool window, char *text)
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

/* The inverse of key_print_id; false if that would not print the text so. */
static bool
key_parse_id(const char *text, bool window, int64 *id)
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
	key_print_id(*id, window, again);
	return strcmp(again, text) == 0;
}

/* Print the key of a user or window. */
void
reco_redis_key_print(const RecoRedisTemplate *template, int64 id, StringInfo key)
{
	char		text[ID_BYTES];
	int			length = key_print_id(id, template->window, text);

	resetStringInfo(key);
	appendStringInfoString(key, template->prefix);
	appendBinaryStringInfo(key, text, length);
	appendStringInfoString(key, template->suffix);
}

/* Parse a key; false if it does not match the template. */
bool
reco_redis_key_parse(const RecoRedisTemplate *template, const char *key, size_t length, int64 *id)
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
	return key_parse_id(text, template->window, id);
}

/* Redis's glob pattern for all keys of a template, which matches some others, too. */
char *
reco_redis_key_pattern(const RecoRedisTemplate *template)
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
