/*-------------------------------------------------------------------------
 *
 * xact.c
 *	  Where transactions begin and end.
 *
 * The one place that the server calls when a transaction or a subtransaction
 * ends; the table of the modules that have something to do then stands in
 * reco.c.  A prepared transaction leaves the session as an aborted one does:
 * nobody sees what it did, and somebody else will decide whether it was done.
 *
 * Workers begin and end their transactions here, too.  The server's own calls
 * for that leave another memory context behind than they found.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "common/xact.h"
#include "utils/memutils.h"

static const RecoXactModule *const *modules = NULL;
static int	nmodules = 0;

/* The memory context outside the worker's transaction. */
static MemoryContext outside = NULL;

static void
undo(void)
{
	for (int i = 0; i < nmodules; i++)
		if (modules[i]->abort != NULL)
			modules[i]->abort();
}

static void
reset(void)
{
	for (int i = 0; i < nmodules; i++)
		if (modules[i]->reset != NULL)
			modules[i]->reset();
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			for (int i = 0; i < nmodules; i++)
				if (modules[i]->pre_prepare != NULL)
					modules[i]->pre_prepare();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			for (int i = 0; i < nmodules; i++)
				if (modules[i]->commit != NULL)
					modules[i]->commit();
			reset();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			undo();
			reset();
			break;
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	for (int i = 0; i < nmodules; i++)
	{
		if (event == SUBXACT_EVENT_COMMIT_SUB && modules[i]->commit_sub != NULL)
			modules[i]->commit_sub(level);
		if (event == SUBXACT_EVENT_ABORT_SUB && modules[i]->abort_sub != NULL)
			modules[i]->abort_sub(level);
	}
}

/* Have these modules called, in this order; called once, from _PG_init. */
void
reco_xact_init(const RecoXactModule *const *list, int count)
{
	modules = list;
	nmodules = count;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

void
reco_xact_begin(void)
{
	Assert(!IsTransactionState());
	outside = CurrentMemoryContext;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
}

void
reco_xact_commit(void)
{
	Assert(IsTransactionState());
	CommitTransactionCommand();
	MemoryContextSwitchTo(outside);
}

ErrorData *
reco_xact_abort(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	return error;
}
