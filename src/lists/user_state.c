/*-------------------------------------------------------------------------
 *
 * user_state.c
 *	  A user's row: recent views and the list computed from them.
 *
 * Each row of reco.user_state is read once and written once for a batch of
 * events: drop the views that turned H old, add the new ones, keep the newest
 * max_user_views, compute the list.  The user's key goes to the publisher if
 * the list changed, or if it was last sent so long ago that the key could
 * expire in Redis before the row does.  A user without recent views has no
 * row.
 *
 * Who writes holds reco's lock and has called reco_product_sync.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/heapam.h"
#include "access/xact.h"
#include "engine/product_dictionary.h"
#include "heap/keyed_table.h"
#include "lists/category_strategy.h"
#include "lists/user_state.h"
#include "miscadmin.h"
#include "shmem/change_queue.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "shmem/written.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Columns of reco.user_state, from 0. */
enum
{
	USER_ID, UPDATED_AT, GENERATION, SENT_AT, LIST, RECENT, COLUMNS
};

static RecoTidCache *tid_cache = NULL;
static const RecoTableDef by_user = {
	"user_state", "user_state_pkey", 1, {F_INT8EQ}, &tid_cache
};

/*
 * A key is sent again when its user is touched and it was last sent so long
 * ago.  reco_guc_redis_ttl() allows for it: a row lives at most
 * H + max_future after its last touch, a key an hour longer.
 */
#define SEND_AGAIN_AFTER (USECS_PER_HOUR)

struct RecoUsers
{
	RecoState	state;
	RecoTable  *table;
	RecoRecent	recent;
	RecoList	list;
	TimestampTz now;
	int32		expired;		/* views up to this second do not count */
	int64		written;
	instr_time	lists;			/* time spent on computing lists */
	MemoryContext scratch;		/* reset for each row */
};

/* Open the users' rows. */
RecoUsers *
reco_user_open(const RecoState *state)
{
	RecoUsers  *users = palloc0(sizeof(RecoUsers));

	users->state = *state;
	users->table = reco_table_open(&by_user);
	reco_recent_init(&users->recent);
	reco_list_init(&users->list);
	users->now = GetCurrentTransactionStartTimestamp();
	users->expired = reco_state_second(state->clock) - state->recent_window;
	users->scratch = AllocSetContextCreate(CurrentMemoryContext, "reco user",
										   ALLOCSET_DEFAULT_SIZES);
	return users;
}

/* Close them; returns how many rows were written. */
int64
reco_user_close(RecoUsers *users)
{
	int64		written = users->written;

	reco_table_close(users->table);
	MemoryContextDelete(users->scratch);
	reco_metrics_add(RECO_METRIC_LISTS, written);
	reco_metrics_phase_add(RECO_PHASE_LISTS, (uint64) (INSTR_TIME_GET_DOUBLE(users->lists) * 1e9));
	pfree(users->recent.views);
	pfree(users->list.numbers);
	pfree(users);
	return written;
}

static bool
same_list(Datum a, bool a_null, Datum b, bool b_null)
{
	struct varlena *x;
	struct varlena *y;

	if (a_null || b_null)
		return a_null && b_null;
	x = PG_DETOAST_DATUM_PACKED(a);
	y = PG_DETOAST_DATUM_PACKED(b);
	return VARSIZE_ANY_EXHDR(x) == VARSIZE_ANY_EXHDR(y) &&
		memcmp(VARDATA_ANY(x), VARDATA_ANY(y), VARSIZE_ANY_EXHDR(x)) == 0;
}

static void
remove_row(RecoUsers *users, int64 user_id, TupleTableSlot *row)
{
	if (row == NULL)
		return;
	if (!row->tts_isnull[LIST])
		reco_ring_add_user(user_id, &row->tts_tid);
	reco_table_delete(users->table, row);
	users->written++;
}

/* Compute the list of users->recent; NULL when it is empty. */
static Datum
compute_list(RecoUsers *users, bool *isnull)
{
	instr_time	start;
	instr_time	end;
	Datum		list = (Datum) 0;

	INSTR_TIME_SET_CURRENT(start);
	reco_recommend(&users->state, &users->recent, &users->list);
	*isnull = users->list.count == 0;
	if (!*isnull)
		list = PointerGetDatum(reco_list_pack(&users->list));
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_ACCUM_DIFF(users->lists, end, start);
	return list;
}

/*
 * Write what users->recent means: views_changed tells whether it differs from
 * what the row holds.  row is NULL for a new user.
 */
static void
write_row(RecoUsers *users, int64 user_id, TupleTableSlot *row, bool views_changed)
{
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};
	bool		changed;
	bool		send;

	if (users->recent.count == 0)
	{
		remove_row(users, user_id, row);
		return;
	}
	values[LIST] = compute_list(users, &nulls[LIST]);
	changed = row == NULL ? !nulls[LIST] :
		!same_list(values[LIST], nulls[LIST], row->tts_values[LIST], row->tts_isnull[LIST]);
	send = changed || (!nulls[LIST] && !row->tts_isnull[SENT_AT] &&
					   users->now - DatumGetTimestampTz(row->tts_values[SENT_AT]) > SEND_AGAIN_AFTER);
	if (row != NULL && !views_changed && !send &&
		DatumGetInt64(row->tts_values[GENERATION]) == users->state.generation)
		return;

	values[USER_ID] = Int64GetDatum(user_id);
	values[UPDATED_AT] = changed || row == NULL ? TimestampTzGetDatum(users->now) :
		row->tts_values[UPDATED_AT];
	values[GENERATION] = Int64GetDatum(users->state.generation);
	nulls[SENT_AT] = !send && (row == NULL || row->tts_isnull[SENT_AT]);
	values[SENT_AT] = send ? TimestampTzGetDatum(users->now) :
		nulls[SENT_AT] ? (Datum) 0 : row->tts_values[SENT_AT];
	values[RECENT] = PointerGetDatum(reco_recent_pack(&users->recent));
	if (row != NULL)
		reco_table_update(users->table, row, values, nulls);
	else
		reco_table_insert(users->table, values, nulls);
	users->written++;
	reco_written_add(user_id, reco_table_written_at(users->table));
	if (send)
		reco_ring_add_user(user_id, reco_table_written_at(users->table));
}

static TupleTableSlot *
fetch(RecoUsers *users, int64 user_id)
{
	Datum		key = Int64GetDatum(user_id);

	return reco_table_fetch(users->table, &key);
}

/* The user's row with its views unpacked; NULL and no views for a new one. */
static TupleTableSlot *
fetch_views(RecoUsers *users, int64 user_id)
{
	TupleTableSlot *row = fetch(users, user_id);

	if (row != NULL)
		reco_user_views(users, row);
	else
		users->recent.count = 0;
	return row;
}

/* Bring users->recent, as the row has it, up to date and write the row. */
static void
update_row(RecoUsers *users, int64 user_id, TupleTableSlot *row, const RecoView *views, int n)
{
	MemoryContext old = MemoryContextSwitchTo(users->scratch);
	bool		changed;

	reco_recent_add(&users->recent, views, n);
	changed = reco_recent_expire(&users->recent, users->expired) || views != NULL;
	reco_recent_cap(&users->recent, users->state.max_user_views, reco_number_compare);
	write_row(users, user_id, row, changed);
	MemoryContextSwitchTo(old);
	MemoryContextReset(users->scratch);
}

/* The user has viewed n products; those too old to count are left out. */
void
reco_user_add(RecoUsers *users, int64 user_id, const RecoView *views, int n)
{
	update_row(users, user_id, fetch_views(users, user_id), views, n);
}

/* The user's views are these and no others: what the row holds, which may be damaged, is not read. */
void
reco_user_replace(RecoUsers *users, int64 user_id, const RecoView *views, int n)
{
	TupleTableSlot *row = fetch(users, user_id);

	if (row != NULL)
		slot_getallattrs(row);
	users->recent.count = 0;
	update_row(users, user_id, row, views, n);
}

/* Nothing new of this user, but time has passed or the mirror has changed. */
void
reco_user_refresh(RecoUsers *users, int64 user_id)
{
	TupleTableSlot *row = fetch_views(users, user_id);

	if (row != NULL)
		update_row(users, user_id, row, NULL, 0);
}

/* The user's row, which may stand at a place; NULL: there is none.  Good until the next. */
TupleTableSlot *
reco_user_fetch_near(RecoUsers *users, int64 user_id, ItemPointer tid)
{
	Datum		key = Int64GetDatum(user_id);

	return reco_table_fetch_near(users->table, &key, tid);
}

/* The user's row will be wanted soon. */
void
reco_user_prefetch(int64 user_id, RecoPrefetchStage stage)
{
	reco_tid_cache_prefetch(tid_cache, user_id, stage);
}

/* The same as reco_user_refresh for a row that was found. */
void
reco_user_refresh_row(RecoUsers *users, TupleTableSlot *row)
{
	reco_user_views(users, row);
	update_row(users, reco_user_id(row), row, NULL, 0);
}

int64
reco_user_id(TupleTableSlot *row)
{
	bool		null;

	return DatumGetInt64(slot_getattr(row, USER_ID + 1, &null));
}

/* Is the row of the present generation? */
bool
reco_user_is_current(RecoUsers *users, TupleTableSlot *row)
{
	bool		null;

	return DatumGetInt64(slot_getattr(row, GENERATION + 1, &null)) == users->state.generation;
}

/* The row's views, good until the next row. */
const RecoRecent *
reco_user_views(RecoUsers *users, TupleTableSlot *row)
{
	bytea	   *packed;

	slot_getallattrs(row);
	packed = (bytea *) PG_DETOAST_DATUM_PACKED(row->tts_values[RECENT]);
	reco_recent_unpack(&users->recent, packed);
	if ((Pointer) packed != DatumGetPointer(row->tts_values[RECENT]))
		pfree(packed);
	return &users->recent;
}

/* The row's list, good until the next row. */
const RecoList *
reco_user_list(RecoUsers *users, TupleTableSlot *row)
{
	bool		null;
	Datum		list = slot_getattr(row, LIST + 1, &null);

	users->list.count = 0;
	if (!null)
		reco_list_unpack(&users->list, list);
	return &users->list;
}

/* Open the users' rows for reading, without reco's lock. */
RecoTable *
reco_user_open_read(Snapshot snapshot)
{
	return reco_table_open_read(&by_user, snapshot);
}

/*
 * A user's list as its row holds it, good until the next; false if there is
 * none.  tid: where the row may stand.
 */
bool
reco_user_fetch_list(RecoTable *table, int64 user_id, ItemPointer tid, Datum *list)
{
	Datum		key = Int64GetDatum(user_id);
	TupleTableSlot *row = reco_table_fetch_near(table, &key, tid);
	bool		null;

	if (row == NULL)
		return false;
	*list = slot_getattr(row, LIST + 1, &null);
	return !null;
}

/* See keyed_table.h; needs a transaction with a snapshot. */
void
reco_user_fill_tid_cache(void)
{
	reco_table_fill_tid_cache(&by_user);
}

/* The size of the table of users. */
BlockNumber
reco_user_blocks(RecoUsers *users)
{
	return RelationGetNumberOfBlocks(reco_table_relation(users->table));
}

/*
 * Visit the rows of some blocks, which may be written meanwhile; returns the
 * block to go on with.
 */
BlockNumber
reco_user_scan(RecoUsers *users, BlockNumber first, BlockNumber blocks,
			   RecoUserVisitor visit, void *arg)
{
	Relation	heap = reco_table_relation(users->table);
	TupleTableSlot *row = table_slot_create(heap, NULL);
	TableScanDesc scan;
	ItemPointerData from;
	ItemPointerData upto;

	ItemPointerSet(&from, first, FirstOffsetNumber);
	ItemPointerSet(&upto, first + blocks - 1, MaxOffsetNumber);
	scan = table_beginscan_tidrange(heap, reco_table_snapshot(users->table), &from, &upto);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		if (!visit(users, row, arg))
			break;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	return first + blocks;
}

/* The file of their table; another one after VACUUM FULL or TRUNCATE. */
Oid
reco_user_file(RecoUsers *users)
{
	return reco_table_relation(users->table)->rd_rel->relfilenode;
}
