/*-------------------------------------------------------------------------
 *
 * stale_users.h
 *	  The users whose lists a change of products makes stale.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_STALE_USERS_H
#define RECO_STALE_USERS_H

#include "lists/strategy.h"
#include "lists/user_rows.h"

/* Limit of lists that are computed in the transaction of the change. */
#define RECO_MAX_STALE_USERS 10000

/* A user, and where the row probably is. */
typedef struct RecoUserTid
{
	int64		user_id;
	ItemPointerData tid;
} RecoUserTid;

/* A search, and what it has found. */
typedef struct RecoStaleUsers
{
	const RecoStale *stale;
	RecoUserTid *users;			/* at most RECO_MAX_STALE_USERS */
	int			count;
	bool		too_many;		/* there are more */
} RecoStaleUsers;

extern void reco_stale_users_init(RecoStaleUsers *search, const RecoStale *stale);
extern bool reco_stale_users_visit(RecoUserRows *rows, TupleTableSlot *row, void *search);

#endif							/* RECO_STALE_USERS_H */
