/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  A batch of Kafka messages to committed rows.
 *
 * Messages are parsed outside any transaction.  Then one transaction takes
 * reco's lock, inserts the events into reco.activity (whose triggers bring
 * all that is derived up to date) and the refused messages into
 * reco.rejected, and notes the offsets behind them: all or nothing.
 *
 * When PostgreSQL refuses the data, the transaction is aborted and the batch
 * cut in halves, until the message that it refuses stands alone and goes to
 * reco.rejected as well.  Any other ERROR (no memory, no space, a lock not
 * granted, shutdown) is passed on and ends the worker, which later goes on
 * with the same messages.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "access/xact.h"
#include "batch.h"
#include "catalog/pg_type.h"
#include "counters.h"
#include "event.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "offsets.h"
#include "shared.h"
#include "sql.h"
#include "state.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define ACTIVITY_COLUMNS 5
#define REJECTED_COLUMNS 5

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
} Tally;

/* Rows on their way into a table, as a relation of that name in the query. */
typedef struct Feed
{
	const char *name;
	TupleDesc	tupdesc;
	Tuplestorestate *rows;
	uint64		count;
} Feed;

static RecoPlan activity_plan = {
	"INSERT INTO reco.activity (event_type, user_id, product_id, query, \"timestamp\")"
	" SELECT event_type, user_id, product_id, query, \"timestamp\" FROM reco_new_activity"
};

static RecoPlan rejected_plan = {
	"INSERT INTO reco.rejected (topic, partition, \"offset\", reason, payload)"
	" SELECT topic, partition, \"offset\", reason, payload FROM reco_new_rejected"
};

/* All that a batch allocates outside its transactions. */
static MemoryContext batch_context = NULL;

/* A text in the database's encoding, which may refuse it. */
static Datum
text_datum(RecoText text, bool *null)
{
	char	   *converted;

	*null = text.data == NULL;
	if (*null)
		return (Datum) 0;
	converted = pg_any_to_server(text.data, text.length, PG_UTF8);
	if (converted != text.data)
		return CStringGetTextDatum(converted);
	return PointerGetDatum(cstring_to_text_with_len(text.data, text.length));
}

static TupleDesc
activity_tupdesc(void)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(ACTIVITY_COLUMNS);

	TupleDescInitEntry(tupdesc, 1, "event_type", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 2, "user_id", INT8OID, -1, 0);
	TupleDescInitEntry(tupdesc, 3, "product_id", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 4, "query", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 5, "timestamp", TIMESTAMPTZOID, -1, 0);
	return tupdesc;
}

static TupleDesc
rejected_tupdesc(void)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(REJECTED_COLUMNS);

	TupleDescInitEntry(tupdesc, 1, "topic", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 2, "partition", INT4OID, -1, 0);
	TupleDescInitEntry(tupdesc, 3, "offset", INT8OID, -1, 0);
	TupleDescInitEntry(tupdesc, 4, "reason", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 5, "payload", BYTEAOID, -1, 0);
	return tupdesc;
}

/* Make a relation for this transaction's queries. */
static Feed
open_feed(const char *name, TupleDesc tupdesc)
{
	Feed		feed = {name, tupdesc, tuplestore_begin_heap(false, false, work_mem), 0};

	return feed;
}

/* Run the statement that reads the relation, if there are rows; the end of it. */
static void
run_feed(Feed *feed, RecoPlan *plan)
{
	if (feed->count > 0)
	{
		EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));

		relation->md.name = pstrdup(feed->name);
		relation->md.tupdesc = feed->tupdesc;
		relation->md.enrtype = ENR_NAMED_TUPLESTORE;
		relation->md.enrtuples = feed->count;
		relation->reldata = feed->rows;
		if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
			elog(ERROR, "could not register relation \"%s\"", feed->name);
		reco_sql_execute(plan, NULL, NULL);
		SPI_unregister_relation(feed->name);
	}
	tuplestore_end(feed->rows);
}

static void
feed_activity(Feed *feed, const RecoEvent *event)
{
	Datum		values[ACTIVITY_COLUMNS];
	bool		nulls[ACTIVITY_COLUMNS] = {false};

	values[0] = text_datum(event->event_type, &nulls[0]);
	values[1] = Int64GetDatum(event->user_id);
	values[2] = text_datum(event->product_id, &nulls[2]);
	values[3] = text_datum(event->query, &nulls[3]);
	values[4] = TimestampTzGetDatum(event->timestamp);
	tuplestore_putvalues(feed->rows, feed->tupdesc, values, nulls);
	feed->count++;
}

static void
feed_rejected(Feed *feed, Datum topic, const Row *row, const char *reason)
{
	const RecoMessage *message = row->message;
	Datum		values[REJECTED_COLUMNS];
	bool		nulls[REJECTED_COLUMNS] = {false};

	values[0] = topic;
	values[1] = Int32GetDatum(message->partition);
	values[2] = Int64GetDatum(message->offset);
	values[3] = CStringGetTextDatum(reason);
	values[4] = PointerGetDatum(cstring_to_text_with_len(message->payload, message->length));
	tuplestore_putvalues(feed->rows, feed->tupdesc, values, nulls);
	feed->count++;
}

/* Note the offset behind a row's message, in the order of the batch. */
static int
note_position(RecoPosition *positions, int count, const RecoMessage *message)
{
	int			i = 0;

	while (i < count && positions[i].partition != message->partition)
		i++;
	positions[i].partition = message->partition;
	positions[i].offset = message->offset + (message->kind == RECO_MESSAGE_DATA ? 1 : 0);
	return Max(count, i + 1);
}

/* Sort the rows to where they belong, judged by the clock. */
static void
feed_rows(const Row *rows, int count, Datum topic, const RecoState *state,
		  Feed *activity, Feed *rejected, Tally *tally)
{
	TimestampTz latest = Max(state->clock, GetCurrentTimestamp()) +
		reco_max_future * USECS_PER_SEC;

	for (int i = 0; i < count; i++)
	{
		const Row  *row = &rows[i];

		if (row->message->kind != RECO_MESSAGE_DATA)
			continue;
		tally->messages++;
		tally->bytes += row->message->length;
		if (row->message->payload == NULL)
			continue;
		if (row->reason != NULL)
			feed_rejected(rejected, topic, row, row->reason);
		else if (row->event.timestamp < state->horizon)
			tally->late++;
		else if (row->event.timestamp > latest)
			feed_rejected(rejected, topic, row,
						  "timestamp is later than the clock by more than reco.max_future");
		else
			feed_activity(activity, &row->event);
	}
	tally->events = activity->count;
	tally->rejected = rejected->count;
}

/*
 * What the triggers have taken so far; nobody else runs them under the lock.
 * Lists are a part of users.
 */
static uint64
time_of_triggers(void)
{
	return reco_phase_value(RECO_PHASE_SORT) + reco_phase_value(RECO_PHASE_TRENDING) +
		reco_phase_value(RECO_PHASE_USERS);
}

/* The one transaction of some rows. */
static void
write_rows(const char *topic_name, const Row *rows, int count)
{
	RecoState	state;
	Tally		tally = {0};
	Feed		activity,
				rejected;
	RecoPosition *positions;
	int			npositions = 0;
	Datum		topic;
	instr_time	start;
	uint64		triggers;

	reco_sql_begin();
	reco_state_lock();
	reco_state_read(&state);
	topic = CStringGetTextDatum(topic_name);

	INSTR_TIME_SET_CURRENT(start);
	triggers = time_of_triggers();
	activity = open_feed("reco_new_activity", activity_tupdesc());
	rejected = open_feed("reco_new_rejected", rejected_tupdesc());
	feed_rows(rows, count, topic, &state, &activity, &rejected, &tally);
	run_feed(&activity, &activity_plan);
	run_feed(&rejected, &rejected_plan);
	reco_phase_end(RECO_PHASE_INSERT, &start);
	reco_phase_add(RECO_PHASE_INSERT, triggers - time_of_triggers());

	positions = palloc(count * sizeof(RecoPosition));
	for (int i = 0; i < count; i++)
		npositions = note_position(positions, npositions, rows[i].message);
	reco_offsets_store(topic_name, positions, npositions);
	reco_sql_commit();
	reco_phase_end(RECO_PHASE_COMMIT, &start);

	reco_counter_add(RECO_COUNT_MESSAGES, tally.messages);
	reco_counter_add(RECO_COUNT_BYTES, tally.bytes);
	reco_counter_add(RECO_COUNT_EVENTS, tally.events);
	reco_counter_add(RECO_COUNT_LATE, tally.late);
	reco_counter_add(RECO_COUNT_REJECTED, tally.rejected);
	reco_counter_add(RECO_COUNT_BATCHES, 1);
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
			/* of reco.activity and its partitions: others are no matter of a message */
			return error->table_name != NULL &&
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
		ErrorData  *error;

		MemoryContextSwitchTo(batch_context);
		error = CopyErrorData();
		if (!is_about_data(error))
			PG_RE_THROW();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(batch_context);
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
	instr_time	start;
	Row		   *rows;

	if (batch_context == NULL)
		batch_context = AllocSetContextCreate(TopMemoryContext, "reco batch",
											  ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(batch_context);

	INSTR_TIME_SET_CURRENT(start);
	rows = palloc(count * sizeof(Row));
	for (int i = 0; i < count; i++)
	{
		const RecoMessage *message = &messages[i];

		rows[i].message = message;
		rows[i].reason = NULL;
		if (message->kind == RECO_MESSAGE_DATA && message->payload != NULL)
			rows[i].reason = reco_event_parse(message->payload, message->length,
											  message->time, &rows[i].event);
	}
	reco_phase_end(RECO_PHASE_PARSE, &start);
	write_or_halve(topic, rows, count);

	MemoryContextSwitchTo(before);
	MemoryContextReset(batch_context);
}
