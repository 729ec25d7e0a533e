/*-------------------------------------------------------------------------
 *
 * insert_nesting.c
 *	  INSERTs into reco.activity that are in progress in the transaction.
 *
 * Between the first row of an INSERT and its AFTER trigger, reco.activity
 * contains rows that are not in the derived tables yet.  A command that
 * computes from reco.activity in between (a DELETE in the same statement or
 * in a trigger, a rebuild in a function) would count them, and the AFTER
 * trigger would count them again.  Such a command is rejected.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "activity/insert_nesting.h"

/* Limit of nesting, through functions and triggers. */
#define MAX_DEPTH 64

/* The transaction nest level of each INSERT in progress, innermost last. */
static int	levels[MAX_DEPTH];
static int	depth = 0;

static void
insert_nesting_reset_xact(void)
{
	depth = 0;
}

/* INSERTs ended by ROLLBACK TO SAVEPOINT are no longer in progress. */
static void
insert_nesting_abort_sub(int level)
{
	while (depth > 0 && levels[depth - 1] >= level)
		depth--;
}

const RecoXactModule reco_insert_nesting_xact = {
	.abort_sub = insert_nesting_abort_sub,.reset = insert_nesting_reset_xact
};

/* An INSERT begins. */
void
reco_insert_nesting_begin(void)
{
	if (depth == MAX_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("inserts into reco.activity are nested too deeply")));
	levels[depth++] = GetCurrentTransactionNestLevel();
}

/* Its AFTER trigger has been called. */
void
reco_insert_nesting_end(void)
{
	if (depth > 0)
		depth--;
}

/*
 * Raise an error if an INSERT is in progress; what: "delete from
 * reco.activity", for the message.
 */
void
reco_insert_nesting_check(const char *what)
{
	if (depth > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s while a command of this transaction is still inserting into reco.activity", what),
				 errhint("Use two statements, one after the other.")));
}
