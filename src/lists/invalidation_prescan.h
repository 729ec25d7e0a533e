/*-------------------------------------------------------------------------
 *
 * invalidation_prescan.h
 *	  The lists that a change of products will make stale.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_INVALIDATION_PRESCAN_H
#define RECO_INVALIDATION_PRESCAN_H

#include "engine/write.h"
#include "lists/stale_users.h"

/* A product that is to change: its id, and its category afterwards; null: none. */
typedef struct RecoProductChange
{
	text	   *id;
	text	   *category;
	bool		enters;
} RecoProductChange;

/* What a look through the users' rows has found; for one change, which must follow. */
typedef struct RecoPrescan RecoPrescan;

typedef enum RecoPrescanResult
{
	RECO_PRESCAN_INVALID,		/* look through all rows */
	RECO_PRESCAN_SOME,			/* these users' lists may be stale */
	RECO_PRESCAN_MANY			/* more are than are brought up to date at once */
} RecoPrescanResult;

extern RecoPrescan *reco_prescan_run(const RecoProductChange *products, int n);
extern RecoPrescanResult reco_prescan_finish(RecoPrescan *prescan, RecoWrite *write, const RecoStale *stale,
											 RecoUserTid **users, int *count);

#endif							/* RECO_INVALIDATION_PRESCAN_H */
