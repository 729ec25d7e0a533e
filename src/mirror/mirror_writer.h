/*-------------------------------------------------------------------------
 *
 * mirror_writer.h
 *	  Products that the catalog and the mirror do not agree on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_MIRROR_WRITER_H
#define RECO_MIRROR_WRITER_H

#include "executor/tuptable.h"
#include "utils/tuplestore.h"

/* What the mirror has to do; SKIPPED: nothing, the key cannot be a product_id. */
typedef enum RecoDifference
{
	RECO_GONE = 'g', RECO_MOVED = 'm', RECO_NEW = 'n', RECO_SKIPPED = 's'
} RecoDifference;

extern void reco_difference_init(void);

/*
 * Take the next rows (kind "char", product_id, category), at most limit
 * (0: all); true: there may be more.  The slot is one to read them by.
 */
extern bool reco_difference_take(Tuplestorestate *rows, TupleTableSlot *slot, int limit,
								 const char *catalog);
extern int	reco_difference_count(void);

/* Without reco's lock, and not in a transaction: makes that writing short. */
extern void reco_difference_foresee(void);

/* Write what was taken, in the caller's transaction. */
extern void reco_difference_write(void);

#endif							/* RECO_MIRROR_WRITER_H */
