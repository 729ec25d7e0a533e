/*-------------------------------------------------------------------------
 *
 * insert_nesting.c
 *	  Commands of the transaction that are still inserting activity.
 *
 * Between the first row of an INSERT and its AFTER trigger, reco.activity
 * holds rows that the derived tables do not know yet.  Whoever computes from
 * reco.activity in between (a DELETE in the same statement or in a trigger, a
 * rebuild in a function) would count them, and the AFTER trigger would count
 * them again: such a command is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "activity/insert_nesting.h"

/* Inserts can nest through functions and triggers, but not for ever. */
#define MAX_DEPTH 64

/* The transaction nest level of each insert that has begun, innermost last. */
static int	levels[MAX_DEPTH];
static int	depth = 0;

static void
insert_nesting_reset_xact(void)
{
	depth = 0;
}

/* Inserts that a savepoint's rollback has ended are no longer under way. */
static void
insert_nesting_abort_sub(int level)
{
	while (depth > 0 && levels[depth - 1] >= level)
		depth--;
}

const RecoXactModule reco_insert_nesting_xact = {
	.abort_sub = insert_nesting_abort_sub,.reset = insert_nesting_reset_xact
};

/* An INSERT of activity begins. */
void
reco_insert_nesting_begin(void)
{
	if (depth == MAX_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("inserts into reco.activity are nested too deeply")));
	levels[depth++] = GetCurrentTransactionNestLevel();
}

/* Its AFTER trigger has come. */
void
reco_insert_nesting_end(void)
{
	if (depth > 0)
		depth--;
}

/* what: "delete from reco.activity", for the message. */
void
reco_insert_nesting_check(const char *what)
{
	if (depth > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s while a command of this transaction is still inserting into reco.activity", what),
				 errhint("Use two statements, one after the other.")));
}
