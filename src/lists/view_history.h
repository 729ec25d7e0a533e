/*-------------------------------------------------------------------------
 *
 * view_history.h
 *	  A user's recent views, packed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_VIEW_HISTORY_H
#define RECO_VIEW_HISTORY_H

/* A page view. */
typedef struct RecoView
{
	int32		number;			/* of the product */
	int32		second;			/* rounded up; reco_state_second() */
} RecoView;

/* Views ordered by their second, oldest first. */
typedef struct RecoHistory
{
	int			count;
	int			size;
	RecoView   *views;
} RecoHistory;

extern void reco_history_init(RecoHistory *recent);
extern void reco_history_unpack(RecoHistory *recent, const bytea *packed);
extern bytea *reco_history_pack(const RecoHistory *recent);
extern bool reco_history_expire(RecoHistory *recent, int32 upto);
extern void reco_history_add(RecoHistory *recent, const RecoView *views, int n);
extern void reco_history_cap(RecoHistory *recent, int max, int (*compare) (int32 a, int32 b));

#endif							/* RECO_VIEW_HISTORY_H */
