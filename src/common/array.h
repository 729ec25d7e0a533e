/*-------------------------------------------------------------------------
 *
 * array.h
 *	  Arrays of numbers, as in reco's tables, and sets of IDs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ARRAY_H
#define RECO_ARRAY_H

#include "utils/array.h"

/* Numbers of users, or windows as TimestampTz. */
typedef struct RecoIds
{
	int64	   *ids;
	int			count;
} RecoIds;

extern ArrayType *reco_array(const Datum *elements, int count, Oid type);
extern void *reco_array_elements(ArrayType *array, Oid type, int count);
extern void reco_ids_sort(RecoIds *ids);
extern ArrayType *reco_ids_array(const int64 *ids, int count);
extern void *reco_array_grow(void *array, Size element, int32 n, int32 wanted);

#endif							/* RECO_ARRAY_H */
