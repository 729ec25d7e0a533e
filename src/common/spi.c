/*-------------------------------------------------------------------------
 *
 * spi.c
 *	  The transaction bracket of the workers, and prepared statements.
 *
 * A statement that writes, or that reads what reco's lock protects, takes a
 * fresh snapshot each time: the lock orders the writers, so the newest
 * committed state is the one to work on, whatever the client's isolation
 * level.  See reco_sql_execute.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "common/spi.h"
#include "common/xact.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* Begin a transaction of a worker, connected to SPI and with a snapshot. */
void
reco_sql_begin(void)
{
	reco_xact_begin();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* End it, and go back to the memory context that it was begun in. */
void
reco_sql_commit(void)
{
	SPI_finish();
	PopActiveSnapshot();
	reco_xact_commit();
	pgstat_report_stat(false);
}

/*
 * The statement, parsed at its first use and kept.  It is planned each time:
 * tables that were empty when a process first used them soon are not, and an
 * array of one key or of ten thousand wants another plan.
 */
SPIPlanPtr
reco_sql_prepare(RecoPlan *plan)
{
	if (plan->plan == NULL)
	{
		SPIPlanPtr	fresh = SPI_prepare_cursor(plan->query, plan->nargs, plan->argtypes,
											   CURSOR_OPT_CUSTOM_PLAN);

		if (fresh == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", plan->query,
				 SPI_result_code_string(SPI_result));
		if (SPI_keepplan(fresh) != 0)
			elog(ERROR, "could not keep the plan of \"%s\"", plan->query);
		plan->plan = fresh;
	}
	return plan->plan;
}

static uint64
execute(RecoPlan *plan, Datum *values, const char *nulls, Snapshot snapshot, uint64 limit)
{
	MemoryContext caller = CurrentMemoryContext;
	int			result = SPI_execute_snapshot(reco_sql_prepare(plan), values, nulls, snapshot,
											  InvalidSnapshot, false, true, limit);

	/* SPI leaves its procedure's context behind, which lives until SPI_finish */
	MemoryContextSwitchTo(caller);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", plan->query, SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * Run a query, of at most limit rows (0: all), which SPI_tuptable then holds,
 * under the newest snapshot.  A REPEATABLE READ transaction would otherwise
 * fail on rows that others changed since its snapshot, though the lock already
 * made it wait for them.
 */
uint64
reco_sql_query(RecoPlan *plan, Datum *values, const char *nulls, uint64 limit)
{
	(void) reco_sql_prepare(plan);
	CommandCounterIncrement();
	return execute(plan, values, nulls, GetLatestSnapshot(), limit);
}

/* The same for a statement that writes; returns the number of rows. */
uint64
reco_sql_execute(RecoPlan *plan, Datum *values, const char *nulls)
{
	return reco_sql_query(plan, values, nulls, 0);
}

/* A query under a snapshot of the caller's. */
uint64
reco_sql_query_at(RecoPlan *plan, Datum *values, Snapshot snapshot)
{
	return execute(plan, values, NULL, snapshot, 0);
}

/* A field of the result of the last query; columns count from 1. */
Datum
reco_sql_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

/* On a standby unlogged tables have no files to read. */
void
reco_sql_refuse_recovery(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read reco's unlogged tables during recovery"),
				 errhint("Ask the primary, or read the lists from Redis.")));
}

/* A table or index of the schema reco, by name. */
Oid
reco_sql_table(const char *name)
{
	Oid			schema = get_namespace_oid("reco", true);
	Oid			table = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	if (!OidIsValid(table))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"reco.%s\" does not exist", name),
				 errhint("Run CREATE EXTENSION reco in this database.")));
	return table;
}

/* Set a parameter for the rest of the transaction. */
void
reco_sql_set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
							 true, 0, false);
}

/*
 * Lock a table for the rest of the transaction, but wait for others at most
 * timeout milliseconds; false if that was not enough.
 */
bool
reco_sql_lock_table(Oid table, int lockmode, int timeout)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool locked = true;
	int			nest = NewGUCNestLevel();
	char		text[16];

	snprintf(text, sizeof(text), "%d", timeout);
	(void) set_config_option("lock_timeout", text, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		LockRelationOid(table, lockmode);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		FreeErrorData(error);
		locked = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	AtEOXact_GUC(true, nest);
	return locked;
}
