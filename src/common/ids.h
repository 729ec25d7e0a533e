/*-------------------------------------------------------------------------
 *
 * ids.h
 *	  Sets of users or windows; no I/O.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_IDS_H
#define RECO_IDS_H

#include "utils/array.h"

/* Numbers of users, or windows as TimestampTz. */
typedef struct RecoIds
{
	int64	   *ids;
	int			count;
} RecoIds;

extern void reco_ids_sort(RecoIds *ids);
extern ArrayType *reco_ids_array(const int64 *ids, int count);

#endif							/* RECO_IDS_H */
