/*-------------------------------------------------------------------------
 *
 * ids.c
 *	  Sets of users or windows; no I/O.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/ids.h"
#include "lib/qunique.h"

static int
compare_ids(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return left < right ? -1 : left > right;
}

/* Sort, and remove duplicates. */
void
reco_ids_sort(RecoIds *ids)
{
	qsort(ids->ids, ids->count, sizeof(int64), compare_ids);
	ids->count = qunique(ids->ids, ids->count, sizeof(int64), compare_ids);
}

/* bigint[] */
ArrayType *
reco_ids_array(const int64 *ids, int count)
{
	Datum	   *datums = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		datums[i] = Int64GetDatum(ids[i]);
	return construct_array(datums, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
						   TYPALIGN_DOUBLE);
}
