/*-------------------------------------------------------------------------
 *
 * invalidation_prescan.h
 *	  Finding stale lists before reco's lock is taken.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_INVALIDATION_PRESCAN_H
#define RECO_INVALIDATION_PRESCAN_H

#include "engine/write.h"
#include "lists/stale_users.h"

/* A product that is about to change: its ID, and its category afterwards; NULL: none. */
typedef struct RecoProductChange
{
	text	   *id;
	text	   *category;
	bool		enters;
} RecoProductChange;

/* The result of a prescan of users' rows; for one change, which must follow. */
typedef struct RecoPrescan RecoPrescan;

typedef enum RecoPrescanResult
{
	RECO_PRESCAN_INVALID,		/* all rows must be scanned */
	RECO_PRESCAN_SOME,			/* the lists of these users may be stale */
	RECO_PRESCAN_MANY			/* more are stale than are computed at once */
} RecoPrescanResult;

extern RecoPrescan *reco_prescan_run(const RecoProductChange *products, int n);
extern RecoPrescanResult reco_prescan_finish(RecoPrescan *prescan, RecoWrite *write, const RecoStale *stale,
											 RecoUserTid **users, int *count);

#endif							/* RECO_INVALIDATION_PRESCAN_H */
