/*-------------------------------------------------------------------------
 *
 * written.h
 *	  Users whose rows were written since a moment.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WRITTEN_H
#define RECO_WRITTEN_H

#include "storage/itemptr.h"

/* A user, and where the row is likely to stand. */
typedef struct RecoUserPlace
{
	int64		user_id;
	ItemPointerData place;
} RecoUserPlace;

extern const struct RecoShmemArea reco_written_area;

/* Only one process watches; all of these under reco's lock. */
extern void reco_written_watch(void);
extern void reco_written_add(int64 user_id, ItemPointer place);
extern int	reco_written_end(const RecoUserPlace **users);

#endif							/* RECO_WRITTEN_H */
