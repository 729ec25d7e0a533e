/*-------------------------------------------------------------------------
 *
 * search.h
 *	  A search for the users whose lists a change touches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SEARCH_H
#define RECO_SEARCH_H

#include "lists/touched.h"
#include "lists/user_rows.h"
#include "shmem/written.h"

/* Lists that a change brings up to date in its transaction, at most. */
#define RECO_MAX_TOUCHED 10000

/* What is looked for, and what has been found. */
typedef struct RecoSearch
{
	RecoTouched *touched;
	RecoUserPlace *users;		/* at most RECO_MAX_TOUCHED */
	int			count;
	bool		too_many;		/* there are more */
} RecoSearch;

extern void reco_search_begin(RecoSearch *search, RecoTouched *touched);
extern bool reco_search_visit(RecoUserRows *rows, TupleTableSlot *row, void *search);

#endif							/* RECO_SEARCH_H */
