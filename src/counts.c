/*-------------------------------------------------------------------------
 *
 * counts.c
 *	  Counters of a window, packed.
 *
 * A batch of events changes the counters of thousands of products.  In rows
 * of their own they took a quarter of the time that a batch takes; numbers
 * are dense, so RECO_BUCKET neighbours share a row, and a batch writes some
 * hundred rows instead.
 *
 * Touches memory only, but for the view that unpacks them for people.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "counts.h"
#include "fmgr.h"
#include "funcapi.h"

/* All counters are 0. */
void
reco_counts_clear(RecoCounts *counts)
{
	memset(counts->counts, 0, sizeof(counts->counts));
	SET_VARSIZE(counts, sizeof(RecoCounts));
}

/* Take the counters of a packed value, whose header may be a short one. */
void
reco_counts_unpack(RecoCounts *counts, Datum packed)
{
	bytea	   *value = DatumGetByteaPP(packed);

	if (VARSIZE_ANY_EXHDR(value) != sizeof(counts->counts))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("counters have %zu bytes instead of %zu",
						(size_t) VARSIZE_ANY_EXHDR(value), sizeof(counts->counts)),
				 errhint("Run reco_rebuild().")));
	SET_VARSIZE(counts, sizeof(RecoCounts));
	memcpy(counts->counts, VARDATA_ANY(value), sizeof(counts->counts));
}

/* Add views, which may be negative, to a product's counter; the new total. */
int64
reco_counts_add(RecoCounts *counts, int32 number, int64 views)
{
	uint32	   *counter = &counts->counts[number % RECO_BUCKET];
	int64		total = *counter + views;

	if (total > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("a product has more than %u views in a window", PG_UINT32_MAX)));
	if (total < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a product has fewer views in reco.window_counter than are taken from it"),
				 errhint("Run reco_rebuild().")));
	*counter = (uint32) total;
	return total;
}

bool
reco_counts_are_zero(const RecoCounts *counts)
{
	for (int i = 0; i < RECO_BUCKET; i++)
		if (counts->counts[i] != 0)
			return false;
	return true;
}

PG_FUNCTION_INFO_V1(reco_unpack_counts);

/* reco.unpack_counts(bucket, counts): rows (number int, view_count bigint). */
Datum
reco_unpack_counts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int32		bucket = PG_GETARG_INT32(0);
	RecoCounts	counts;

	InitMaterializedSRF(fcinfo, 0);
	reco_counts_unpack(&counts, PG_GETARG_DATUM(1));
	for (int i = 0; i < RECO_BUCKET; i++)
	{
		Datum		values[2] = {Int32GetDatum(bucket * RECO_BUCKET + i),
		Int64GetDatum((int64) counts.counts[i])};
		bool		nulls[2] = {false, false};

		if (counts.counts[i] != 0)
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
