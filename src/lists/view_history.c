/*-------------------------------------------------------------------------
 *
 * view_history.c
 *	  A user's recent views, packed.
 *
 * Does no I/O, except for the SQL function that unpacks them.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/own_extension.h"
#include "engine/state.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lists/view_history.h"
#include "utils/timestamp.h"

/* Maximum length of a packed number, in bytes. */
#define MAX_NUMBER_BYTES 5

/* Initialize an empty history, in the current memory context. */
void
reco_history_init(RecoHistory *recent)
{
	recent->count = 0;
	recent->size = 64;
	recent->views = palloc(recent->size * sizeof(RecoView));
}

static void
history_make_room(RecoHistory *recent, int size)
{
	if (size <= recent->size)
		return;
	recent->size = Max(size, recent->size * 2);
	recent->views = repalloc(recent->views, recent->size * sizeof(RecoView));
}

/* Seven bits a byte, the lowest first; all but the last have the eighth set. */
static uint8 *
history_put_number(uint8 *at, uint32 value)
{
	for (; value > 0x7F; value >>= 7)
		*at++ = (value & 0x7F) | 0x80;
	*at++ = value;
	return at;
}

/* Decode the next number; returns where it ends, NULL if there is none. */
static inline const uint8 *
history_get_number(const uint8 *at, const uint8 *end, uint32 *value)
{
	*value = 0;
	for (int shift = 0; at < end && shift < 32; shift += 7)
	{
		*value |= (uint32) (*at & 0x7F) << shift;
		if (*at++ <= 0x7F)
			return at;
	}
	return NULL;
}

/* Unpack views; the value may have a short header. */
void
reco_history_unpack(RecoHistory *recent, const bytea *packed)
{
	const uint8 *at = (const uint8 *) VARDATA_ANY(packed);
	const uint8 *end = at + VARSIZE_ANY_EXHDR(packed);
	int64		second = PG_INT32_MIN;

	history_make_room(recent, (end - at) / 2);
	recent->count = 0;
	while (at < end)
	{
		uint32		passed;
		uint32		number;

		at = history_get_number(at, end, &passed);
		if (at != NULL)
			at = history_get_number(at, end, &number);
		second += passed;
		if (at == NULL || number >= PG_INT32_MAX || second > PG_INT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("a user's recent views are not pairs of a time and a product's number"),
					 errhint("Run reco_rebuild().")));
		recent->views[recent->count++] = (RecoView) {.number = number,.second = second};
	}
}

/*
 * Pack the views, in the current memory context: for each one, the seconds
 * since the one before it, and the product's number.
 *
 * With 4 to 5 bytes a view, two versions of a row with 500 views fit into a
 * page.  With 8 bytes they did not, and each event of a busy user filled a new
 * page: 10 MB/s of writes at 60,000 events/s.
 */
bytea *
reco_history_pack(const RecoHistory *recent)
{
	bytea	   *packed = palloc(VARHDRSZ + recent->count * 2 * MAX_NUMBER_BYTES);
	uint8	   *at = (uint8 *) VARDATA(packed);
	int32		before = PG_INT32_MIN;

	for (int i = 0; i < recent->count; i++)
	{
		at = history_put_number(at, (uint32) recent->views[i].second - (uint32) before);
		at = history_put_number(at, recent->views[i].number);
		before = recent->views[i].second;
	}
	SET_VARSIZE(packed, (char *) at - (char *) packed);
	return packed;
}

static void
history_drop_oldest(RecoHistory *recent, int n)
{
	recent->count -= n;
	memmove(recent->views, recent->views + n, recent->count * sizeof(RecoView));
}

/* Remove the views up to a second; false if there are none. */
bool
reco_history_expire(RecoHistory *recent, int32 upto)
{
	int			n = 0;

	while (n < recent->count && recent->views[n].second <= upto)
		n++;
	if (n > 0)
		history_drop_oldest(recent, n);
	return n > 0;
}

/* Add views, in any order.  Nearly always they are the newest. */
void
reco_history_add(RecoHistory *recent, const RecoView *views, int n)
{
	history_make_room(recent, recent->count + n);
	for (int i = 0; i < n; i++)
	{
		int			at = recent->count++;

		while (at > 0 && recent->views[at - 1].second > views[i].second)
		{
			recent->views[at] = recent->views[at - 1];
			at--;
		}
		recent->views[at] = views[i];
	}
}

/*
 * Keep the newest max views; among those of one second, those of the greatest
 * products, in the order that compare defines.
 */
void
reco_history_cap(RecoHistory *recent, int max, int (*compare) (int32 a, int32 b))
{
	int			excess = recent->count - max;
	int			last = excess;
	int32		second;

	if (excess <= 0)
		return;

	/* only views of the second at the limit need to be sorted */
	second = recent->views[excess].second;
	while (last < recent->count && recent->views[last].second == second)
		last++;
	if (recent->views[excess - 1].second == second)
	{
		int			first = excess - 1;

		while (first > 0 && recent->views[first - 1].second == second)
			first--;
		for (int i = first + 1; i < last; i++)
		{
			RecoView	view = recent->views[i];
			int			at = i;

			while (at > first && compare(recent->views[at - 1].number, view.number) > 0)
			{
				recent->views[at] = recent->views[at - 1];
				at--;
			}
			recent->views[at] = view;
		}
	}
	history_drop_oldest(recent, excess);
}

PG_FUNCTION_INFO_V1(reco_unpack_views);

/* The packed views as rows (number int, viewed_at timestamptz). */
Datum
reco_unpack_views(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RecoHistory recent;

	reco_own_extension_check(false);
	InitMaterializedSRF(fcinfo, 0);
	reco_history_init(&recent);
	reco_history_unpack(&recent, PG_GETARG_BYTEA_PP(0));
	for (int i = 0; i < recent.count; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = Int32GetDatum(recent.views[i].number);
		values[1] = TimestampTzGetDatum(reco_state_moment(recent.views[i].second));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
