/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  Maintenance of the derived tables when SQL writes.
 *
 * Statement triggers with transition tables, on reco.activity and on
 * reco.product, change the derived tables when rows come and go by SQL: a
 * client's COPY, a DBA's DELETE.  The rows of a worker's batch come to the same
 * functions from bulk_insert.c, the mirror's changes from mirror_writer.c.
 *
 * The views of an INSERT wait for the transaction's commit (pending_events.c);
 * all else takes reco's lock for the rest of the transaction.  The triggers run
 * as the owner of the extension (SECURITY DEFINER), and check their protocol
 * first, since the functions could be attached to any table.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "activity/insert_nesting.h"
#include "activity/pending_events.h"
#include "activity/rebuild.h"
#include "activity/trigger.h"
#include "activity/view_batch.h"
#include "catalog/pg_collation.h"
#include "commands/dbcommands.h"
#include "commands/trigger.h"
#include "common/array.h"
#include "common/guc.h"
#include "common/own_tables.h"
#include "common/spi.h"
#include "engine/product_table.h"
#include "engine/write.h"
#include "executor/executor.h"
#include "lists/invalidation.h"
#include "miscadmin.h"
#include "shmem/service_state.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* The nest level at which a TRUNCATE of reco.activity is under way; 0: none is. */
static int	truncating = 0;

static void
trigger_reset_xact(void)
{
	truncating = 0;
}

/* A trigger of a DBA's may roll back a subtransaction of its own meanwhile. */
static void
trigger_abort_sub(int level)
{
	if (truncating >= level)
		truncating = 0;
}

const RecoXactModule reco_trigger_xact = {
	.abort_sub = trigger_abort_sub,.reset = trigger_reset_xact
};

/* The trigger's data, after checks that it is a statement trigger of that table. */
static TriggerData *
trigger_check_protocol(FunctionCallInfo fcinfo, const char *table)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function was not called by trigger manager")));
	if (!TRIGGER_FIRED_FOR_STATEMENT(data->tg_event) ||
		RelationGetRelid(data->tg_relation) != reco_sql_table(table))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger function is only for statement triggers of reco.%s", table)));
	reco_own_tables_check();
	return data;
}

/* A transition table to be read from its beginning. */
static Tuplestorestate *
trigger_transition_table(Tuplestorestate *rows)
{
	if (rows == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger has no transition table")));
	tuplestore_rescan(rows);
	return rows;
}

static TupleTableSlot *
trigger_make_slot(TriggerData *data)
{
	return MakeSingleTupleTableSlot(RelationGetDescr(data->tg_relation), &TTSOpsMinimalTuple);
}

/*
 * Partitions reach a bit further than what is kept; the promise does not.
 * While the workers run, the clock is the wall clock without its fraction.
 */
static void
trigger_check_time(const RecoState *state, TimestampTz wall, TimestampTz at)
{
	TimestampTz clock = reco_enabled ? Max(state->clock, wall) : state->clock;

	if (at >= state->horizon && at <= clock + reco_max_future * USECS_PER_SEC)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("timestamp %s is outside of the time that reco keeps",
					timestamptz_to_str(at)),
			 errdetail("Activity is taken from the horizon in reco.state to its clock plus reco.max_future."),
			 at < state->horizon ? errhint("A longer reco.retention keeps older activity.") :
			 reco_enabled ? errhint("A longer reco.max_future takes later activity.") :
			 errhint("Time stands still while reco.enabled is off; reco_tick() moves the clock.")));
}

/* Has a TRUNCATE of reco.activity begun, whose partitions are next? */
bool
reco_trigger_is_truncating(void)
{
	return truncating > 0;
}

/*
 * While the workers run elsewhere, time stands still here: nothing would ever
 * expire.  With reco.enabled = off it does so on purpose.
 */
static void
trigger_check_served(void)
{
	if (!reco_enabled || reco_service_serves_database() ||
		strcmp(get_database_name(MyDatabaseId), reco_database) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot insert into reco.activity of a database that reco does not serve"),
			 errdetail("reco.database is \"%s\".", reco_database),
			 errhint("Insert there, or set reco.database and restart the server.")));
}

/* The state as it is now, without reco's lock unless there is no row yet. */
static void
trigger_read_state(RecoState *state)
{
	RecoWrite  *write;

	if (reco_state_peek(state))
		return;
	write = reco_write_begin(NoLock);
	*state = *reco_write_state(write);
	reco_write_end(write);
}

/*
 * A transaction that has reco's lock already gains nothing by waiting.  And while
 * it commits, nobody's triggers may run: see pending_events.c.
 */
static void
trigger_apply_pending(void)
{
	if (reco_pending_any() && (reco_write_is_locked() || reco_own_tables_have_triggers()))
		reco_pending_apply_now();
}

/* Check the rows, and keep the views among them until the transaction commits. */
static void
trigger_rows_inserted(TriggerData *data)
{
	Tuplestorestate *rows = trigger_transition_table(data->tg_newtable);
	TupleTableSlot *slot = trigger_make_slot(data);
	TimestampTz wall = GetCurrentTimestamp();
	RecoState	state;
	bool		has_state = false;

	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		RecoActivityView view;
		TimestampTz at;
		bool		null;

		CHECK_FOR_INTERRUPTS();
		if (!has_state)
		{
			trigger_read_state(&state);
			reco_pending_begin();
			has_state = true;
		}
		at = DatumGetTimestampTz(slot_getattr(slot, RECO_ACTIVITY_TIMESTAMP, &null));
		trigger_check_time(&state, wall, at);
		if (reco_activity_view(slot, &view))
			reco_pending_add(view.user_id, view.product, view.at);
	}
	ExecDropSingleTupleTableSlot(slot);
	trigger_apply_pending();
}

/*
 * Counters lose the views.  The users are read again from activity: older
 * views may come back where the newest max_user_views had pushed them out.
 */
static void
trigger_rows_deleted(TriggerData *data)
{
	Tuplestorestate *rows = trigger_transition_table(data->tg_oldtable);
	TupleTableSlot *slot = trigger_make_slot(data);
	RecoViewBatch *views;
	RecoWrite  *write = reco_write_begin(NoLock);
	int			size = 1024;
	RecoIds		users = {palloc(size * sizeof(int64)), 0};

	reco_pending_apply(write);
	views = reco_view_batch_begin(write, RECO_VIEWS_REMOVE);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		bool		null;

		CHECK_FOR_INTERRUPTS();
		if (!reco_view_batch_put_row(views, slot))
			continue;
		reco_insert_nesting_check("delete from reco.activity");
		if (users.count == size)
		{
			reco_ids_sort(&users);
			if (users.count > size / 2)
			{
				size *= 2;
				users.ids = repalloc_huge(users.ids, size * sizeof(int64));
			}
		}
		users.ids[users.count++] = DatumGetInt64(slot_getattr(slot, RECO_ACTIVITY_USER_ID, &null));
	}
	reco_view_batch_end(views);
	if (users.count > 0)
	{
		reco_ids_sort(&users);
		reco_rebuild_users(write, users.ids, users.count);
	}
	reco_write_end(write);
	ExecDropSingleTupleTableSlot(slot);
}

PG_FUNCTION_INFO_V1(reco_activity_changed);

/* Trigger of reco.activity: BEFORE and AFTER INSERT and TRUNCATE, AFTER DELETE. */
Datum
reco_activity_changed(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_check_protocol(fcinfo, "activity");

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event) && TRIGGER_FIRED_BEFORE(data->tg_event))
	{
		trigger_check_served();
		reco_write_require_allowed();
		reco_write_announce();
		reco_insert_nesting_begin();
		return PointerGetDatum(NULL);
	}
	SPI_connect();
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
	{
		RecoWrite  *write = reco_write_begin(NoLock);

		truncating = TRIGGER_FIRED_BEFORE(data->tg_event) ? GetCurrentTransactionNestLevel() : 0;
		if (truncating == 0)
			reco_rebuild_nothing(write);
		reco_write_end(write);
	}
	else if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		reco_insert_nesting_end();
		trigger_rows_inserted(data);
	}
	else
		trigger_rows_deleted(data);
	SPI_finish();
	return PointerGetDatum(NULL);
}

/* A row of reco.product: the product is as it says, or is gone. */
static void
trigger_collect_product(RecoInvalidation *change, TupleTableSlot *slot, bool gone, bool enters)
{
	bool		null;
	text	   *id = DatumGetTextPP(slot_getattr(slot, RECO_PRODUCT_ID + 1, &null));
	Datum		category = slot_getattr(slot, RECO_PRODUCT_CATEGORY + 1, &null);

	reco_invalidation_add(change, id, gone || null ? NULL : DatumGetTextPP(category), enters);
}

/* Are two rows the same in the columns from one to another? */
static bool
trigger_same_columns(TupleTableSlot *a, TupleTableSlot *b, int first, int last)
{
	for (int i = first + 1; i <= last + 1; i++)
	{
		bool		a_null;
		bool		b_null;
		Datum		x = slot_getattr(a, i, &a_null);
		Datum		y = slot_getattr(b, i, &b_null);

		if (a_null != b_null)
			return false;
		if (a_null)
			continue;
		if (i == RECO_PRODUCT_POPULARITY + 1 ? DatumGetInt64(x) != DatumGetInt64(y) :
			!DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, x, y)))
			return false;
	}
	return true;
}

/* Collect the rows of a statement; of an update also the old ones of another key. */
static void
trigger_collect_products(TriggerData *data, RecoInvalidation *change)
{
	bool		inserted = TRIGGER_FIRED_BY_INSERT(data->tg_event);
	bool		deleted = TRIGGER_FIRED_BY_DELETE(data->tg_event);
	Tuplestorestate *old_rows = inserted ? NULL : trigger_transition_table(data->tg_oldtable);
	Tuplestorestate *new_rows = deleted ? NULL : trigger_transition_table(data->tg_newtable);
	TupleTableSlot *old_slot = trigger_make_slot(data);
	TupleTableSlot *new_slot = trigger_make_slot(data);

	while ((inserted || tuplestore_gettupleslot(old_rows, true, false, old_slot)) &&
		   (deleted || tuplestore_gettupleslot(new_rows, true, false, new_slot)))
	{
		bool		updated = !inserted && !deleted;

		if (updated && trigger_same_columns(old_slot, new_slot, RECO_PRODUCT_ID, RECO_PRODUCT_POPULARITY))
			continue;
		if (deleted || (updated && !trigger_same_columns(old_slot, new_slot, RECO_PRODUCT_ID, RECO_PRODUCT_ID)))
			trigger_collect_product(change, old_slot, true, false);
		if (!deleted)
			trigger_collect_product(change, new_slot, false, inserted);
	}
	ExecDropSingleTupleTableSlot(old_slot);
	ExecDropSingleTupleTableSlot(new_slot);
}

PG_FUNCTION_INFO_V1(reco_product_changed);

/* Trigger of reco.product: AFTER INSERT, UPDATE, DELETE, TRUNCATE. */
Datum
reco_product_changed(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_check_protocol(fcinfo, "product");
	RecoInvalidation *change;
	RecoWrite  *write;

	SPI_connect();
	write = reco_write_begin(NoLock);
	change = reco_invalidation_create();
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		reco_invalidation_add_everything(change);
	else
		trigger_collect_products(data, change);
	reco_invalidation_apply(change, write);
	reco_write_end(write);
	SPI_finish();
	return PointerGetDatum(NULL);
}
