/*-------------------------------------------------------------------------
 *
 * slot_reader.c
 *	  The slot reader: follows WAL and tells which products changed.
 *
 * One process reads through one temporary slot and one decoding context that
 * lives as long as the process.  WAL is read up to what is flushed, never
 * waiting for more, and the slot moves on whether or not anything mattered.
 *
 * Transactions: reco_decode_open() runs one; reco_decode_read() is called
 * outside any, since the decoder starts one for each that it replays.  The
 * context is made inside a transaction all the same: made outside, it would
 * set PROC_IN_LOGICAL_DECODING, and other sessions would ignore this
 * process's transactions from then on and remove rows that it still needs.
 *
 * Catalog caches: decoding fills them with the definitions of the past.  Only
 * the watched tables are looked into, so the caches are emptied around a read
 * only while WAL from before a change of such a table is read.
 *
 * Locks: none are held between calls.  An ERROR leaves the slot to the exit
 * of the process, and a slot that falls behind max_slot_wal_keep_size ends
 * the process: core terminates it.
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

/* One read ends when it has seen this much. */
#define ENOUGH_KEYS 5000
#define ENOUGH_BYTES (64 * 1024 * 1024)
#define ENOUGH_MS 200

struct RecoDecode
{
	MemoryContext context;
	LogicalDecodingContext *logical;
	RecoCollect *collect;
	RecoChanges changes;
	TransactionId *open;		/* when watching began */
	int			nopen;
	XLogRecPtr	altered_until;	/* a watched table was altered before this */
	bool		emptying;		/* the caches, by ourselves */
};

/* The one reader of this process. */
static RecoDecode *reader = NULL;

/* Read a page of WAL, as far as it is flushed. */
static int
read_flushed_page(XLogReaderState *state, XLogRecPtr page, int length, XLogRecPtr record,
				  char *buffer)
{
	if (page + length > GetFlushRecPtr(NULL))
		return -1;
	return read_local_xlog_page(state, page, length, record, buffer);
}

/* Note when a watched table is altered: sinval or the decoder tells. */
static void
table_altered(Datum arg, Oid table)
{
	if (reader == NULL || reader->emptying)
		return;
	if (!OidIsValid(table) || reco_collect_watches(reader->collect, table))
		reader->altered_until = GetXLogInsertRecPtr();
}

/* Say why core terminates this process, if it is for the slot. */
static void
report_invalidation(int code, Datum arg)
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

/* Find a point from which decoding can start; waits for open transactions. */
static void
find_start(RecoDecode *decode)
{
	MemoryContextSwitchTo(decode->context);
	decode->logical =
		CreateInitDecodingContext("reco", NIL, false, InvalidXLogRecPtr,
								  XL_ROUTINE(.page_read = read_local_xlog_page,
											 .segment_open = wal_segment_open,
											 .segment_close = wal_segment_close),
								  NULL, NULL, NULL);

	/*
	 * Replays a transaction only for its invalidations, in a subtransaction
	 * of ours: that leaves the transaction's memory context behind.
	 */
	DecodingContextFindStartpoint(decode->logical);
	FreeDecodingContext(decode->logical);
	decode->logical = NULL;
}

static void
start_decoding(RecoDecode *decode)
{
	MemoryContextSwitchTo(decode->context);
	decode->logical =
		CreateDecodingContext(InvalidXLogRecPtr, NIL, false,
							  XL_ROUTINE(.page_read = read_flushed_page,
										 .segment_open = wal_segment_open,
										 .segment_close = wal_segment_close),
							  NULL, NULL, NULL);
	Assert(MemoryContextGetParent(decode->logical->context) == decode->context);
	if (MyProc->statusFlags & PROC_IN_LOGICAL_DECODING)
		elog(ERROR, "rows that this process needs could be removed");
	XLogBeginRead(decode->logical->reader, MyReplicationSlot->data.restart_lsn);
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	registered = true;
	CacheRegisterRelcacheCallback(table_altered, (Datum) 0);
	before_shmem_exit(report_invalidation, (Datum) 0);
}

/* Undo what reco_decode_open did; outside any transaction. */
static void
clean_up(RecoDecode *decode)
{
	Assert(!IsTransactionState());
	reader = NULL;
	reco_collect_into(NULL);
	if (decode->logical != NULL)
		FreeDecodingContext(decode->logical);
	if (MyReplicationSlot != NULL)
	{
		NameData	name = MyReplicationSlot->data.name;

		ReplicationSlotRelease();
		ReplicationSlotDrop(NameStr(name), true);
	}
	MemoryContextDelete(decode->context);
}

/* Make the slot and its decoding context, in a transaction. */
static void
open_slot(RecoDecode *decode, int timeout_ms)
{
	char		name[NAMEDATALEN];
	char		timeout[32];

	snprintf(name, sizeof(name), "reco_follow_%u", MyDatabaseId);
	snprintf(timeout, sizeof(timeout), "%d", timeout_ms);
	reco_sql_set_local("lock_timeout", timeout);
	CheckLogicalDecodingRequirements();
	reco_slot_create_temporary(name);
	find_start(decode);
	start_decoding(decode);
}

/*
 * Make the slot, whose changes can be read from here on.  Waits at most
 * timeout_ms for each transaction that is open for writing; NULL if that was
 * not enough.  Then, or after an ERROR, nothing is left of the slot.
 */
RecoDecode *
reco_decode_open(int timeout_ms)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "reco decode",
												  ALLOCSET_DEFAULT_SIZES);
	RecoDecode *decode = MemoryContextAllocZero(context, sizeof(RecoDecode));

	decode->context = context;
	decode->collect = reco_collect_create(context);
	reco_collect_into(decode->collect);
	register_callbacks();

	reco_xact_begin();
	PG_TRY();
	{
		open_slot(decode, timeout_ms);
	}
	PG_CATCH();
	{
		ErrorData  *error = reco_xact_abort(caller);

		clean_up(decode);
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		return NULL;
	}
	PG_END_TRY();
	reco_xact_commit();
	reader = decode;
	return decode;
}

/* The catalog is not followed any more: drop the slot. */
void
reco_decode_close(RecoDecode *decode)
{
	clean_up(decode);
}

/* Remember the transactions that a new snapshot does not see yet. */
static void
remember_open(RecoDecode *decode)
{
	TransactionId *before = decode->open;
	Snapshot	snapshot;

	reco_xact_begin();
	snapshot = GetTransactionSnapshot();
	decode->open = MemoryContextAlloc(decode->context,
									  Max(snapshot->xcnt, 1) * sizeof(TransactionId));
	memcpy(decode->open, snapshot->xip, snapshot->xcnt * sizeof(TransactionId));
	decode->nopen = snapshot->xcnt;
	reco_xact_commit();
	if (before != NULL)
		pfree(before);
}

/*
 * Is one of some transactions in progress, for a new snapshot?  Forgets those
 * that are not.  Only a snapshot keeps what is known of them from being removed.
 */
static bool
any_in_progress(TransactionId *xids, int *n)
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

/* From here on changes of the source's tables count, by its key column. */
void
reco_decode_watch(RecoDecode *decode, const RecoSource *source)
{
	reco_collect_watch(decode->collect, source);
	decode->altered_until = GetXLogInsertRecPtr();	/* for all that is known */
	remember_open(decode);
}

/*
 * Could a change from before watching began, which was not collected, be
 * invisible still?  Its commit is in WAL a moment before others see it.
 */
bool
reco_decode_may_have_missed(RecoDecode *decode)
{
	return any_in_progress(decode->open, &decode->nopen);
}

/* Empty the catalog caches, if what is read may differ from what they hold. */
static void
separate_past(RecoDecode *decode)
{
	if (decode->logical->reader->EndRecPtr >= decode->altered_until)
		return;
	decode->emptying = true;
	InvalidateSystemCaches();
	decode->emptying = false;
}

/* Read one record; false at the end of what is flushed. */
static bool
read_record(LogicalDecodingContext *logical)
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
 * Read on, a bounded way.  The result is valid until the next call, and holds
 * all since the last confirmation.
 */
const RecoChanges *
reco_decode_read(RecoDecode *decode)
{
	XLogReaderState *wal = decode->logical->reader;
	RecoCollect *collect = decode->collect;
	RecoChanges *changes = &decode->changes;
	XLogRecPtr	flushed = GetFlushRecPtr(NULL);
	XLogRecPtr	enough = wal->EndRecPtr + ENOUGH_BYTES;
	RecoMoment	deadline = reco_monotonic_after(ENOUGH_MS);
	MemoryContext caller = CurrentMemoryContext;

	Assert(!IsTransactionState());
	changes->more = wal->EndRecPtr < flushed;
	if (changes->more)
		separate_past(decode);
	while (changes->more && wal->EndRecPtr < enough && collect->batch->nkeys < ENOUGH_KEYS &&
		   !reco_monotonic_has_passed(deadline))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(decode->context);
		changes->more = read_record(decode->logical) && wal->EndRecPtr < flushed;
		changes->position = wal->EndRecPtr;
	}
	MemoryContextSwitchTo(caller);

	/* A record that is not flushed to its end is nobody's commit yet. */
	if (!changes->more)
		changes->position = flushed;
	changes->keys = collect->batch->keys;
	changes->nkeys = collect->batch->nkeys;
	changes->everything = collect->batch->everything;
	changes->committed_at = collect->committed_at;
	separate_past(decode);
	return changes;
}

/*
 * Are the changes visible to a new snapshot?  A commit is in WAL a moment
 * before, and while it waits for a synchronous standby.
 */
bool
reco_decode_settled(RecoDecode *decode)
{
	return !any_in_progress(decode->collect->xids, &decode->collect->nxids);
}

/* What was read has been applied, and its WAL is not needed any more. */
void
reco_decode_confirm(RecoDecode *decode)
{
	XLogRecPtr	kept = MyReplicationSlot->data.restart_lsn;
	XLogRecPtr	end = decode->logical->reader->EndRecPtr;

	reco_collect_reset(decode->collect);
	if (end <= MyReplicationSlot->data.confirmed_flush)
		return;
	LogicalConfirmReceivedLocation(end);

	/* Core tells the checkpointer only when the slot's xmin moves, too. */
	if (MyReplicationSlot->data.restart_lsn != kept)
		ReplicationSlotsComputeRequiredLSN();
}

/* Name the transaction that keeps the slot from being made, in the worker's state. */
void
reco_decode_tell_blocker(const char *catalog)
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
		reco_status_report(RECO_FOLLOW, RECO_HEALTH_WAITING, "comparing now and then: to follow %s needs the transaction of %s to end",
						   catalog, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	reco_sql_commit();
}
