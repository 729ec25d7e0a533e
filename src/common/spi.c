/*-------------------------------------------------------------------------
 *
 * spi.c
 *	  The workers' transactions, and prepared statements.
 *
 * Reco's lock serializes the writers, and each statement must see what the last
 * holder committed.  READ COMMITTED gives each statement its own snapshot, and
 * is required of all writers; see reco_write_begin().
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "common/own_extension.h"
#include "common/own_tables.h"
#include "common/spi.h"
#include "common/xact.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* Begin a transaction of a worker, with an SPI connection and an active snapshot. */
void
reco_sql_begin(void)
{
	reco_xact_begin();
	Assert(!IsolationUsesXactSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* Commit it, and return to the memory context that it was begun in. */
void
reco_sql_commit(void)
{
	SPI_finish();
	PopActiveSnapshot();
	reco_xact_commit();
	pgstat_report_stat(false);
}

/*
 * Parse the statement at its first use, and keep it.  It is planned each time:
 * tables that are empty when a process first uses them soon are not, and an
 * array of one key needs another plan than one of ten thousand.
 */
SPIPlanPtr
reco_sql_prepare(RecoPlan *plan)
{
	if (plan->plan == NULL)
		plan->own = strstr(plan->query, "reco.") != NULL;
	if (plan->own)
		reco_own_tables_check();
	if (plan->plan == NULL)
	{
		MemoryContext caller = CurrentMemoryContext;
		SPIPlanPtr	fresh = SPI_prepare_cursor(plan->query, plan->nargs, plan->argtypes,
											   CURSOR_OPT_CUSTOM_PLAN);

		if (fresh == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", plan->query,
				 SPI_result_code_string(SPI_result));
		if (SPI_keepplan(fresh) != 0)
			elog(ERROR, "could not keep the plan of \"%s\"", plan->query);
		plan->plan = fresh;
		MemoryContextSwitchTo(caller);	/* as in reco_sql_query */
	}
	return plan->plan;
}

static uint64
spi_check_result(const RecoPlan *plan, int result)
{
	/* a table may have been altered before the statement locked it */
	if (plan->own)
		reco_own_tables_check();
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", plan->query, SPI_result_code_string(result));
	return SPI_processed;
}

/* Run a query for at most limit rows (0: all), and leave them in SPI_tuptable. */
uint64
reco_sql_query(RecoPlan *plan, Datum *values, const char *nulls, uint64 limit)
{
	MemoryContext caller = CurrentMemoryContext;
	int			result = SPI_execute_plan(reco_sql_prepare(plan), values, nulls, false, limit);

	/* SPI leaves its procedure context current, which lives until SPI_finish */
	MemoryContextSwitchTo(caller);
	return spi_check_result(plan, result);
}

/* The same for a statement that writes; returns the number of rows. */
uint64
reco_sql_execute(RecoPlan *plan, Datum *values, const char *nulls)
{
	return reco_sql_query(plan, values, nulls, 0);
}

/* Run a query under the caller's snapshot. */
uint64
reco_sql_query_at(RecoPlan *plan, Datum *values, Snapshot snapshot)
{
	MemoryContext caller = CurrentMemoryContext;
	int			result = SPI_execute_snapshot(reco_sql_prepare(plan), values, NULL, snapshot,
											  InvalidSnapshot, false, true, 0);

	MemoryContextSwitchTo(caller);
	return spi_check_result(plan, result);
}

/*
 * Run a query under the active snapshot without keeping its plan, and send its
 * rows, of any number, to a receiver.
 */
void
reco_sql_send(const RecoPlan *plan, Datum *values, DestReceiver *receiver)
{
	SPIExecuteOptions options = {.read_only = true, .dest = receiver};
	MemoryContext caller = CurrentMemoryContext;
	int			result;

	options.params = makeParamList(plan->nargs);
	for (int i = 0; i < plan->nargs; i++)
	{
		options.params->params[i].value = values[i];
		options.params->params[i].isnull = false;
		options.params->params[i].pflags = PARAM_FLAG_CONST;
		options.params->params[i].ptype = plan->argtypes[i];
	}
	result = SPI_execute_extended(plan->query, &options);
	MemoryContextSwitchTo(caller);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", plan->query, SPI_result_code_string(result));
}

/* A field of the result of the last query; columns count from 1. */
Datum
reco_sql_value(uint64 row, int column, bool *isnull)
{
	/* the owner of the tables, or a trigger of his, may have deleted a row */
	if (SPI_tuptable == NULL || row >= SPI_tuptable->numvals)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a row of reco's tables is missing"),
				 errhint("Run TRUNCATE reco.state and reco_rebuild().")));
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

/* Raise an ERROR on a standby: unlogged tables have no files there. */
void
reco_sql_require_primary(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read reco's unlogged tables during recovery"),
				 errhint("Ask the primary, or read the lists from Redis.")));
}

/*
 * Raise an ERROR unless each statement has its own snapshot: without the commits
 * of other transactions the result would be wrong.  what: such as "insert rows".
 */
void
reco_sql_require_read_committed(const char *what)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s in a %s transaction", what,
						XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errdetail("It must see what other transactions commit meanwhile."),
				 errhint("Use a READ COMMITTED transaction.")));
}

/* A table or index of the schema reco, by name. */
Oid
reco_sql_table(const char *name)
{
	Oid			schema = get_namespace_oid("reco", true);
	Oid			table = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	reco_own_extension_check(false);
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
 * Lock a table for the rest of the transaction, but wait at most timeout
 * milliseconds; false if that was not enough.
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
