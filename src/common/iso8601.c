/*-------------------------------------------------------------------------
 *
 * iso8601.c
 *	  ISO 8601 date and time to timestamptz.
 *
 * timestamptz_in takes 230 ns and accepts much that is not ISO 8601 ("now",
 * "yesterday", whatever DateStyle says).  This takes a tenth of that, depends
 * on no setting, and never raises an ERROR.
 *
 * Accepted: YYYY-MM-DD or YYYYMMDD, alone or followed by T or a space and
 * hh:mm[:ss] or hhmm[ss], fractional seconds, and Z or an offset from UTC as
 * +hh, +hhmm or +hh:mm.  Without a zone the time is UTC.  As in PostgreSQL,
 * 24:00:00 is the end of the day and second 60 is the start of the next minute.
 *
 * Allocates no memory, and reads no byte beyond the text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/iso8601.h"
#include "utils/datetime.h"

/* The rest of the input. */
typedef struct Cursor
{
	const char *at;
	const char *end;
} Cursor;

/* Read exactly "count" digits. */
static bool
iso8601_read_digits(Cursor *cursor, int count, int *value)
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

/* Consume the next character if it is c. */
static bool
iso8601_read_char(Cursor *cursor, char c)
{
	if (cursor->at >= cursor->end || *cursor->at != c)
		return false;
	cursor->at++;
	return true;
}

/* Read a date as days since 2000-01-01. */
static bool
iso8601_read_date(Cursor *cursor, int *days)
{
	int			year,
				month,
				day;
	bool		dashes;

	if (!iso8601_read_digits(cursor, 4, &year) || year == 0)
		return false;
	dashes = iso8601_read_char(cursor, '-');
	if (!iso8601_read_digits(cursor, 2, &month) || month < 1 || month > 12)
		return false;
	if (dashes && !iso8601_read_char(cursor, '-'))
		return false;
	if (!iso8601_read_digits(cursor, 2, &day) || day < 1 ||
		day > day_tab[isleap(year)][month - 1])
		return false;

	*days = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	return true;
}

/*
 * Read the digits after the decimal point, rounded half to even to
 * microseconds, as timestamptz_in does.
 */
static bool
iso8601_read_fraction(Cursor *cursor, int64 *microseconds)
{
	int			digits = 0;
	int			half = 0;		/* the seventh digit, which decides the rounding */
	bool		more = false;	/* is any digit after it not 0? */

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

/* Read a time of day as microseconds since midnight. */
static bool
iso8601_read_time(Cursor *cursor, int64 *time)
{
	int			hour,
				minute,
				second = 0;
	int64		fraction = 0;
	bool		colons;
	bool		seconds;

	if (!iso8601_read_digits(cursor, 2, &hour))
		return false;
	colons = iso8601_read_char(cursor, ':');
	if (!iso8601_read_digits(cursor, 2, &minute))
		return false;

	seconds = colons ? iso8601_read_char(cursor, ':') :
		(cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9');
	if (seconds)
	{
		if (!iso8601_read_digits(cursor, 2, &second))
			return false;
		if ((iso8601_read_char(cursor, '.') || iso8601_read_char(cursor, ',')) &&
			!iso8601_read_fraction(cursor, &fraction))
			return false;
	}

	if (minute > 59 || second > 60 || hour > 24)
		return false;
	*time = (int64) ((hour * 60 + minute) * 60 + second) * USECS_PER_SEC + fraction;
	return hour < 24 || *time == USECS_PER_DAY;
}

/* Read how far local time is ahead of UTC, in microseconds. */
static bool
iso8601_read_zone(Cursor *cursor, int64 *ahead)
{
	bool		west;
	int			hours,
				minutes = 0;

	*ahead = 0;
	if (cursor->at == cursor->end ||
		iso8601_read_char(cursor, 'Z') || iso8601_read_char(cursor, 'z'))
		return true;

	west = iso8601_read_char(cursor, '-');
	if (!west && !iso8601_read_char(cursor, '+'))
		return false;
	if (!iso8601_read_digits(cursor, 2, &hours) || hours > MAX_TZDISP_HOUR)
		return false;
	if ((iso8601_read_char(cursor, ':') || cursor->at < cursor->end) &&
		(!iso8601_read_digits(cursor, 2, &minutes) || minutes > 59))
		return false;

	*ahead = (int64) (hours * 60 + minutes) * USECS_PER_MINUTE;
	if (west)
		*ahead = -*ahead;
	return true;
}

/* Returns false if the text is not ISO 8601 or out of timestamptz's range. */
bool
reco_iso8601_parse(const char *text, int length, TimestampTz *result)
{
	Cursor		cursor = {text, text + length};
	int			days;
	int64		time = 0,
				ahead = 0;

	if (!iso8601_read_date(&cursor, &days))
		return false;
	if (cursor.at < cursor.end)
	{
		if (!iso8601_read_char(&cursor, 'T') && !iso8601_read_char(&cursor, 't') &&
			!iso8601_read_char(&cursor, ' '))
			return false;
		if (!iso8601_read_time(&cursor, &time) || !iso8601_read_zone(&cursor, &ahead))
			return false;
	}
	if (cursor.at != cursor.end)
		return false;

	*result = days * USECS_PER_DAY + time - ahead;
	return IS_VALID_TIMESTAMP(*result);
}
