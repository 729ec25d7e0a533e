/*-------------------------------------------------------------------------
 *
 * strategy.h
 *	  How lists are made: what a recommendation strategy provides.
 *
 * Users' rows, invalidation and sweep know strategies by this interface only.
 * The lists that reco_verify() expects are a query of its own, in
 * reco.verify_state().
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_STRATEGY_H
#define RECO_STRATEGY_H

#include "engine/state.h"
#include "lists/list_codec.h"
#include "lists/view_history.h"

/* A product that no view and no list can hold yet has no number. */
#define RECO_NO_NUMBER (-1)

/* A product that changes, as it will be. */
typedef struct RecoProductDelta
{
	int32		number;			/* RECO_NO_NUMBER: it has none yet */
	int32		category;		/* RECO_NO_CATEGORY: it leaves the mirror, or has none */
	int64		popularity;
} RecoProductDelta;

/* A strategy's index of the products that change. */
typedef struct RecoStale RecoStale;

typedef struct RecoStrategy
{
	const char *name;

	/*
	 * Compute the list of a user's recent views, best product first.  Depends
	 * on the parameters in the state, the views and the product cache, which is
	 * in step with the state, and on nothing else.
	 */
	void		(*recommend) (const RecoState *state, const RecoHistory *recent, RecoList *list);

	/*
	 * Index n products that change; in the present memory context.  The product
	 * cache may be that of before the change or after it, here and in the other
	 * two: reco's lock is not needed.
	 */
	RecoStale  *(*stale_index) (const RecoState *state, const RecoProductDelta *products, int n);

	/* Can the list of these views be another one after the change?  False must be certain. */
	bool		(*is_stale) (const RecoStale *stale, const RecoHistory *recent, const RecoList *list);

	/* The same products: is each list that is stale by the second one stale by the first one? */
	bool		(*stale_covers) (const RecoStale *stale, const RecoStale *other);
} RecoStrategy;

extern const RecoStrategy reco_category_strategy;

/* The strategy in force, which reco.c hands in. */
extern const RecoStrategy *const reco_strategy;

#endif							/* RECO_STRATEGY_H */
