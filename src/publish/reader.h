/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Reads current rows and passes them to the sink.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_READER_H
#define RECO_READER_H

#include "publish/sink.h"
#include "shmem/change_queue.h"

/*
 * All must be called outside transactions, read in short ones of their own, and
 * return when the sink has completed all.  Keys must be unique.
 */
extern void reco_reader_send_users(RecoSinkLink *link, const RecoKey *users, int count);
extern void reco_reader_send_windows(RecoSinkLink *link, const RecoKey *windows, int count);

/* Send some users with a list, from *next on; false: that was the last. */
extern bool reco_reader_send_users_from(RecoSinkLink *link, int64 *next);

#endif							/* RECO_READER_H */
