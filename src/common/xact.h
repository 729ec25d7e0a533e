/*-------------------------------------------------------------------------
 *
 * xact.h
 *	  Where transactions begin and end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_XACT_H
#define RECO_XACT_H

/*
 * Callbacks of a module that keeps static variables which must not outlive the
 * transaction or subtransaction.  Any of them may be NULL.  Only pre_commit
 * and pre_prepare may raise an ERROR; in the others it is too late to abort.
 */
typedef struct RecoXactModule
{
	void		(*pre_commit) (void);	/* last thing before COMMIT; may run SQL */
	void		(*pre_prepare) (void);	/* PREPARE TRANSACTION: may reject it */
	void		(*commit) (void);	/* new snapshots see the transaction */
	void		(*abort) (void);	/* it was rolled back, or prepared */
	void		(*reset) (void);	/* last, however it ended: forget it */

	/* The subtransaction of this nest level, with those in it, */
	void		(*commit_sub) (int level);	/* became part of its parent */
	void		(*abort_sub) (int level);	/* was rolled back */
} RecoXactModule;

extern void reco_xact_init(const RecoXactModule *const *list, int count);

/*
 * A worker's transactions.  begin() notes the current memory context, and
 * commit() returns to it.  abort() is called in PG_CATCH: it aborts the
 * transaction, switches to the given context, and returns the error copied
 * there.
 */
extern void reco_xact_begin(void);
extern void reco_xact_commit(void);
extern ErrorData *reco_xact_abort(MemoryContext context);

#endif							/* RECO_XACT_H */
