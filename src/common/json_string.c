/*-------------------------------------------------------------------------
 *
 * json_string.c
 *	  Reading and writing JSON strings.
 *
 * PostgreSQL's lexer decodes escapes only into the database's encoding, and
 * up to 15 it copies every string character by character.  This decodes a
 * string only if it is needed and has escapes, and to UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/json_string.h"
#include "mb/pg_wchar.h"

/* Four hexadecimal digits, which the lexer has checked. */
static pg_wchar
json_hex4(const char *digits)
{
	pg_wchar	value = 0;

	for (int i = 0; i < 4; i++)
	{
		char		c = digits[i];

		value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value;
}

/*
 * Decode \uXXXX, or a surrogate pair; *at points to the u and is advanced past
 * the last digit.  Returns 0 for a NUL, which text cannot contain, and for an
 * unpaired surrogate.
 */
static pg_wchar
json_unescape_unicode(const char **at, const char *end)
{
	pg_wchar	c = json_hex4(*at + 1);

	*at += 5;
	if (is_utf16_surrogate_second(c))
		return 0;
	if (is_utf16_surrogate_first(c))
	{
		pg_wchar	second;

		if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
			return 0;
		second = json_hex4(*at + 2);
		if (!is_utf16_surrogate_second(second))
			return 0;
		c = surrogate_pair_to_codepoint(c, second);
		*at += 6;
	}
	return c;
}

/*
 * Decode the escapes of a string, whose syntax the lexer has checked.  Returns
 * false if the result has a character that text cannot contain.
 */
bool
reco_json_unescape(RecoSlice *text)
{
	const char *at = text->data;
	const char *end = at + text->length;
	char	   *decoded = palloc(text->length + 1);
	char	   *to = decoded;

	while (at < end)
	{
		pg_wchar	c;

		if (*at != '\\')
		{
			*to++ = *at++;
			continue;
		}
		switch (*++at)
		{
			case 'b':
				*to++ = '\b';
				break;
			case 'f':
				*to++ = '\f';
				break;
			case 'n':
				*to++ = '\n';
				break;
			case 'r':
				*to++ = '\r';
				break;
			case 't':
				*to++ = '\t';
				break;
			case 'u':
				c = json_unescape_unicode(&at, end);
				if (c == 0)
					return false;
				unicode_to_utf8(c, (unsigned char *) to);
				to += pg_utf_mblen((unsigned char *) to);
				continue;
			default:			/* a quote, a slash or a backslash */
				*to++ = *at;
				break;
		}
		at++;
	}
	*to = '\0';
	text->data = decoded;
	text->length = to - decoded;
	return true;
}

/*
 * Convert a text to UTF-8.  *raw: it is returned unchanged and is not UTF-8,
 * because the database's encoding is not known, or has characters that Unicode
 * does not have.  Raises no ERROR: one such product must not hold up all others.
 */
const char *
reco_json_utf8(const char *text, int *length, bool *raw)
{
	Oid			conversion;

	*raw = false;
	if (GetDatabaseEncoding() == PG_UTF8)
		return text;
	conversion = FindDefaultConversionProc(GetDatabaseEncoding(), PG_UTF8);
	if (OidIsValid(conversion))
	{
		int			size = *length * MAX_CONVERSION_GROWTH + 1;
		char	   *converted = palloc(size);

		if (pg_do_encoding_conversion_buf(conversion, GetDatabaseEncoding(), PG_UTF8,
										  (unsigned char *) unconstify(char *, text), *length,
										  (unsigned char *) converted, size, true) == *length)
		{
			*length = strlen(converted);
			return converted;
		}
		pfree(converted);
	}
	*raw = !pg_verify_mbstr(PG_UTF8, text, *length, true);
	return text;
}

/* Append a JSON string; text that is not UTF-8 is taken as Latin-1. */
void
reco_json_append(StringInfo value, const char *text, int length)
{
	bool		raw;
	const char *utf8 = reco_json_utf8(text, &length, &raw);
	const char *begin = utf8;
	const char *end = utf8 + length;

	appendStringInfoCharMacro(value, '"');
	for (const char *p = utf8; p < end; p++)
	{
		unsigned char c = (unsigned char) *p;

		if (c >= ' ' && c != '"' && c != '\\' && !(raw && IS_HIGHBIT_SET(c)))
			continue;
		appendBinaryStringInfo(value, begin, p - begin);
		if (c == '"' || c == '\\')
		{
			appendStringInfoCharMacro(value, '\\');
			appendStringInfoCharMacro(value, c);
		}
		else
			appendStringInfo(value, "\\u%04x", c);
		begin = p + 1;
	}
	appendBinaryStringInfo(value, begin, end - begin);
	appendStringInfoCharMacro(value, '"');
	if (utf8 != text)
		pfree(unconstify(char *, utf8));
}
