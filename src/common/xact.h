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
 * What a module keeps in memory of the transaction at hand, and how it lets go
 * of it: the static variables that must not outlive a transaction or a
 * subtransaction.  Any of the functions may be NULL.  Only pre_prepare may
 * raise an ERROR; at the other times the server cannot abort any more.
 */
typedef struct RecoXactModule
{
	void		(*pre_prepare) (void);	/* PREPARE TRANSACTION: may refuse it */
	void		(*commit) (void);	/* every new snapshot sees the transaction */
	void		(*abort) (void);	/* it is undone, or prepared: nobody sees it yet */
	void		(*reset) (void);	/* last, however it ended: forget it */

	/* A subtransaction of this nest level, and with it what it contained, */
	void		(*commit_sub) (int level);	/* is a part of its parent now */
	void		(*abort_sub) (int level);	/* is undone */
} RecoXactModule;

extern void reco_xact_init(const RecoXactModule *const *list, int count);

/*
 * The transactions of a worker; the second and the third go back to the memory
 * context that the first was called in.  After an ERROR, in PG_CATCH, the third
 * ends what is open and returns the error, copied to that context.
 */
extern void reco_xact_begin(void);
extern void reco_xact_commit(void);
extern ErrorData *reco_xact_abort(MemoryContext context);

#endif							/* RECO_XACT_H */
