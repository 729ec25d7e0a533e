/*-------------------------------------------------------------------------
 *
 * user_state.h
 *	  A user's row: recent views and the list computed from them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_USER_STATE_H
#define RECO_USER_STATE_H

#include "lists/user_rows.h"

/* Users' rows open for writing; write each user once, in any order. */
typedef struct RecoUsers RecoUsers;

extern RecoUsers *reco_user_open(RecoWrite *write);
extern int64 reco_user_close(RecoUsers *users);
extern RecoUserRows *reco_user_rows(RecoUsers *users);

extern void reco_user_add(RecoUsers *users, int64 user_id, const RecoView *views, int n);
extern void reco_user_replace(RecoUsers *users, int64 user_id, const RecoView *views, int n);
extern void reco_user_refresh(RecoUsers *users, int64 user_id);
extern void reco_user_refresh_row(RecoUsers *users, TupleTableSlot *row);
extern bool reco_user_is_current(RecoUsers *users, TupleTableSlot *row);

#endif							/* RECO_USER_STATE_H */
