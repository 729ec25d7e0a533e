/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  A batch of Kafka messages to committed rows.
 *
 * Messages are parsed outside any transaction.  Then one transaction takes
 * reco's lock, inserts the events into reco.activity (which brings all that
 * is derived up to date) and the refused messages into reco.rejected, and
 * notes the offsets behind them: all or nothing.
 *
 * When PostgreSQL refuses the data, the transaction is aborted and the batch
 * cut in halves, until the message that it refuses stands alone and goes to
 * reco.rejected as well.  Any other ERROR (no memory, no space, a lock not
 * granted, shutdown) is passed on and ends the worker, which later goes on
 * with the same messages.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "activity/bulk_insert.h"
#include "activity/partition.h"
#include "catalog/pg_type.h"
#include "common/guc.h"
#include "common/named_tuplestore.h"
#include "common/spi.h"
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
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define REJECTED_COLUMNS 6

/* Of a refused message so much is kept: enough to see who sends it. */
#define REJECTED_PAYLOAD_MAX 1024

/* A message and what became of it. */
typedef struct Row
{
	const RecoMessage *message;
	RecoEvent	event;
	const char *reason;			/* why it is refused; NULL: it is not */
} Row;

/* Numbers to add to the shared counters when the transaction is committed. */
typedef struct Tally
{
	uint64		messages;
	uint64		bytes;
	uint64		events;
	uint64		late;
	uint64		rejected;
	RecoRejections rejections;
} Tally;

static RecoPlan rejected_plan = {
	"INSERT INTO reco.rejected (topic, partition, \"offset\", reason, payload, payload_length)"
	" SELECT topic, partition, \"offset\", reason, payload, payload_length FROM reco_new_rejected"
};

/* All that a batch allocates outside its transactions. */
static MemoryContext batch_context = NULL;

static TupleDesc
rejected_tupdesc(void)
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
feed_rejected(RecoTuplestore *feed, Datum topic, const Row *row, const char *reason)
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
	reco_tuplestore_put(feed, values, nulls);
}

/* Why an event is refused, judged by the clock and the database; NULL: it is not. */
static const char *
check_event(RecoEvent *event, TimestampTz latest, const RecoEncoding *encoding)
{
	if (event->timestamp > latest)
		return "timestamp is later than the clock by more than reco.max_future";
	return reco_encoding_convert(encoding, event);
}

/* Sort the rows to where they belong, judged by the clock. */
static void
feed_rows(const Row *rows, int count, Datum topic, const RecoState *state,
		  RecoInsert *insert, RecoTuplestore *rejected, Tally *tally)
{
	TimestampTz latest = Max(state->clock, GetCurrentTimestamp()) +
		reco_max_future * USECS_PER_SEC;
	RecoEncoding encoding = reco_encoding_begin();

	for (int i = 0; i < count; i++)
	{
		const Row  *row = &rows[i];
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
				tally->late++;

				/* a replay begins before the horizon on purpose */
				if (!reco_service_is_replaying())
					reco_rejections_add(&tally->rejections, RECO_REASON_BELOW_RETENTION);
				continue;
			}
			reason = check_event(&event, latest, &encoding);
		}
		if (reason != NULL)
		{
			feed_rejected(rejected, topic, row, reason);
			reco_rejections_add(&tally->rejections, reason);
		}
		else
		{
			reco_insert_event(insert, &event);
			tally->events++;
		}
	}
}

/* The one transaction of some rows. */
static void
write_rows(const char *topic_name, const Row *rows, int count)
{
	RecoWrite  *write;
	Tally		tally = {0};
	RecoInsert *insert;
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
	insert = reco_insert_begin(write);
	rejected = reco_tuplestore_open("reco_new_rejected", rejected_tupdesc());
	feed_rows(rows, count, topic, reco_write_state(write), insert, rejected, &tally);
	reco_insert_end(insert);
	tally.rejected = reco_tuplestore_run(rejected, &rejected_plan);
	reco_metrics_phase_end(RECO_PHASE_INSERT, begun);

	begun = reco_metrics_phase_begin();
	before_commit = MemoryContextSwitchTo(batch_context);
	checkpoints = reco_topic_advance(rows[0].message, count, &ncheckpoints);
	MemoryContextSwitchTo(before_commit);
	reco_offsets_store(topic_name, checkpoints, ncheckpoints);
	reco_write_end(write);
	reco_sql_commit();
	reco_topic_advanced(checkpoints, ncheckpoints);
	reco_metrics_phase_end(RECO_PHASE_COMMIT, begun);

	reco_metrics_add(RECO_METRIC_MESSAGES, tally.messages);
	reco_metrics_add(RECO_METRIC_BYTES, tally.bytes);
	reco_metrics_add(RECO_METRIC_EVENTS, tally.events);
	reco_metrics_add(RECO_METRIC_BELOW_RETENTION, tally.late);
	reco_metrics_add(RECO_METRIC_REJECTED, tally.rejected);
	reco_metrics_add(RECO_METRIC_BATCHES, 1);
	tally.rejections.messages = tally.messages;
	reco_rejections_note(&tally.rejections);
}

/* Is it the data that PostgreSQL refuses, or is something else the matter? */
static bool
is_about_data(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_PLPGSQL_ERROR:
			return true;
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:

			/*
			 * Of a constraint or column of reco.activity and its partitions:
			 * others are no matter of a message, and a partition that is
			 * missing is only not made yet.
			 */
			return (error->constraint_name != NULL || error->column_name != NULL) &&
				error->table_name != NULL &&
				strncmp(error->table_name, "activity", strlen("activity")) == 0;
		default:
			return false;
	}
}

/*
 * Write some rows; returns what PostgreSQL says of the data if it refuses it,
 * and then nothing is written.
 */
static char *
try_rows(const char *topic, const Row *rows, int count)
{
	char	   *volatile problem = NULL;

	PG_TRY();
	{
		write_rows(topic, rows, count);
	}
	PG_CATCH();
	{
		ErrorData  *error = reco_xact_abort(batch_context);

		if (!is_about_data(error))
			ReThrowError(error);
		problem = error->message;
	}
	PG_END_TRY();
	return problem;
}

/* Write all rows, down to one at a time where PostgreSQL refuses some. */
static void
write_or_halve(const char *topic, Row *rows, int count)
{
	char	   *problem = try_rows(topic, rows, count);

	if (problem == NULL)
		return;
	CHECK_FOR_INTERRUPTS();
	if (count > 1)
	{
		write_or_halve(topic, rows, count / 2);
		write_or_halve(topic, rows + count / 2, count - count / 2);
	}
	else if (rows[0].reason == NULL)
	{
		rows[0].reason = problem;
		write_rows(topic, rows, 1);
	}
	else
		elog(ERROR, "could not reject a message: %s", problem);
}

/*
 * Write messages, which are in the order of their partitions, and where they
 * end.  When this returns all of it is committed.
 */
void
reco_batch_write(const char *topic, const RecoMessage *messages, int count)
{
	MemoryContext before;
	instr_time	begun;
	Row		   *rows;

	if (batch_context == NULL)
		batch_context = AllocSetContextCreate(TopMemoryContext, "reco batch",
											  ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(batch_context);

	begun = reco_metrics_phase_begin();
	rows = palloc(count * sizeof(Row));
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
	write_or_halve(topic, rows, count);

	MemoryContextSwitchTo(before);
	MemoryContextReset(batch_context);
}
