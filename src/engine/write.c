/*-------------------------------------------------------------------------
 *
 * write.c
 *	  The right to change derived state.
 *
 * Every transaction that writes derived state holds reco's lock, a
 * heavyweight lock on the extension as an object, until it ends.  The lock is
 * taken before any row of a derived table is read, but after reco.product has
 * been locked (popularity.c).  So reco's workers and functions never deadlock
 * with each other, and the result does not depend on how they interleave;
 * transactions of several statements may deadlock.  The lock appears in
 * pg_locks; no ordinary role can take it.
 *
 * reco.state is unlogged like everything that it describes: after a crash it
 * is empty, and the first one to take the lock inserts the row.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "common/guc.h"
#include "common/own_extension.h"
#include "common/spi.h"
#include "engine/product_cache.h"
#include "engine/write.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

struct RecoWrite
{
	RecoState	state;
	bool		changed;
	uint64		writes;			/* state_writes at the time it was read */
};

/* Number of times that this process has written reco.state. */
static uint64 state_writes = 0;

/* What the current transaction has written, and at which nest level; 0: nothing. */
static RecoState written;
static int	written_level = 0;

static RecoPlan insert_plan;
static RecoPlan update_plan;

/* A prepared transaction would keep the lock, and no session could be blamed for it. */
static void
write_pre_prepare(void)
{
	if (reco_write_is_locked())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has changed reco's tables"),
				 errhint("Commit the change of reco's tables in a transaction of its own.")));
}

static void
write_commit(void)
{
	if (written_level > 0)
		reco_state_publish(&written);
}

static void
write_reset(void)
{
	written_level = 0;
}

static void
write_commit_sub(int level)
{
	written_level = Min(written_level, level - 1);
}

/*
 * An earlier write of the transaction is then not published when it commits,
 * but when the clock advances next.
 */
static void
write_abort_sub(int level)
{
	if (written_level >= level)
		written_level = 0;
}

const RecoXactModule reco_write_xact = {
	.pre_prepare = write_pre_prepare,
	.commit = write_commit,
	.reset = write_reset,
	.commit_sub = write_commit_sub,
	.abort_sub = write_abort_sub,
};

/*
 * Raise an error in a transaction that may not change derived state.  A writer
 * must see what the previous holder of the lock committed; while CREATE
 * EXTENSION runs, there is none.
 */
void
reco_write_require_allowed(void)
{
	if (!creating_extension)
		reco_sql_require_read_committed("change reco's tables");
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot change reco's tables in a read-only transaction")));
}

/* The transaction will ask for the lock: DROP EXTENSION waits now, before it has locked a table. */
void
reco_write_announce(void)
{
	LockDatabaseObject(ExtensionRelationId, get_extension_oid("reco", false), 0, AccessShareLock);
}

/* Wait for other writers, and take the lock. */
static void
write_lock_extension(void)
{
	Oid			extension = get_extension_oid("reco", false);
	RecoOwnExtension locked;

	reco_write_require_allowed();
	LockDatabaseObject(ExtensionRelationId, extension, 0, ExclusiveLock);
	if (!reco_own_extension_find(&locked) || locked.oid != extension)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"reco\" was dropped while its lock was waited for")));
	reco_own_extension_require(&locked);
}

/*
 * Take the lock for the rest of the transaction, and lock reco.activity in a
 * mode (NoLock: not at all).  Later statements see what other writers have
 * committed.
 *
 * TRUNCATE locks the table first and then waits for reco's lock, while a
 * transaction that has inserted holds both and may TRUNCATE next.  So neither
 * is waited for while holding the other, unless the caller's transaction
 * already held one of them.
 */
void
reco_write_lock(LOCKMODE activity)
{
	if (activity == NoLock)
	{
		write_lock_extension();
		return;
	}
	if (reco_write_is_locked())
	{
		LockRelationOid(reco_sql_table("activity"), activity);
		return;
	}
	for (;;)
	{
		Oid			table;

		write_lock_extension();
		table = reco_sql_table("activity");
		if (ConditionalLockRelationOid(table, activity))
			return;
		reco_write_unlock();
		LockRelationOid(table, activity);
		UnlockRelationOid(table, activity);
	}
}

/* Release the lock, when nothing has been read or written under it. */
void
reco_write_unlock(void)
{
	Assert(reco_write_is_locked());
	UnlockDatabaseObject(ExtensionRelationId, get_extension_oid("reco", false), 0, ExclusiveLock);
}

/*
 * Does the transaction hold the lock?  The lock manager knows, even if the
 * subtransaction that took it was rolled back.
 */
bool
reco_write_is_locked(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, get_extension_oid("reco", true), 0);
	return reco_lock_is_held(&tag, ExclusiveLock);
}

static void
write_prepare_plans(void)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	StringInfoData columns;
	StringInfoData parameters;

	initStringInfo(&columns);
	initStringInfo(&parameters);
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
	{
		Oid			type;

		appendStringInfo(&columns, "%s%s", i > 0 ? ", " : "", reco_state_column(i, &type));
		appendStringInfo(&parameters, "%s$%d", i > 0 ? ", " : "", i + 1);
		insert_plan.argtypes[i] = update_plan.argtypes[i] = type;
	}
	insert_plan.nargs = update_plan.nargs = RECO_STATE_COLUMNS;
	insert_plan.query = psprintf("INSERT INTO reco.state (%s) VALUES (%s)", columns.data, parameters.data);
	update_plan.query = psprintf("UPDATE reco.state SET (%s) = ROW (%s)", columns.data, parameters.data);
	MemoryContextSwitchTo(caller);
}

/* Write the row.  The statement scans the whole table, and so detects a second row. */
static void
write_state(RecoWrite *write, RecoPlan *plan)
{
	Datum		values[RECO_STATE_COLUMNS];

	if (plan->query == NULL)
		write_prepare_plans();
	reco_state_values(&write->state, values);
	if (reco_sql_execute(plan, values, NULL) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("reco.state does not hold exactly one row"),
				 errhint("Run TRUNCATE reco.state and reco_rebuild().")));
	written = write->state;
	written_level = GetCurrentTransactionNestLevel();
	write->changed = false;
	write->writes = ++state_writes;
}

/*
 * Begin to change derived state, in a transaction that is connected to SPI:
 * takes reco's lock, and locks reco.activity in a mode (NoLock: not at all).
 */
RecoWrite *
reco_write_begin(LOCKMODE activity)
{
	RecoWrite  *write;

	reco_write_lock(activity);
	write = MemoryContextAllocZero(TopTransactionContext, sizeof(RecoWrite));
	write->writes = state_writes;
	if (!reco_state_peek(&write->state))
	{
		reco_state_init(&write->state);
		write_state(write, &insert_plan);
	}
	reco_product_sync(&write->state);
	return write;
}

/* The row of reco.state, with the caller's changes. */
const RecoState *
reco_write_state(const RecoWrite *write)
{
	return &write->state;
}

/* Write reco.state if it has changed; the lock is kept until the transaction ends. */
void
reco_write_end(RecoWrite *write)
{
	if (write->changed)
	{
		/* a nested statement would have to use the same handle */
		if (write->writes != state_writes)
			elog(ERROR, "reco.state was written twice at a time");
		write_state(write, &update_plan);
	}
	pfree(write);
}

/* Advance the clock, and the horizon with it. */
void
reco_write_set_clock(RecoWrite *write, TimestampTz clock)
{
	reco_state_set_clock(&write->state, clock);
	write->changed = true;
}

/* Make the settings the parameters in force; the caller computes derived state again. */
void
reco_write_apply_settings(RecoWrite *write)
{
	reco_state_apply_settings(&write->state);
	write->changed = true;
}

/* Have all lists computed again, by the sweep unless their users' rows are written earlier. */
void
reco_write_next_generation(RecoWrite *write)
{
	write->state.generation++;
	write->changed = true;
}

/* Set the time of the popularity. */
void
reco_write_set_popularity_at(RecoWrite *write, TimestampTz at)
{
	write->state.popularity_at = at;
	write->changed = true;
}

/* Begin a new version of the mirror, after a change of n products, which are so now (NULL: any). */
void
reco_write_products_changed(RecoWrite *write, RecoProductRow *rows, int n)
{
	write->state.mirror_version++;
	write->changed = true;
	if (rows != NULL)
		reco_product_change(&write->state, rows, n);
	else
		reco_product_change_all(&write->state);
}

/*
 * The products have another popularity, by number (NULL: the same one), and are
 * brought into order.
 */
void
reco_write_products_ordered(RecoWrite *write, const int64 *by_number, int32 size)
{
	if (by_number != NULL)
	{
		write->state.mirror_version++;
		write->changed = true;
	}
	reco_product_change_order(&write->state, by_number, size);
}

/*
 * Begin a new version of the numbers: they may stand for other products, and
 * any product may have changed.
 */
void
reco_write_numbers_changed(RecoWrite *write)
{
	write->state.numbers_version++;
	reco_write_products_changed(write, NULL, 0);
}
