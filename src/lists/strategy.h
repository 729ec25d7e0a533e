/*-------------------------------------------------------------------------
 *
 * strategy.h
 *	  What a recommendation strategy provides.
 *
 * Users' rows, invalidation and sweep know strategies only by this interface.
 * The lists that reco_verify() expects are computed by its own query, in
 * reco.verify_state().
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_STRATEGY_H
#define RECO_STRATEGY_H

#include "engine/state.h"
#include "lists/list_codec.h"
#include "lists/view_history.h"

/* The number of a product that has none yet, so no view and no list contains it. */
#define RECO_NO_NUMBER (-1)

/* A product that changes, as it will be afterwards. */
typedef struct RecoProductDelta
{
	int32		number;			/* RECO_NO_NUMBER: it has none yet */
	int32		category;		/* RECO_NO_CATEGORY: it is gone, or has none */
	int64		popularity;
} RecoProductDelta;

/* A strategy's index of changed products. */
typedef struct RecoStale RecoStale;

typedef struct RecoStrategy
{
	const char *name;

	/*
	 * Compute the list for a user's recent views, best product first.  Depends
	 * only on the parameters in the state, the views, and the product cache,
	 * which has the version that the state names.
	 */
	void		(*recommend) (const RecoState *state, const RecoHistory *recent, RecoList *list);

	/*
	 * Index n changed products, in the current memory context.  The product
	 * cache may be that of before the change or after it, here and in the next
	 * two functions, so reco's lock is not needed.
	 */
	RecoStale  *(*stale_index) (const RecoState *state, const RecoProductDelta *products, int n);

	/* Can the change affect the list for these views?  False must be certain. */
	bool		(*is_stale) (const RecoStale *stale, const RecoHistory *recent, const RecoList *list);

	/*
	 * For the same products: does the first index cover every list that is
	 * stale by the second?
	 */
	bool		(*stale_covers) (const RecoStale *stale, const RecoStale *other);
} RecoStrategy;

extern const RecoStrategy reco_category_strategy;

/* The strategy in use, selected in reco.c. */
extern const RecoStrategy *const reco_strategy;

#endif							/* RECO_STRATEGY_H */
