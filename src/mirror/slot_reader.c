/*-------------------------------------------------------------------------
 *
 * slot_reader.c
 *	  The slot reader: decodes WAL to find which products changed.
 *
 * The process reads through a single temporary slot and a decoding context that
 * lives as long as the slot.  WAL is read up to what has been flushed, without
 * waiting for more, and the slot advances whether or not there was a change.
 *
 * Transactions: reco_slot_reader_open() runs one; reco_slot_reader_read() must be
 * called outside any, since the decoder starts one for each that it replays.
 * The decoding context is created inside a transaction: otherwise
 * PROC_IN_LOGICAL_DECODING would be set, and other sessions would ignore this
 * process's snapshots from then on and remove rows that it still needs.
 *
 * Catalog caches: decoding fills them with definitions of the past.  Only the
 * watched tables are looked up, so the caches are invalidated around a read only
 * as long as WAL from before a change of such a table is read.
 *
 * Locks: none are held between calls.  After an ERROR the slot is dropped by the
 * exit of the process; if it falls behind max_slot_wal_keep_size, core
 * terminates the process.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogutils.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "common/xact.h"
#include "mirror/output_plugin.h"
#include "mirror/slot_reader.h"
#include "miscadmin.h"
#include "replication/decode.h"
#include "replication/logical.h"
#include "replication/slot.h"
#include "shmem/worker_status.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Limits of one read. */
#define ENOUGH_KEYS 5000
#define ENOUGH_BYTES (64 * 1024 * 1024)
#define ENOUGH_MS 200

struct RecoSlotReader
{
	MemoryContext context;
	LogicalDecodingContext *logical;
	RecoOutputPlugin *plugin;
	RecoChanges changes;
	TransactionId *open;		/* transactions in progress when watching began */
	int			nopen;
	XLogRecPtr	altered_until;	/* a watched table was last altered before this */
	bool		emptying;		/* we are invalidating the caches ourselves */
};

/* The reader of this process. */
static RecoSlotReader *current_reader = NULL;

/* Read a page of WAL, if it has been flushed. */
static int
slot_read_page(XLogReaderState *state, XLogRecPtr page, int length, XLogRecPtr record,
			   char *buffer)
{
	if (page + length > GetFlushRecPtr(NULL))
		return -1;
	return read_local_xlog_page(state, page, length, record, buffer);
}

/* Relcache callback: a watched table was altered, now or in the WAL being decoded. */
static void
slot_table_altered(Datum arg, Oid table)
{
	if (current_reader == NULL || current_reader->emptying)
		return;
	if (!OidIsValid(table) || reco_output_plugin_watches(current_reader->plugin, table))
		current_reader->altered_until = GetXLogInsertRecPtr();
}

/* before_shmem_exit callback: report if core terminates the process because of the slot. */
static void
slot_report_invalidation(int code, Datum arg)
{
	WALAvailability availability;

	if (MyReplicationSlot == NULL)
		return;
	availability = GetWALAvailability(MyReplicationSlot->data.restart_lsn);
	if (availability != WALAVAIL_UNRESERVED && availability != WALAVAIL_REMOVED)
		return;
	reco_trouble_begin(RECO_FOLLOW, RECO_TROUBLE_CATALOG, RECO_HEALTH_FAILING, NULL,
					   "replication slot \"%s\" fell behind max_slot_wal_keep_size: the catalog will be compared as a whole, and followed through a new slot",
					   NameStr(MyReplicationSlot->data.name));
}

/* Find a consistent point to start decoding; waits for open transactions. */
static void
slot_find_start(RecoSlotReader *reader)
{
	MemoryContextSwitchTo(reader->context);
	reader->logical =
		CreateInitDecodingContext("reco", NIL, false, InvalidXLogRecPtr,
								  XL_ROUTINE(.page_read = read_local_xlog_page,
											 .segment_open = wal_segment_open,
											 .segment_close = wal_segment_close),
								  NULL, NULL, NULL);

	/*
	 * This replays transactions for their invalidations only, in a
	 * subtransaction, which leaves another memory context current.
	 */
	DecodingContextFindStartpoint(reader->logical);
	FreeDecodingContext(reader->logical);
	reader->logical = NULL;
}

static void
slot_start_decoding(RecoSlotReader *reader)
{
	MemoryContextSwitchTo(reader->context);
	reader->logical =
		CreateDecodingContext(InvalidXLogRecPtr, NIL, false,
							  XL_ROUTINE(.page_read = slot_read_page,
										 .segment_open = wal_segment_open,
										 .segment_close = wal_segment_close),
							  NULL, NULL, NULL);
	Assert(MemoryContextGetParent(reader->logical->context) == reader->context);
	if (MyProc->statusFlags & PROC_IN_LOGICAL_DECODING)
		elog(ERROR, "rows that this process needs could be removed");
	XLogBeginRead(reader->logical->reader, MyReplicationSlot->data.restart_lsn);
}

static void
slot_register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	registered = true;
	CacheRegisterRelcacheCallback(slot_table_altered, (Datum) 0);
	before_shmem_exit(slot_report_invalidation, (Datum) 0);
}

/* Undo reco_slot_reader_open; outside any transaction. */
static void
slot_clean_up(RecoSlotReader *reader)
{
	Assert(!IsTransactionState());
	current_reader = NULL;
	reco_output_plugin_activate(NULL);
	if (reader->logical != NULL)
		FreeDecodingContext(reader->logical);
	if (MyReplicationSlot != NULL)
	{
		NameData	name = MyReplicationSlot->data.name;

		ReplicationSlotRelease();
		ReplicationSlotDrop(NameStr(name), true);
	}
	MemoryContextDelete(reader->context);
}

/* Create the slot and its decoding context, in a transaction. */
static void
slot_create(RecoSlotReader *reader, int timeout_ms)
{
	char		name[NAMEDATALEN];
	char		timeout[32];

	snprintf(name, sizeof(name), "reco_follow_%u", MyDatabaseId);
	snprintf(timeout, sizeof(timeout), "%d", timeout_ms);
	reco_sql_set_local("lock_timeout", timeout);
	CheckLogicalDecodingRequirements();
	reco_slot_create_temporary(name);
	slot_find_start(reader);
	slot_start_decoding(reader);
}

/*
 * Create the slot; changes can be read from here on.  Waits at most timeout_ms
 * for each transaction that has an XID; returns NULL if that was not enough.
 * Then, or after an ERROR, no slot is left.
 */
RecoSlotReader *
reco_slot_reader_open(int timeout_ms)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "reco reader",
												  ALLOCSET_DEFAULT_SIZES);
	RecoSlotReader *reader = MemoryContextAllocZero(context, sizeof(RecoSlotReader));

	reader->context = context;
	reader->plugin = reco_output_plugin_create(context);
	reco_output_plugin_activate(reader->plugin);
	slot_register_callbacks();

	reco_xact_begin();
	PG_TRY();
	{
		slot_create(reader, timeout_ms);
	}
	PG_CATCH();
	{
		ErrorData  *error = reco_xact_abort(caller);

		slot_clean_up(reader);
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		return NULL;
	}
	PG_END_TRY();
	reco_xact_commit();
	current_reader = reader;
	return reader;
}

/* The catalog is not followed any more: drop the slot. */
void
reco_slot_reader_close(RecoSlotReader *reader)
{
	slot_clean_up(reader);
}

/* Remember the transactions in progress of a new snapshot. */
static void
slot_note_running(RecoSlotReader *reader)
{
	TransactionId *before = reader->open;
	Snapshot	snapshot;

	reco_xact_begin();
	snapshot = GetTransactionSnapshot();
	reader->open = MemoryContextAlloc(reader->context,
									  Max(snapshot->xcnt, 1) * sizeof(TransactionId));
	memcpy(reader->open, snapshot->xip, snapshot->xcnt * sizeof(TransactionId));
	reader->nopen = snapshot->xcnt;
	reco_xact_commit();
	if (before != NULL)
		pfree(before);
}

/*
 * Is one of some transactions still in progress for a new snapshot?  Forgets
 * those that are not.  The snapshot also keeps their status from being truncated.
 */
static bool
slot_any_in_progress(TransactionId *xids, int *n)
{
	Snapshot	snapshot;

	if (*n == 0)
		return false;
	reco_xact_begin();
	snapshot = GetTransactionSnapshot();
	while (*n > 0 && !XidInMVCCSnapshot(xids[*n - 1], snapshot))
		(*n)--;
	reco_xact_commit();
	return *n > 0;
}

/* Watch the source's tables and its key column from now on. */
void
reco_slot_reader_watch(RecoSlotReader *reader, const RecoSource *source)
{
	reco_output_plugin_watch(reader->plugin, source);
	reader->altered_until = GetXLogInsertRecPtr();	/* to be safe */
	slot_note_running(reader);
}

/*
 * Could a change from before watching began, which was not collected, still be
 * invisible?  A commit is in WAL a moment before it is visible.
 */
bool
reco_slot_reader_may_have_missed(RecoSlotReader *reader)
{
	return slot_any_in_progress(reader->open, &reader->nopen);
}

/* Invalidate the catalog caches, if the definitions of past and present may differ. */
static void
slot_separate_past(RecoSlotReader *reader)
{
	if (reader->logical->reader->EndRecPtr >= reader->altered_until)
		return;
	reader->emptying = true;
	InvalidateSystemCaches();
	reader->emptying = false;
}

/* Read a record; false at the end of flushed WAL. */
static bool
slot_read_record(LogicalDecodingContext *logical)
{
	char	   *error;

	if (XLogReadRecord(logical->reader, &error) == NULL)
	{
		if (error != NULL)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read WAL at %X/%X: %s",
							LSN_FORMAT_ARGS(logical->reader->EndRecPtr), error)));
		return false;
	}
	LogicalDecodingProcessRecord(logical, logical->reader);
	return true;
}

/*
 * Read a bounded amount of WAL.  The result is valid until the next call, and
 * has all changes since the last confirmation.
 */
const RecoChanges *
reco_slot_reader_read(RecoSlotReader *reader)
{
	XLogReaderState *wal = reader->logical->reader;
	RecoOutputPlugin *collect = reader->plugin;
	RecoChanges *changes = &reader->changes;
	XLogRecPtr	flushed = GetFlushRecPtr(NULL);
	XLogRecPtr	enough = wal->EndRecPtr + ENOUGH_BYTES;
	RecoMoment	deadline = reco_monotonic_after(ENOUGH_MS);
	MemoryContext caller = CurrentMemoryContext;

	Assert(!IsTransactionState());
	changes->more = wal->EndRecPtr < flushed;
	if (changes->more)
		slot_separate_past(reader);
	while (changes->more && wal->EndRecPtr < enough && collect->batch->nkeys < ENOUGH_KEYS &&
		   !reco_monotonic_has_passed(deadline))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(reader->context);
		changes->more = slot_read_record(reader->logical) && wal->EndRecPtr < flushed;
		changes->position = wal->EndRecPtr;
	}
	MemoryContextSwitchTo(caller);

	/* a record that is only partly flushed is no commit yet */
	if (!changes->more)
		changes->position = flushed;
	changes->keys = collect->batch->keys;
	changes->nkeys = collect->batch->nkeys;
	changes->everything = collect->batch->everything;
	changes->committed_at = collect->committed_at;
	slot_separate_past(reader);
	return changes;
}

/*
 * Are the changes visible to a new snapshot?  A commit is in WAL a moment
 * before, and while it waits for a synchronous standby.
 */
bool
reco_slot_reader_is_settled(RecoSlotReader *reader)
{
	return !slot_any_in_progress(reader->plugin->xids, &reader->plugin->nxids);
}

/* What was read has been applied: let the slot advance. */
void
reco_slot_reader_confirm(RecoSlotReader *reader)
{
	XLogRecPtr	kept = MyReplicationSlot->data.restart_lsn;
	XLogRecPtr	end = reader->logical->reader->EndRecPtr;

	reco_output_plugin_reset(reader->plugin);
	if (end <= MyReplicationSlot->data.confirmed_flush)
		return;
	LogicalConfirmReceivedLocation(end);

	/* core does this only if the slot's xmin advances, too */
	if (MyReplicationSlot->data.restart_lsn != kept)
		ReplicationSlotsComputeRequiredLSN();
}

/* Report the transaction that the creation of the slot waits for. */
void
reco_slot_reader_report_blocker(const char *catalog)
{
	static RecoPlan plan = {
		"SELECT format('process %s (%s)', pid, coalesce(nullif(application_name, ''), backend_type)),"
		" age(backend_xid) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
		" UNION ALL"
		" SELECT format('prepared transaction %s', gid), age(transaction) FROM pg_prepared_xacts"
		" ORDER BY 2 DESC LIMIT 1"
	};

	reco_sql_begin();
	if (reco_sql_query(&plan, NULL, NULL, 1) > 0)
		reco_status_report(RECO_FOLLOW, RECO_HEALTH_WAITING,
						   "comparing now and then: to follow %s needs the transaction of %s to end",
						   catalog, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	reco_sql_commit();
}
