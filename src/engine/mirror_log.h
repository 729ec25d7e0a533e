/*-------------------------------------------------------------------------
 *
 * mirror_log.h
 *	  Which products each version of the mirror has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_MIRROR_LOG_H
#define RECO_MIRROR_LOG_H

extern void reco_changes_write(int64 version, const int32 *numbers, int n);
extern int	reco_changes_read(int64 after, int64 upto, int64 *versions);

#endif							/* RECO_MIRROR_LOG_H */
