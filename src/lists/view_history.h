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
typedef struct RecoRecent
{
	int			count;
	int			size;
	RecoView   *views;
} RecoRecent;

extern void reco_recent_init(RecoRecent *recent);
extern void reco_recent_unpack(RecoRecent *recent, const bytea *packed);
extern bytea *reco_recent_pack(const RecoRecent *recent);
extern bool reco_recent_expire(RecoRecent *recent, int32 upto);
extern void reco_recent_add(RecoRecent *recent, const RecoView *views, int n);
extern void reco_recent_cap(RecoRecent *recent, int max, int (*compare) (int32 a, int32 b));

#endif							/* RECO_VIEW_HISTORY_H */
