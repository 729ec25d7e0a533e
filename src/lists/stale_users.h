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

/* Lists that a change brings up to date in its transaction, at most. */
#define RECO_MAX_STALE_USERS 10000

/* A user, and where the row is likely to stand. */
typedef struct RecoUserTid
{
	int64		user_id;
	ItemPointerData tid;
} RecoUserTid;

/* What is searched for, and what has been found. */
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
