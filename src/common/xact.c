/*-------------------------------------------------------------------------
 *
 * xact.c
 *	  Where transactions begin and end.
 *
 * The only transaction and subtransaction callbacks that reco registers; they
 * call the modules listed in reco.c.  For the session, PREPARE TRANSACTION is
 * like an abort: nobody sees the changes yet, and another session will commit
 * them or not.
 *
 * Workers also begin and end their transactions here, because
 * CommitTransactionCommand() does not restore the caller's memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "common/xact.h"
#include "utils/memutils.h"

static const RecoXactModule *const *xact_modules = NULL;
static int	xact_nmodules = 0;

/* The memory context in which the worker's transaction was begun. */
static MemoryContext caller_context = NULL;

static void
xact_undo(void)
{
	for (int i = 0; i < xact_nmodules; i++)
		if (xact_modules[i]->abort != NULL)
			xact_modules[i]->abort();
}

static void
xact_reset(void)
{
	for (int i = 0; i < xact_nmodules; i++)
		if (xact_modules[i]->reset != NULL)
			xact_modules[i]->reset();
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			for (int i = 0; i < xact_nmodules; i++)
				if (xact_modules[i]->pre_prepare != NULL)
					xact_modules[i]->pre_prepare();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			for (int i = 0; i < xact_nmodules; i++)
				if (xact_modules[i]->commit != NULL)
					xact_modules[i]->commit();
			xact_reset();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			xact_undo();
			xact_reset();
			break;
		case XACT_EVENT_PRE_COMMIT:
			for (int i = 0; i < xact_nmodules; i++)
				if (xact_modules[i]->pre_commit != NULL)
					xact_modules[i]->pre_commit();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
	}
}

static void
xact_subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	for (int i = 0; i < xact_nmodules; i++)
	{
		if (event == SUBXACT_EVENT_COMMIT_SUB && xact_modules[i]->commit_sub != NULL)
			xact_modules[i]->commit_sub(level);
		if (event == SUBXACT_EVENT_ABORT_SUB && xact_modules[i]->abort_sub != NULL)
			xact_modules[i]->abort_sub(level);
	}
}

/* Register the modules, to be called in this order; called once, from _PG_init. */
void
reco_xact_init(const RecoXactModule *const *list, int count)
{
	xact_modules = list;
	xact_nmodules = count;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(xact_subxact_callback, NULL);
}

void
reco_xact_begin(void)
{
	Assert(!IsTransactionState());
	caller_context = CurrentMemoryContext;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
}

void
reco_xact_commit(void)
{
	Assert(IsTransactionState());
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller_context);
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
