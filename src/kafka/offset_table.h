/*-------------------------------------------------------------------------
 *
 * offset_table.h
 *	  Where ingestion goes on: reco.offsets and reco.kafka_topic.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_OFFSET_TABLE_H
#define RECO_OFFSET_TABLE_H

#include "kafka/trail.h"

/* What reco.offsets of a topic refer to. */
typedef struct RecoTopic
{
	char	   *cluster;		/* Kafka's identifier; NULL: not known yet */
	bool		replaying;		/* the past has not been read to its end */
} RecoTopic;

/* A row of reco.offsets. */
typedef struct RecoCheckpoint
{
	RecoPosition position;
	RecoTrail  *trail;			/* NULL: nothing is known */
} RecoCheckpoint;

extern int	reco_offsets_load(const char *topic, MemoryContext context,
							  RecoCheckpoint **checkpoints);
extern void reco_offsets_store(const char *topic, const RecoCheckpoint *checkpoints, int count);
extern void reco_offsets_forget(const char *topic);

extern RecoTopic reco_topic_load(const char *topic, MemoryContext context);
extern void reco_topic_store(const char *topic, const RecoTopic *state);

#endif							/* RECO_OFFSET_TABLE_H */
