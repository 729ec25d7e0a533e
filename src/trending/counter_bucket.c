/*-------------------------------------------------------------------------
 *
 * counter_bucket.c
 *	  A bucket of a window's counters, packed.
 *
 * A batch of events changes the counters of thousands of products.  With a row
 * for each they took a quarter of the time of a batch; numbers are dense, so
 * RECO_BUCKET_SIZE neighbours share a row, and a batch writes a few hundred rows
 * instead.  A row holds them in the machine's byte order, each with as many
 * bytes as the greatest needs, because beside an old snapshot each batch leaves
 * a version of the row behind.
 *
 * Memory only, but for the set-returning function that a view uses.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/own_extension.h"
#include "fmgr.h"
#include "funcapi.h"
#include "trending/counter_bucket.h"

/* Set all counters to 0. */
void
reco_counter_bucket_clear(RecoCounterBucket *counts)
{
	memset(counts, 0, sizeof(*counts));
}

/* Unpack the counters of a value, which may have a short varlena header. */
void
reco_counter_bucket_unpack(RecoCounterBucket *counts, Datum packed)
{
	bytea	   *value = DatumGetByteaPP(packed);
	Size		bytes = VARSIZE_ANY_EXHDR(value);
	const char *data = VARDATA_ANY(value);
	uint16		two[RECO_BUCKET_SIZE];

	switch (bytes)
	{
		case RECO_BUCKET_SIZE * sizeof(uint8):
			for (int i = 0; i < RECO_BUCKET_SIZE; i++)
				counts->counts[i] = (uint8) data[i];
			break;
		case RECO_BUCKET_SIZE * sizeof(uint16):
			memcpy(two, data, sizeof(two));
			for (int i = 0; i < RECO_BUCKET_SIZE; i++)
				counts->counts[i] = two[i];
			break;
		case RECO_BUCKET_SIZE * sizeof(uint32):
			memcpy(counts->counts, data, sizeof(counts->counts));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("invalid length %zu of packed counters", bytes),
					 errhint("Run reco_rebuild().")));
	}
}

/* Bytes that the greatest counter needs: 1, 2 or 4. */
static Size
counter_bucket_width(const RecoCounterBucket *counts)
{
	uint32		bits = 0;

	for (int i = 0; i < RECO_BUCKET_SIZE; i++)
		bits |= counts->counts[i];
	return bits <= PG_UINT8_MAX ? sizeof(uint8) : bits <= PG_UINT16_MAX ? sizeof(uint16) : sizeof(uint32);
}

/* Pack the counters, in the current memory context. */
bytea *
reco_counter_bucket_pack(const RecoCounterBucket *counts)
{
	Size		width = counter_bucket_width(counts);
	bytea	   *packed = palloc(VARHDRSZ + RECO_BUCKET_SIZE * width);
	char	   *data = VARDATA(packed);

	SET_VARSIZE(packed, VARHDRSZ + RECO_BUCKET_SIZE * width);
	if (width == sizeof(uint8))
		for (int i = 0; i < RECO_BUCKET_SIZE; i++)
			((uint8 *) data)[i] = (uint8) counts->counts[i];
	else if (width == sizeof(uint16))
		for (int i = 0; i < RECO_BUCKET_SIZE; i++)
			((uint16 *) data)[i] = (uint16) counts->counts[i];
	else
		memcpy(data, counts->counts, sizeof(counts->counts));
	return packed;
}

/* Add views, which may be negative, to a product's counter; returns the new total. */
int64
reco_counter_bucket_add(RecoCounterBucket *counts, int32 number, int64 views)
{
	uint32	   *counter = &counts->counts[number % RECO_BUCKET_SIZE];
	int64		total = *counter + views;

	if (total > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("a product has more than %u views in a window", PG_UINT32_MAX)));
	if (total < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a product has fewer views in reco.window_counter than are subtracted"),
				 errhint("Run reco_rebuild().")));
	*counter = (uint32) total;
	return total;
}

bool
reco_counter_bucket_is_zero(const RecoCounterBucket *counts)
{
	for (int i = 0; i < RECO_BUCKET_SIZE; i++)
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
	RecoCounterBucket counts;

	reco_own_extension_check(false);
	InitMaterializedSRF(fcinfo, 0);
	reco_counter_bucket_unpack(&counts, PG_GETARG_DATUM(1));
	for (int i = 0; i < RECO_BUCKET_SIZE; i++)
	{
		Datum		values[2] = {Int32GetDatum(bucket * RECO_BUCKET_SIZE + i),
		Int64GetDatum((int64) counts.counts[i])};
		bool		nulls[2] = {false, false};

		if (counts.counts[i] != 0)
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
