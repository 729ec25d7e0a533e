/*-------------------------------------------------------------------------
 *
 * comparison.h
 *	  Comparison of the sink's keys with their rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_COMPARISON_H
#define RECO_COMPARISON_H

#include "engine/state.h"
#include "nodes/pg_list.h"
#include "publish/sink.h"

/* Texts in the database's encoding; NULL: there is none. */
typedef struct RecoKeyMismatch
{
	int64		id;
	char	   *key;
	char	   *expected;
	char	   *found;
} RecoKeyMismatch;

/*
 * Compare the keys of some users or windows, at most some thousands, with their
 * rows; returns a list of RecoKeyMismatch.  Needs SPI and a client's
 * transaction.  settle, unless NULL, is called after the rows have been read and
 * before the sink is asked.
 */
extern List *reco_comparison_run(RecoSinkLink *link, bool windows, const RecoState *state, const int64 *ids,
								 int count, bool (*settle) (void));

#endif							/* RECO_COMPARISON_H */
