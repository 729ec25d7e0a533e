/*-------------------------------------------------------------------------
 *
 * mirror_log.h
 *	  What each version of the mirror has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_MIRROR_LOG_H
#define RECO_MIRROR_LOG_H

#include "engine/write.h"

/* Products in the order of popularity; those without a category are left out. */
typedef struct RecoOrder
{
	int			count;
	const int32 *numbers;
	const int64 *popularity;
} RecoOrder;

extern void reco_mirror_log_changes(RecoWrite *write, int64 version, const int32 *numbers, int n);
extern int	reco_mirror_log_read_changes(int64 after, int64 upto, int64 *versions);

extern void reco_mirror_log_order(int64 version);
extern bool reco_mirror_log_read_order(int64 after, int64 version, RecoOrder *order);

#endif							/* RECO_MIRROR_LOG_H */
