/*-------------------------------------------------------------------------
 *
 * offset_table.h
 *	  The next offsets to ingest: reco.offsets and reco.kafka_topic.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_OFFSET_TABLE_H
#define RECO_OFFSET_TABLE_H

#include "kafka/trail.h"

/* A row of reco.kafka_topic: what the topic's offsets refer to. */
typedef struct RecoTopicState
{
	char	   *cluster;		/* the cluster's identifier; NULL: unknown yet */
	bool		replaying;		/* the replay of the past has not ended */
} RecoTopicState;

/* A row of reco.offsets. */
typedef struct RecoCheckpoint
{
	RecoPosition position;
	RecoTrail  *trail;			/* NULL: unknown */
} RecoCheckpoint;

extern int	reco_offsets_load(const char *topic, MemoryContext context,
							  RecoCheckpoint **checkpoints);
extern void reco_offsets_store(const char *topic, const RecoCheckpoint *checkpoints, int count);
extern void reco_offsets_forget(const char *topic);

extern RecoTopicState reco_offsets_load_topic(const char *topic, MemoryContext context);
extern void reco_offsets_store_topic(const char *topic, const RecoTopicState *state);

#endif							/* RECO_OFFSET_TABLE_H */
