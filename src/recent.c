/*-------------------------------------------------------------------------
 *
 * recent.c
 *	  A user's recent views, packed.
 *
 * Touches memory only, but for the view that unpacks them for people.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "recent.h"
#include "state.h"
#include "utils/timestamp.h"

/* An empty set with some room, in the present memory context. */
void
reco_recent_init(RecoRecent *recent)
{
	recent->count = 0;
	recent->size = 64;
	recent->views = palloc(recent->size * sizeof(RecoView));
}

static void
make_room(RecoRecent *recent, int size)
{
	if (size <= recent->size)
		return;
	recent->size = Max(size, recent->size * 2);
	recent->views = repalloc(recent->views, recent->size * sizeof(RecoView));
}

/* Take the views of a packed value, whose header may be a short one. */
void
reco_recent_unpack(RecoRecent *recent, const bytea *packed)
{
	Size		bytes = VARSIZE_ANY_EXHDR(packed);

	if (bytes % sizeof(RecoView) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a user's recent views have %zu bytes, which is no multiple of %zu",
						bytes, sizeof(RecoView)),
				 errhint("Run reco_rebuild().")));
	recent->count = bytes / sizeof(RecoView);
	make_room(recent, recent->count);
	memcpy(recent->views, VARDATA_ANY(packed), bytes);
}

/* The packed value, in the present memory context. */
bytea *
reco_recent_pack(const RecoRecent *recent)
{
	Size		bytes = recent->count * sizeof(RecoView);
	bytea	   *packed = palloc(VARHDRSZ + bytes);

	SET_VARSIZE(packed, VARHDRSZ + bytes);
	memcpy(VARDATA(packed), recent->views, bytes);
	return packed;
}

static void
drop_oldest(RecoRecent *recent, int n)
{
	recent->count -= n;
	memmove(recent->views, recent->views + n, recent->count * sizeof(RecoView));
}

/* Drop the views up to a second; false if there are none. */
bool
reco_recent_expire(RecoRecent *recent, int32 upto)
{
	int			n = 0;

	while (n < recent->count && recent->views[n].second <= upto)
		n++;
	if (n > 0)
		drop_oldest(recent, n);
	return n > 0;
}

/* Add views in any order.  Nearly always they are the newest. */
void
reco_recent_add(RecoRecent *recent, const RecoView *views, int n)
{
	make_room(recent, recent->count + n);
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
 * Keep the newest max views; of one second those of the greatest products,
 * by the order that compare gives their numbers.
 */
void
reco_recent_cap(RecoRecent *recent, int max, int (*compare) (int32 a, int32 b))
{
	int			excess = recent->count - max;
	int			last = excess;
	int32		second;

	if (excess <= 0)
		return;

	/* Only views of the second in which the cut falls need to be ordered. */
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
	drop_oldest(recent, excess);
}

PG_FUNCTION_INFO_V1(reco_unpack_views);

/* The packed views as rows (number int, viewed_at timestamptz). */
Datum
reco_unpack_views(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RecoRecent	recent;

	InitMaterializedSRF(fcinfo, 0);
	reco_recent_init(&recent);
	reco_recent_unpack(&recent, PG_GETARG_BYTEA_PP(0));
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
