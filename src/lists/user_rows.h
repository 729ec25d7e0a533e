/*-------------------------------------------------------------------------
 *
 * user_rows.h
 *	  Finding and reading rows of reco.user_state.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_USER_ROWS_H
#define RECO_USER_ROWS_H

#include "engine/write.h"
#include "heap/keyed_table.h"
#include "lists/list_codec.h"
#include "lists/view_history.h"
#include "storage/block.h"

/* Columns of reco.user_state, from 0. */
enum
{
	RECO_USER_ID, RECO_USER_UPDATED_AT, RECO_USER_GENERATION, RECO_USER_SENT_AT, RECO_USER_LIST,
	RECO_USER_RECENT, RECO_USER_COLUMNS
};

/* Rows open for reading, and what the current one contains. */
typedef struct RecoUserRows
{
	RecoTable  *table;
	RecoHistory recent;
	RecoList	list;
} RecoUserRows;

/* Called for each row of a scan; returns false to end it. */
typedef bool (*RecoUserVisitor) (RecoUserRows *rows, TupleTableSlot *row, void *arg);

extern RecoUserRows *reco_user_rows_open(void);
extern void reco_user_rows_close(RecoUserRows *rows);
extern BlockNumber reco_user_rows_blocks(RecoUserRows *rows);
extern Oid	reco_user_rows_file(RecoUserRows *rows);
extern BlockNumber reco_user_rows_scan(RecoUserRows *rows, BlockNumber first, BlockNumber blocks,
									   RecoUserVisitor visit, void *arg);
extern TupleTableSlot *reco_user_rows_fetch_near(RecoUserRows *rows, int64 user_id, ItemPointer tid);

extern int64 reco_user_row_id(TupleTableSlot *row);
extern const RecoHistory *reco_user_row_views(RecoUserRows *rows, TupleTableSlot *row);
extern const RecoList *reco_user_row_list(RecoUserRows *rows, TupleTableSlot *row);

/* For user_state.c. */
extern RecoTable *reco_user_rows_open_table(RecoWrite *write);
extern void reco_user_rows_init(RecoUserRows *rows, RecoTable *table);
extern void reco_user_rows_end(RecoUserRows *rows);

extern void reco_user_rows_prefetch(RecoUserRows *rows, int64 user_id, RecoPrefetchStage stage);
extern void reco_user_fill_tid_cache(void);
extern RecoTable *reco_user_open_read(Snapshot snapshot);
extern bool reco_user_fetch_list(RecoTable *table, int64 user_id, ItemPointer tid,
								 Datum *list);

#endif							/* RECO_USER_ROWS_H */
