/*-------------------------------------------------------------------------
 *
 * gather.c
 *	  Messages from Kafka gathered into a batch.
 *
 * A batch is bounded by reco.batch_events and reco.batch_bytes.  One that is
 * not full begins reco.batch_delay after the last one at the earliest: an event
 * that comes alone is not held up, and under load no time is spent on waiting
 * while the last batch took longer than that (to wait it out made the median
 * from Kafka to Redis 40 instead of 25 ms).  Runs outside transactions.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "common/monotonic.h"
#include "common/wait_event.h"
#include "kafka/gather.h"
#include "kafka/topic.h"
#include "miscadmin.h"
#include "storage/latch.h"

/* Messages that are taken from the consumer at a time. */
#define GULP 1000

/* Take what has arrived, up to a batch in all; returns the new count. */
static int
take_messages(RecoKafka *kafka, RecoMessage *messages, int count, int64 *bytes)
{
	int			taken;

	do
	{
		int			wanted = Min(GULP, reco_batch_events - count);

		taken = reco_kafka_consume(kafka, messages + count, wanted);
		if (reco_topic_is_disturbed(kafka))
			break;				/* they may be of another log: to be read again */
		if (taken < wanted)
			wanted = 0;
		for (int end = count + taken, i = count; i < end; i++)
		{
			if (!reco_topic_take(&messages[i]))
				continue;
			*bytes += messages[i].length;
			messages[count++] = messages[i];
		}
		if (wanted == 0)
			break;
	} while (count < reco_batch_events && *bytes < reco_batch_bytes);
	return count;
}

/*
 * Gather a batch; messages has room for reco.batch_events.  Returns their
 * number; full: there may be more at once.
 */
int
reco_gather(RecoKafka *kafka, RecoMessage *messages, bool *full)
{
	static RecoMoment due = 0;	/* of the next batch, unless it is full */
	int64		bytes = 0;
	int			count = take_messages(kafka, messages, 0, &bytes);
	long		delay = reco_monotonic_left(due);

	*full = count >= reco_batch_events || bytes >= reco_batch_bytes;
	if (count > 0 && !*full && delay > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 delay, reco_wait_event(RECO_WAIT_KAFKA));
		CHECK_FOR_INTERRUPTS();
		count = take_messages(kafka, messages, count, &bytes);
		*full = count >= reco_batch_events || bytes >= reco_batch_bytes;
	}
	if (count > 0)
		due = reco_monotonic_after(reco_batch_delay);
	return count;
}
