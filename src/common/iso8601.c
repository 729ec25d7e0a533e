/*-------------------------------------------------------------------------
 *
 * iso8601.c
 *	  ISO 8601 date and time to timestamptz.
 *
 * timestamptz_in takes 230 ns and reads much that is not ISO 8601 ("now",
 * "yesterday", whatever DateStyle says).  This takes a tenth, depends on no
 * setting, and never raises an ERROR.
 *
 * Taken: YYYY-MM-DD or YYYYMMDD, alone or followed by T or a space and
 * hh:mm[:ss] or hhmm[ss], a fraction of the second, and Z or a distance from
 * UTC as +hh, +hhmm or +hh:mm.  Without a zone the time is UTC.  As in
 * PostgreSQL, 24:00:00 is the end of the day and a 60th second the start of
 * the next minute.
 *
 * No memory is allocated, and no byte beyond the text is read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/iso8601.h"
#include "utils/datetime.h"

/* What is left to read. */
typedef struct Cursor
{
	const char *at;
	const char *end;
} Cursor;

/* Read exactly "count" digits. */
static bool
read_digits(Cursor *cursor, int count, int *value)
{
	*value = 0;
	if (cursor->end - cursor->at < count)
		return false;
	while (count-- > 0)
	{
		char		c = *cursor->at++;

		if (c < '0' || c > '9')
			return false;
		*value = *value * 10 + (c - '0');
	}
	return true;
}

/* Step over the next character if it is this one. */
static bool
read_char(Cursor *cursor, char c)
{
	if (cursor->at >= cursor->end || *cursor->at != c)
		return false;
	cursor->at++;
	return true;
}

/* The days from 2000-01-01. */
static bool
read_date(Cursor *cursor, int *days)
{
	int			year,
				month,
				day;
	bool		dashes;

	if (!read_digits(cursor, 4, &year) || year == 0)
		return false;
	dashes = read_char(cursor, '-');
	if (!read_digits(cursor, 2, &month) || month < 1 || month > 12)
		return false;
	if (dashes && !read_char(cursor, '-'))
		return false;
	if (!read_digits(cursor, 2, &day) || day < 1 ||
		day > day_tab[isleap(year)][month - 1])
		return false;

	*days = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	return true;
}

/*
 * The digits after the decimal sign, to the nearest microsecond; from the
 * middle between two to the even one, as timestamptz_in does.
 */
static bool
read_fraction(Cursor *cursor, int64 *microseconds)
{
	int			digits = 0;
	int			half = 0;		/* the digit that decides about rounding */
	bool		more = false;	/* and is there anything behind it? */

	*microseconds = 0;
	while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9')
	{
		int			digit = *cursor->at++ - '0';

		if (digits < 6)
			*microseconds = *microseconds * 10 + digit;
		else if (digits == 6)
			half = digit;
		else if (digit > 0)
			more = true;
		digits++;
	}
	if (digits == 0)
		return false;
	for (; digits < 6; digits++)
		*microseconds *= 10;
	if (half > 5 || (half == 5 && (more || *microseconds % 2 == 1)))
		*microseconds += 1;
	return true;
}

/* The microseconds since midnight. */
static bool
read_time(Cursor *cursor, int64 *time)
{
	int			hour,
				minute,
				second = 0;
	int64		fraction = 0;
	bool		colons;
	bool		seconds;

	if (!read_digits(cursor, 2, &hour))
		return false;
	colons = read_char(cursor, ':');
	if (!read_digits(cursor, 2, &minute))
		return false;

	seconds = colons ? read_char(cursor, ':') :
		(cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9');
	if (seconds)
	{
		if (!read_digits(cursor, 2, &second))
			return false;
		if ((read_char(cursor, '.') || read_char(cursor, ',')) &&
			!read_fraction(cursor, &fraction))
			return false;
	}

	if (minute > 59 || second > 60 || hour > 24)
		return false;
	*time = (int64) ((hour * 60 + minute) * 60 + second) * USECS_PER_SEC + fraction;
	return hour < 24 || *time == USECS_PER_DAY;
}

/* How far local time is ahead of UTC, in microseconds. */
static bool
read_zone(Cursor *cursor, int64 *ahead)
{
	bool		west;
	int			hours,
				minutes = 0;

	*ahead = 0;
	if (cursor->at == cursor->end ||
		read_char(cursor, 'Z') || read_char(cursor, 'z'))
		return true;

	west = read_char(cursor, '-');
	if (!west && !read_char(cursor, '+'))
		return false;
	if (!read_digits(cursor, 2, &hours) || hours > MAX_TZDISP_HOUR)
		return false;
	if ((read_char(cursor, ':') || cursor->at < cursor->end) &&
		(!read_digits(cursor, 2, &minutes) || minutes > 59))
		return false;

	*ahead = (int64) (hours * 60 + minutes) * USECS_PER_MINUTE;
	if (west)
		*ahead = -*ahead;
	return true;
}

/* Returns false when the text is not a date and time that timestamptz holds. */
bool
reco_iso8601_parse(const char *text, int length, TimestampTz *result)
{
	Cursor		cursor = {text, text + length};
	int			days;
	int64		time = 0,
				ahead = 0;

	if (!read_date(&cursor, &days))
		return false;
	if (cursor.at < cursor.end)
	{
		if (!read_char(&cursor, 'T') && !read_char(&cursor, 't') &&
			!read_char(&cursor, ' '))
			return false;
		if (!read_time(&cursor, &time) || !read_zone(&cursor, &ahead))
			return false;
	}
	if (cursor.at != cursor.end)
		return false;

	*result = days * USECS_PER_DAY + time - ahead;
	return IS_VALID_TIMESTAMP(*result);
}
