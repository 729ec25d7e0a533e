/*-------------------------------------------------------------------------
 *
 * probe.h
 *	  Probes: what is at some offset of a partition?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PROBE_H
#define RECO_PROBE_H

#include "kafka/consumer.h"

/* A probe of the first message at or after an offset of a partition. */
typedef struct RecoProbe
{
	RecoPosition position;
	bool		answered;
	int64		found;			/* offset of that message; -1: none */
	uint64		hash;			/* of that message, see trail.c */
} RecoProbe;

extern void reco_probe(RecoConsumer *consumer, RecoProbe *probes, int count, int timeout);

#endif							/* RECO_PROBE_H */
