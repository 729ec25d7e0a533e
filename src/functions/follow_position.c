/*-------------------------------------------------------------------------
 *
 * follow_position.c
 *	  SQL functions that show how far the catalog has been followed.
 *
 * The follow worker publishes in shared memory the WAL position up to which the
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

/* Ms between polls. */
#define POLL_INTERVAL 5

PG_FUNCTION_INFO_V1(reco_follow_position);
PG_FUNCTION_INFO_V1(reco_follow_wait);

/* reco_follow_position(): NULL while the catalog is not followed. */
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
 * Flush all WAL, since the worker only reads flushed WAL, and return its end.  At
 * the start of a page that is still empty, the insert position is already past
 * the page header.
 */
static XLogRecPtr
follow_flush_wal(void)
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
 * reco_follow_wait(ms): wait until all that is committed now is in the mirror;
 * false if that takes longer.
 */
Datum
reco_follow_wait(PG_FUNCTION_ARGS)
{
	RecoMoment	until = reco_monotonic_after(PG_GETARG_INT32(0));
	XLogRecPtr	end;

	if (!reco_enabled || RecoveryInProgress() || !reco_service_serves_database())
		PG_RETURN_BOOL(false);
	end = follow_flush_wal();
	while (reco_service_follow_position() < end)
	{
		if (reco_monotonic_has_passed(until))
			PG_RETURN_BOOL(false);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 POLL_INTERVAL, reco_wait_event(RECO_WAIT_FOLLOWED));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	PG_RETURN_BOOL(true);
}
