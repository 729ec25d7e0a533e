/*-------------------------------------------------------------------------
 *
 * invalidation_prescan.h
 *	  The lists that a change of the mirror will touch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_INVALIDATION_PRESCAN_H
#define RECO_INVALIDATION_PRESCAN_H

#include "engine/write.h"
#include "lists/touched.h"
#include "shmem/written.h"

typedef enum RecoForeseen
{
	RECO_FORESEEN_NOT,			/* look through all rows */
	RECO_FORESEEN_SOME,			/* those of some users may be touched */
	RECO_FORESEEN_MANY			/* more are than were asked for */
} RecoForeseen;

extern void reco_foresee(const Datum *ids, const Datum *categories, const bool *uncategorized, int n);
extern RecoForeseen reco_foresee_take(RecoWrite *write, const RecoTouched *touched,
									  RecoUserPlace **users, int *count);
extern void reco_foresee_forget(void);

#endif							/* RECO_INVALIDATION_PRESCAN_H */
