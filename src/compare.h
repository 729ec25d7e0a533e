/*-------------------------------------------------------------------------
 *
 * compare.h
 *	  Keys in Redis beside the rows that they stand for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_COMPARE_H
#define RECO_COMPARE_H

#include "format.h"
#include "nodes/pg_list.h"
#include "redis.h"
#include "state.h"

/* Texts in the database's encoding; NULL: there is none. */
typedef struct RecoDifference
{
	int64		id;
	char	   *key;
	char	   *expected;
	char	   *found;
} RecoDifference;

/*
 * Compare the keys of some users or windows, at most a few hundred, with their
 * rows; returns a list of RecoDifference.  Needs SPI and a client's transaction.
 */
extern List *reco_compare_keys(RecoRedis *redis, const RecoTemplate *template,
							   const RecoState *state, const int64 *ids, int count);

#endif							/* RECO_COMPARE_H */
