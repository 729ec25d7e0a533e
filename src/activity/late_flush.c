/*-------------------------------------------------------------------------
 *
 * late_flush.c
 *	  A commit that is flushed to disk when its locks are released.
 *
 * A client's transaction takes reco's lock as it commits, and the server flushes
 * WAL before it releases locks: one transaction after the other would wait for
 * the disk, with nothing to share.  So the transaction commits as with
 * synchronous_commit = off, releases its locks, and then waits for WAL to be
 * flushed, and for synchronous standbys, as its synchronous_commit asks for;
 * transactions that come to wait meanwhile share the flush.
 *
 * The client learns of the commit no earlier than otherwise.  Others may see it
 * before it is on disk; if they write and commit synchronously, it is by then.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "activity/late_flush.h"
#include "replication/syncrep.h"
#include "utils/resowner.h"

/* The present transaction's setting while it commits with another one. */
static int	asked_for = SYNCHRONOUS_COMMIT_OFF;
static bool is_requested = false;

/* Committed, and to be flushed. */
static bool is_due = false;

/*
 * The present transaction is about to commit, with reco's lock.  One that has
 * written unlogged tables only is not flushed by the server either.
 */
void
reco_late_flush_request(void)
{
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF || XLogRecPtrIsInvalid(XactLastRecEnd))
		return;
	asked_for = synchronous_commit;
	synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
	is_requested = true;
}

static void
late_flush_commit(void)
{
	is_due = is_requested;
}

static void
late_flush_reset(void)
{
	if (is_requested)
		synchronous_commit = asked_for;
	is_requested = false;
}

const RecoXactModule reco_late_flush_xact = {.commit = late_flush_commit,.reset = late_flush_reset};

/* Locks have been released: flush, as RecordTransactionCommit() would have. */
static void
late_flush_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (!is_due || !is_top_level || phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;
	is_due = false;
	if (!is_commit || XLogRecPtrIsInvalid(XactLastCommitEnd))
		return;
	XLogFlush(XactLastCommitEnd);
	if (asked_for > SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		SyncRepWaitForLSN(XactLastCommitEnd, true);
}

void
reco_late_flush_init(void)
{
	RegisterResourceReleaseCallback(late_flush_release, NULL);
}
