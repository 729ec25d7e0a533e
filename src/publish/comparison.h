/*-------------------------------------------------------------------------
 *
 * comparison.h
 *	  Keys of the sink beside the rows that they stand for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_COMPARISON_H
#define RECO_COMPARISON_H

#include "engine/state.h"
#include "nodes/pg_list.h"
#include "publish/sink.h"

/* Texts in the database's encoding; NULL: there is none. */
typedef struct RecoKeyDifference
{
	int64		id;
	char	   *key;
	char	   *expected;
	char	   *found;
} RecoKeyDifference;

/*
 * Compare the keys of some users or windows, at most some thousands, with their
 * rows; returns a list of RecoKeyDifference.  Needs SPI and a client's
 * transaction.  After the rows have been read, and before the sink is asked,
 * settle is called unless it is NULL.
 */
extern List *reco_compare_keys(RecoSinkLink *link, bool windows, const RecoState *state, const int64 *ids,
							   int count, bool (*settle) (void));

#endif							/* RECO_COMPARISON_H */
