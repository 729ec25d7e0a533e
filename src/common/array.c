/*-------------------------------------------------------------------------
 *
 * array.c
 *	  The elements of arrays of numbers, as reco's tables hold them.
 *
 * Touches memory only.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/array.h"

/*
 * The elements of an array; NULL if it does not have so many of the type: a
 * superuser may have written something else to the table.
 */
void *
reco_elements(ArrayType *array, Oid type, int count)
{
	bool		plain = ARR_NDIM(array) == 1 && !ARR_HASNULL(array) &&
		ARR_ELEMTYPE(array) == type && ARR_DIMS(array)[0] == count;

	return plain ? ARR_DATA_PTR(array) : NULL;
}
