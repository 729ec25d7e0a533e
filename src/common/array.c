/*-------------------------------------------------------------------------
 *
 * array.c
 *	  Arrays of numbers, as in reco's tables, and sets of IDs.
 *
 * Does no I/O.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/int.h"
#include "lib/qunique.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/*
 * The elements of an array, or NULL if it does not consist of count elements
 * of the type: a superuser may have written something else to the table.
 */
void *
reco_array_elements(ArrayType *array, Oid type, int count)
{
	bool		plain = ARR_NDIM(array) == 1 && !ARR_HASNULL(array) &&
		ARR_ELEMTYPE(array) == type && ARR_DIMS(array)[0] == count;

	return plain ? ARR_DATA_PTR(array) : NULL;
}

/* Make an array without NULLs. */
ArrayType *
reco_array(const Datum *elements, int count, Oid type)
{
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	return construct_array((Datum *) elements, count, type, length, by_value, align);
}

static int
ids_compare(const void *a, const void *b)
{
	return pg_cmp_s64(*(const int64 *) a, *(const int64 *) b);
}

/* Sort, and remove duplicates. */
void
reco_ids_sort(RecoIds *ids)
{
	qsort(ids->ids, ids->count, sizeof(int64), ids_compare);
	ids->count = qunique(ids->ids, ids->count, sizeof(int64), ids_compare);
}

/* bigint[] */
ArrayType *
reco_ids_array(const int64 *ids, int count)
{
	Datum	   *datums = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		datums[i] = Int64GetDatum(ids[i]);
	return reco_array(datums, count, INT8OID);
}

/*
 * Enlarge an array of n elements that lives as long as the process, possibly
 * NULL, to a size; new elements are zeroed.
 */
void *
reco_array_grow(void *array, Size element, int32 n, int32 wanted)
{
	array = array == NULL ? MemoryContextAllocHuge(TopMemoryContext, wanted * element) :
		repalloc_huge(array, wanted * element);
	memset((char *) array + n * element, 0, (wanted - n) * element);
	return array;
}
