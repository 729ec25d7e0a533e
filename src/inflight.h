/*-------------------------------------------------------------------------
 *
 * inflight.h
 *	  Commands of the transaction that are still inserting activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_INFLIGHT_H
#define RECO_INFLIGHT_H

extern void reco_inflight_init(void);
extern void reco_inflight_begin(void);
extern void reco_inflight_end(void);
extern void reco_inflight_check(const char *what);

#endif							/* RECO_INFLIGHT_H */
