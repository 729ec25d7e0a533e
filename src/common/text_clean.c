/*-------------------------------------------------------------------------
 *
 * text_clean.c
 *	  Foreign text made safe to display.
 *
 * Messages from Redis, Kafka, files or the system are bytes.  Before they become
 * a Datum or go to shared memory, control characters are replaced by spaces,
 * and bytes that are invalid in the database's encoding by question marks.  In
 * an SQL_ASCII database, and in a process without a database, the text is
 * expected to be UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/text_clean.h"
#include "mb/pg_wchar.h"

/* Clean a text in place; it never gets longer. */
void
reco_text_clean(char *text)
{
	int			encoding = GetDatabaseEncoding();
	char	   *from = text;
	size_t		left = strlen(text);

	if (encoding == PG_SQL_ASCII)
		encoding = PG_UTF8;
	while (left > 0)
	{
		int			length = 1;

		if ((unsigned char) *from < 0x20 || *from == 0x7f)
			*from = ' ';
		else if (IS_HIGHBIT_SET(*from))
		{
			length = pg_encoding_verifymbchar(encoding, from, (int) left);
			if (length < 0)
			{
				*from = '?';
				length = 1;
			}
		}
		from += length;
		left -= length;
	}
}

/*
 * Copy a text, cleaned, into a buffer of size bytes; if it is too long, it is
 * truncated between two characters.
 */
void
reco_text_copy(char *to, const char *from, size_t size)
{
	size_t		length = strlen(from);
	char	   *end;

	if (length >= size)
		length = size - 1;
	memcpy(to, from, length);
	to[length] = '\0';

	/* drop a character that was cut in two, whatever the encoding */
	if (from[length] != '\0')
	{
		int			encoding = GetDatabaseEncoding();

		if (encoding == PG_SQL_ASCII)
			encoding = PG_UTF8;
		for (end = to; *end != '\0';)
		{
			int			width = pg_encoding_mblen(encoding, end);

			if (end + width > to + length)
				*end = '\0';
			else
				end += width;
		}
	}
	reco_text_clean(to);
}
