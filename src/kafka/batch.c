/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  A batch of Kafka messages: polled, parsed, committed.
 *
 * A batch is bounded by reco.batch_events and reco.batch_bytes.  One that is
 * not full begins at least reco.batch_delay after the last one: an event that
 * comes alone is not delayed, and under load, where batches take longer than
 * that, no time is spent waiting (to wait after each batch made the median from
 * Kafka to Redis 40 instead of 25 ms).
 *
 * Messages are parsed outside any transaction.  Then a single transaction takes
 * reco's lock, inserts the events into reco.activity (which brings all derived
 * state up to date) and the rejected messages into reco.rejected, and stores
 * the next offsets.
 *
 * If PostgreSQL rejects the data, the transaction is aborted and the batch
 * halved, until the message in question is alone and goes to reco.rejected as
 * well.  Any other ERROR (out of memory, disk full, lock timeout, shutdown) is
 * rethrown and ends the worker, which later continues with the same messages.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "activity/bulk_insert.h"
#include "activity/partition.h"
#include "catalog/pg_type.h"
#include "common/guc.h"
#include "common/monotonic.h"
#include "common/named_tuplestore.h"
#include "common/spi.h"
#include "common/wait_event.h"
#include "common/xact.h"
#include "engine/write.h"
#include "kafka/batch.h"
#include "kafka/event_encoding.h"
#include "kafka/event_parser.h"
#include "kafka/offset_table.h"
#include "kafka/topic.h"
#include "miscadmin.h"
#include "shmem/metrics.h"
#include "shmem/rejections.h"
#include "shmem/service_state.h"
#include "shmem/worker_status.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Messages per call of the consumer. */
#define POLL_MESSAGES 1000

#define REJECTED_COLUMNS 6

/* Bytes kept of a rejected message: enough to see who sends it. */
#define REJECTED_PAYLOAD_MAX 1024

/* A parsed message. */
typedef struct BatchRow
{
	const RecoMessage *message;
	RecoEvent	event;
	const char *reason;			/* why it is rejected; NULL: it is not */
} BatchRow;

/* What to add to the shared counters after the commit. */
typedef struct BatchTally
{
	uint64		messages;
	uint64		bytes;
	uint64		events;
	uint64		below_retention;
	uint64		rejected;
	RecoRejections rejections;
} BatchTally;

static RecoPlan rejected_plan = {
	"INSERT INTO reco.rejected (topic, partition, \"offset\", reason, payload, payload_length)"
	" SELECT topic, partition, \"offset\", reason, payload, payload_length FROM reco_new_rejected"
};

/* All that a batch allocates outside its transactions. */
static MemoryContext batch_context = NULL;

/* Add the messages that have arrived, up to a full batch; returns the new count. */
static int
batch_accept(RecoConsumer *consumer, RecoMessage *messages, int count, int64 *bytes)
{
	int			polled;

	do
	{
		int			wanted = Min(POLL_MESSAGES, reco_batch_events - count);

		polled = reco_poll_messages(consumer, messages + count, wanted);
		if (reco_topic_is_disturbed(consumer))
			break;				/* they may be of another log: to be read again */
		if (polled < wanted)
			wanted = 0;
		for (int end = count + polled, i = count; i < end; i++)
		{
			if (!reco_topic_accept(&messages[i]))
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
 * Poll a batch; messages has room for reco.batch_events.  Returns their number;
 * *full: there may be more right away.  Must be called outside transactions.
 */
int
reco_batch_poll(RecoConsumer *consumer, RecoMessage *messages, bool *full)
{
	static RecoMoment due = 0;	/* of the next batch, unless it is full */
	int64		bytes = 0;
	int			count = batch_accept(consumer, messages, 0, &bytes);
	long		delay = reco_monotonic_left(due);

	*full = count >= reco_batch_events || bytes >= reco_batch_bytes;
	if (count > 0 && !*full && delay > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 delay, reco_wait_event(RECO_WAIT_KAFKA));
		CHECK_FOR_INTERRUPTS();
		count = batch_accept(consumer, messages, count, &bytes);
		*full = count >= reco_batch_events || bytes >= reco_batch_bytes;
	}
	if (count > 0)
		due = reco_monotonic_after(reco_batch_delay);
	return count;
}

static TupleDesc
batch_rejected_tupdesc(void)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(REJECTED_COLUMNS);

	TupleDescInitEntry(tupdesc, 1, "topic", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 2, "partition", INT4OID, -1, 0);
	TupleDescInitEntry(tupdesc, 3, "offset", INT8OID, -1, 0);
	TupleDescInitEntry(tupdesc, 4, "reason", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 5, "payload", BYTEAOID, -1, 0);
	TupleDescInitEntry(tupdesc, 6, "payload_length", INT8OID, -1, 0);
	return tupdesc;
}

static void
batch_put_rejected(RecoTuplestore *store, Datum topic, const BatchRow *row, const char *reason)
{
	const RecoMessage *message = row->message;
	Datum		values[REJECTED_COLUMNS];
	bool		nulls[REJECTED_COLUMNS] = {false};

	values[0] = topic;
	values[1] = Int32GetDatum(message->partition);
	values[2] = Int64GetDatum(message->offset);
	values[3] = CStringGetTextDatum(reason);
	nulls[4] = nulls[5] = message->payload == NULL;
	if (message->payload != NULL)
		values[4] = PointerGetDatum(cstring_to_text_with_len(message->payload,
															 Min(message->length, REJECTED_PAYLOAD_MAX)));
	values[5] = Int64GetDatum(message->length);
	reco_tuplestore_put(store, values, nulls);
}

/* Check an event against the clock and the database's encoding; returns why it is rejected, or NULL. */
static const char *
batch_check_event(RecoEvent *event, TimestampTz latest, const RecoEncoding *encoding)
{
	if (event->timestamp > latest)
		return "timestamp is later than the clock by more than reco.max_future";
	return reco_encoding_convert(encoding, event);
}

/* Put the rows into the activity, into the rejected messages, or drop them below retention. */
static void
batch_put_rows(const BatchRow *rows, int count, Datum topic, const RecoState *state,
			   RecoBulkInsert *insert, RecoTuplestore *rejected, BatchTally *tally)
{
	TimestampTz latest = Max(state->clock, GetCurrentTimestamp()) +
		reco_max_future * USECS_PER_SEC;
	RecoEncoding encoding = reco_encoding_begin();

	for (int i = 0; i < count; i++)
	{
		const BatchRow *row = &rows[i];
		const char *reason = row->reason;
		RecoEvent	event;

		CHECK_FOR_INTERRUPTS();
		if (row->message->kind == RECO_MESSAGE_END)
			continue;
		tally->messages++;
		if (row->message->payload == NULL && reason == NULL)
			continue;
		tally->bytes += row->message->length;
		if (reason == NULL)
		{
			event = row->event;
			if (event.timestamp < state->horizon)
			{
				tally->below_retention++;

				/* a replay begins before the horizon on purpose */
				if (!reco_service_is_replaying())
					reco_rejections_add(&tally->rejections, RECO_REASON_BELOW_RETENTION);
				continue;
			}
			reason = batch_check_event(&event, latest, &encoding);
		}
		if (reason != NULL)
		{
			batch_put_rejected(rejected, topic, row, reason);
			reco_rejections_add(&tally->rejections, reason);
		}
		else
		{
			reco_bulk_insert_event(insert, &event);
			tally->events++;
		}
	}
}

/* The transaction that writes some rows. */
static void
batch_write_rows(const char *topic_name, const BatchRow *rows, int count)
{
	RecoWrite  *write;
	BatchTally		tally = {0};
	RecoBulkInsert *insert;
	RecoTuplestore *rejected;
	RecoCheckpoint *checkpoints;
	int			ncheckpoints;
	Datum		topic;
	MemoryContext before_commit;
	instr_time	begun;

	reco_sql_begin();
	write = reco_write_begin(RowExclusiveLock);
	topic = CStringGetTextDatum(topic_name);

	begun = reco_metrics_phase_begin();
	insert = reco_bulk_insert_begin(write);
	rejected = reco_tuplestore_open("reco_new_rejected", batch_rejected_tupdesc());
	batch_put_rows(rows, count, topic, reco_write_state(write), insert, rejected, &tally);
	reco_bulk_insert_end(insert);
	tally.rejected = reco_tuplestore_run(rejected, &rejected_plan);
	reco_metrics_phase_end(RECO_PHASE_INSERT, begun);

	begun = reco_metrics_phase_begin();
	before_commit = MemoryContextSwitchTo(batch_context);
	checkpoints = reco_topic_advance(rows[0].message, count, &ncheckpoints);
	MemoryContextSwitchTo(before_commit);
	reco_offsets_store(topic_name, checkpoints, ncheckpoints);
	reco_write_end(write);
	reco_sql_commit();
	reco_topic_committed(checkpoints, ncheckpoints);
	reco_metrics_phase_end(RECO_PHASE_COMMIT, begun);

	reco_metrics_add(RECO_METRIC_MESSAGES, tally.messages);
	reco_metrics_add(RECO_METRIC_BYTES, tally.bytes);
	reco_metrics_add(RECO_METRIC_EVENTS, tally.events);
	reco_metrics_add(RECO_METRIC_BELOW_RETENTION, tally.below_retention);
	reco_metrics_add(RECO_METRIC_REJECTED, tally.rejected);
	reco_metrics_add(RECO_METRIC_BATCHES, 1);
	tally.rejections.messages = tally.messages;
	reco_rejections_note(&tally.rejections);
}

/* Does the error mean that PostgreSQL rejects the data, and nothing else? */
static bool
batch_is_data_error(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_PLPGSQL_ERROR:
			return true;
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:

			/*
			 * Only constraints and columns of reco.activity and its partitions
			 * depend on a message; a missing partition is only not made yet.
			 */
			return (error->constraint_name != NULL || error->column_name != NULL) &&
				error->table_name != NULL &&
				strncmp(error->table_name, "activity", strlen("activity")) == 0;
		default:
			return false;
	}
}

/*
 * Write some rows.  If PostgreSQL rejects the data, nothing is written, and its
 * message is returned, otherwise NULL.
 */
static char *
batch_try_rows(const char *topic, const BatchRow *rows, int count)
{
	char	   *volatile problem = NULL;

	PG_TRY();
	{
		batch_write_rows(topic, rows, count);
	}
	PG_CATCH();
	{
		ErrorData  *error = reco_xact_abort(batch_context);

		if (!batch_is_data_error(error))
			ReThrowError(error);
		problem = error->message;
	}
	PG_END_TRY();
	return problem;
}

/* Write all rows, halving them while PostgreSQL rejects some. */
static void
batch_write_or_halve(const char *topic, BatchRow *rows, int count)
{
	char	   *problem = batch_try_rows(topic, rows, count);

	if (problem == NULL)
		return;
	CHECK_FOR_INTERRUPTS();
	if (count > 1)
	{
		batch_write_or_halve(topic, rows, count / 2);
		batch_write_or_halve(topic, rows + count / 2, count - count / 2);
	}
	else if (rows[0].reason == NULL)
	{
		rows[0].reason = problem;
		batch_write_rows(topic, rows, 1);
	}
	else
		elog(ERROR, "could not reject a message: %s", problem);
}

/*
 * Write messages, in the order of each partition, and the next offsets.  All of
 * it is committed on return.
 */
void
reco_batch_write(const char *topic, const RecoMessage *messages, int count)
{
	MemoryContext before;
	instr_time	begun;
	BatchRow		   *rows;

	if (batch_context == NULL)
		batch_context = AllocSetContextCreate(TopMemoryContext, "reco batch",
											  ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(batch_context);

	begun = reco_metrics_phase_begin();
	rows = palloc(count * sizeof(BatchRow));
	for (int i = 0; i < count; i++)
	{
		const RecoMessage *message = &messages[i];

		rows[i].message = message;
		rows[i].reason = NULL;
		if (message->kind == RECO_MESSAGE_UNREADABLE)
			rows[i].reason = "librdkafka cannot unpack the message";
		else if (message->kind == RECO_MESSAGE_DATA && message->payload != NULL)
			rows[i].reason = reco_event_parse(message->payload, message->length,
											  message->time, &rows[i].event);
	}
	reco_metrics_phase_end(RECO_PHASE_PARSE, begun);
	batch_write_or_halve(topic, rows, count);

	MemoryContextSwitchTo(before);
	MemoryContextReset(batch_context);
}
