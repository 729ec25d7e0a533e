/*-------------------------------------------------------------------------
 *
 * follow_position.c
 *	  How far the catalog has been followed, for SQL.
 *
 * The follow worker says in shared memory up to which WAL position the
 * catalog's changes are in the mirror.  Nothing is written or locked here.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "common/guc.h"
#include "common/monotonic.h"
#include "common/wait_event.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "shmem/worker_status.h"
#include "storage/latch.h"
#include "utils/pg_lsn.h"

/* Ms between two looks. */
#define LOOK_INTERVAL 5

PG_FUNCTION_INFO_V1(reco_follow_position);
PG_FUNCTION_INFO_V1(reco_follow_wait);

/* NULL: the catalog is not being followed at the moment. */
Datum
reco_follow_position(PG_FUNCTION_ARGS)
{
	XLogRecPtr	position = InvalidXLogRecPtr;

	if (reco_service_serves_database())
		position = reco_service_follow_position();
	if (XLogRecPtrIsInvalid(position))
		PG_RETURN_NULL();
	PG_RETURN_LSN(position);
}

/*
 * Flush all WAL so far, since the worker reads only what is flushed, and
 * return where it ends.  At the start of a page, where nothing is inserted
 * yet, the insert position has its header already behind it.
 */
static XLogRecPtr
flush_everything(void)
{
	XLogRecPtr	end = GetXLogInsertRecPtr();

	if (XLogSegmentOffset(end, wal_segment_size) == SizeOfXLogLongPHD)
		end -= SizeOfXLogLongPHD;
	else if (end % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		end -= SizeOfXLogShortPHD;
	XLogFlush(end);
	return end;
}

/*
 * Wait until what is committed now is in the mirror; false if that takes
 * longer than the argument says, in ms.
 */
Datum
reco_follow_wait(PG_FUNCTION_ARGS)
{
	RecoMoment	until = reco_monotonic_after(PG_GETARG_INT32(0));
	XLogRecPtr	end;

	if (!reco_enabled || RecoveryInProgress() || !reco_service_serves_database())
		PG_RETURN_BOOL(false);
	end = flush_everything();
	while (reco_service_follow_position() < end)
	{
		if (reco_monotonic_has_passed(until))
			PG_RETURN_BOOL(false);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_INTERVAL, reco_wait_event(RECO_WAIT_FOLLOWED));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	PG_RETURN_BOOL(true);
}
