/*-------------------------------------------------------------------------
 *
 * user_state.c
 *	  A user's row: recent views and the list computed from them.
 *
 * For a batch of events, each row of reco.user_state is read once and written
 * once: views older than H are removed, new ones are added, the newest
 * max_user_views are kept, and the list is computed.  The user's key is
 * queued for the publisher if the list has changed, or if it was last sent so
 * long ago that the key could expire in Redis before the row does.  A user
 * without recent views has no row.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "engine/product_dictionary.h"
#include "lists/strategy.h"
#include "lists/user_state.h"
#include "shmem/change_queue.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * A key is sent again if its user's row is written and it was last sent this
 * long ago.  reco_guc_redis_ttl() allows for that: a row is kept for at most H
 * + max_future after it was last written, a key for an hour longer.
 */
#define SEND_AGAIN_AFTER (USECS_PER_HOUR)

struct RecoUsers
{
	const RecoState *state;
	RecoUserRows rows;			/* computed lists are put into its list */
	TimestampTz now;
	int32		expired;		/* views up to this second have expired */
	int64		written;
	uint64		lists_ns;		/* spent on computing lists */
	MemoryContext scratch;		/* reset for each row */
};

/* Open the users' rows for writing. */
RecoUsers *
reco_user_open(RecoWrite *write)
{
	RecoUsers  *users = palloc0(sizeof(RecoUsers));

	users->state = reco_write_state(write);
	reco_user_rows_init(&users->rows, reco_user_rows_open_table(write));
	users->now = GetCurrentTransactionStartTimestamp();
	users->expired = reco_state_second(users->state->clock) - users->state->recent_window;
	users->scratch = AllocSetContextCreate(CurrentMemoryContext, "reco user",
										   ALLOCSET_DEFAULT_SIZES);
	return users;
}

/* Close the rows; returns how many were written. */
int64
reco_user_close(RecoUsers *users)
{
	int64		written = users->written;

	reco_user_rows_end(&users->rows);
	MemoryContextDelete(users->scratch);
	reco_metrics_add(RECO_METRIC_LISTS, written);
	reco_metrics_phase_add(RECO_PHASE_LISTS, users->lists_ns);
	pfree(users);
	return written;
}

/*
 * The same rows for reading.  A scan does not see what has been written since
 * they were opened.
 */
RecoUserRows *
reco_user_rows(RecoUsers *users)
{
	return &users->rows;
}

static bool
user_same_list(Datum a, bool a_null, Datum b, bool b_null)
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
user_remove_row(RecoUsers *users, int64 user_id, TupleTableSlot *row)
{
	if (row == NULL)
		return;
	if (!row->tts_isnull[RECO_USER_LIST])
		reco_queue_add_user(user_id, &row->tts_tid, true);
	reco_table_delete(users->rows.table, row);
	users->written++;
}

/* Compute the list for users->rows.recent; NULL if it is empty. */
static Datum
user_compute_list(RecoUsers *users, bool *isnull)
{
	instr_time	begun = reco_metrics_phase_begin();
	Datum		list = (Datum) 0;

	reco_strategy->recommend(users->state, &users->rows.recent, &users->rows.list);
	*isnull = users->rows.list.count == 0;
	if (!*isnull)
		list = PointerGetDatum(reco_list_pack(&users->rows.list));
	users->lists_ns += reco_metrics_phase_since(begun);
	return list;
}

/*
 * Write the row for users->rows.recent; views_changed says that these differ
 * from those in the row, which is NULL for a new user.
 */
static void
user_write_row(RecoUsers *users, int64 user_id, TupleTableSlot *row, bool views_changed)
{
	Datum		values[RECO_USER_COLUMNS];
	bool		nulls[RECO_USER_COLUMNS] = {false};
	bool		changed;
	bool		send;

	if (users->rows.recent.count == 0)
	{
		user_remove_row(users, user_id, row);
		return;
	}
	values[RECO_USER_LIST] = user_compute_list(users, &nulls[RECO_USER_LIST]);
	changed = row == NULL ? !nulls[RECO_USER_LIST] :
		!user_same_list(values[RECO_USER_LIST], nulls[RECO_USER_LIST],
						row->tts_values[RECO_USER_LIST], row->tts_isnull[RECO_USER_LIST]);
	send = changed || (!nulls[RECO_USER_LIST] && !row->tts_isnull[RECO_USER_SENT_AT] &&
					   users->now - DatumGetTimestampTz(row->tts_values[RECO_USER_SENT_AT]) > SEND_AGAIN_AFTER);
	if (row != NULL && !views_changed && !send &&
		DatumGetInt64(row->tts_values[RECO_USER_GENERATION]) == users->state->generation)
		return;

	values[RECO_USER_ID] = Int64GetDatum(user_id);
	values[RECO_USER_UPDATED_AT] = changed || row == NULL ? TimestampTzGetDatum(users->now) :
		row->tts_values[RECO_USER_UPDATED_AT];
	values[RECO_USER_GENERATION] = Int64GetDatum(users->state->generation);
	nulls[RECO_USER_SENT_AT] = !send && (row == NULL || row->tts_isnull[RECO_USER_SENT_AT]);
	values[RECO_USER_SENT_AT] = send ? TimestampTzGetDatum(users->now) :
		nulls[RECO_USER_SENT_AT] ? (Datum) 0 : row->tts_values[RECO_USER_SENT_AT];
	values[RECO_USER_RECENT] = PointerGetDatum(reco_history_pack(&users->rows.recent));
	if (row != NULL)
		reco_table_update(users->rows.table, row, values, nulls);
	else
		reco_table_insert(users->rows.table, values, nulls);
	users->written++;
	reco_queue_add_user(user_id, reco_table_written_at(users->rows.table), send);
}

static TupleTableSlot *
user_fetch(RecoUsers *users, int64 user_id)
{
	Datum		key = Int64GetDatum(user_id);

	return reco_table_fetch(users->rows.table, &key);
}

/* The user's row with its views unpacked; NULL and no views for a new one. */
static TupleTableSlot *
user_fetch_views(RecoUsers *users, int64 user_id)
{
	TupleTableSlot *row = user_fetch(users, user_id);

	if (row != NULL)
		reco_user_row_views(&users->rows, row);
	else
		users->rows.recent.count = 0;
	return row;
}

/* Bring users->rows.recent, as read from the row, up to date, and write the row. */
static void
user_update_row(RecoUsers *users, int64 user_id, TupleTableSlot *row, const RecoView *views, int n)
{
	MemoryContext old = MemoryContextSwitchTo(users->scratch);
	bool		changed;

	reco_history_add(&users->rows.recent, views, n);
	changed = reco_history_expire(&users->rows.recent, users->expired) || views != NULL;
	reco_history_cap(&users->rows.recent, users->state->max_user_views, reco_dictionary_compare);
	user_write_row(users, user_id, row, changed);
	MemoryContextSwitchTo(old);
	MemoryContextReset(users->scratch);
}

/* Add n views of the user; those too old to count are ignored. */
void
reco_user_add(RecoUsers *users, int64 user_id, const RecoView *views, int n)
{
	user_update_row(users, user_id, user_fetch_views(users, user_id), views, n);
}

/* Replace the user's views, without reading those in the row, which may be damaged. */
void
reco_user_replace(RecoUsers *users, int64 user_id, const RecoView *views, int n)
{
	TupleTableSlot *row = user_fetch(users, user_id);

	if (row != NULL)
		slot_getallattrs(row);
	users->rows.recent.count = 0;
	user_update_row(users, user_id, row, views, n);
}

/*
 * Update the row of a user without new views, since time has passed or the
 * mirror has changed.
 */
void
reco_user_refresh(RecoUsers *users, int64 user_id)
{
	TupleTableSlot *row = user_fetch_views(users, user_id);

	if (row != NULL)
		user_update_row(users, user_id, row, NULL, 0);
}

/* The same for a row that has been fetched. */
void
reco_user_refresh_row(RecoUsers *users, TupleTableSlot *row)
{
	reco_user_row_views(&users->rows, row);
	user_update_row(users, reco_user_row_id(row), row, NULL, 0);
}

/* Is the row of the present generation? */
bool
reco_user_is_current(RecoUsers *users, TupleTableSlot *row)
{
	bool		null;

	return DatumGetInt64(slot_getattr(row, RECO_USER_GENERATION + 1, &null)) == users->state->generation;
}
