/*-------------------------------------------------------------------------
 *
 * user_state.h
 *	  A user's row: recent views and the list computed from them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_USER_STATE_H
#define RECO_USER_STATE_H

#include "engine/state.h"
#include "heap/keyed_table.h"
#include "lists/list_codec.h"
#include "lists/view_history.h"
#include "storage/block.h"

/* Users' rows open for writing; write each user once, in any order. */
typedef struct RecoUsers RecoUsers;

/* Called for each row of a scan; false ends it. */
typedef bool (*RecoUserVisitor) (RecoUsers *users, TupleTableSlot *row, void *arg);

extern RecoUsers *reco_user_open(const RecoState *state);
extern int64 reco_user_close(RecoUsers *users);

extern void reco_user_add(RecoUsers *users, int64 user_id, const RecoView *views, int n);
extern void reco_user_replace(RecoUsers *users, int64 user_id, const RecoView *views, int n);
extern void reco_user_refresh(RecoUsers *users, int64 user_id);
extern void reco_user_prefetch(int64 user_id, RecoPrefetchStage stage);

extern BlockNumber reco_user_blocks(RecoUsers *users);
extern Oid	reco_user_file(RecoUsers *users);
extern BlockNumber reco_user_scan(RecoUsers *users, BlockNumber first, BlockNumber blocks,
								  RecoUserVisitor visit, void *arg);
extern int64 reco_user_id(TupleTableSlot *row);
extern bool reco_user_is_current(RecoUsers *users, TupleTableSlot *row);
extern const RecoRecent *reco_user_views(RecoUsers *users, TupleTableSlot *row);
extern const RecoList *reco_user_list(RecoUsers *users, TupleTableSlot *row);
extern void reco_user_refresh_row(RecoUsers *users, TupleTableSlot *row);
extern TupleTableSlot *reco_user_fetch_near(RecoUsers *users, int64 user_id, ItemPointer tid);

extern void reco_user_fill_tid_cache(void);
extern RecoTable *reco_user_open_read(Snapshot snapshot);
extern bool reco_user_fetch_list(RecoTable *table, int64 user_id, ItemPointer tid,
								 Datum *list);

#endif							/* RECO_USER_STATE_H */
