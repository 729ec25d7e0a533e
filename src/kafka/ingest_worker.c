/*-------------------------------------------------------------------------
 *
 * ingest_worker.c
 *	  The worker that advances the clock and ingests activity from Kafka.
 *
 * A step advances the clock if a second has passed, does what is due (partitions
 * of the table and of the topic, rejected messages, status), polls the messages
 * that have arrived, and writes them in one transaction.  The clock also runs
 * without reco.kafka_brokers, and whatever is wrong with Kafka.
 *
 * Kafka is waited for only outside of transactions, and not for long, so that
 * the clock goes on.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include <sys/stat.h>

#include "activity/clock.h"
#include "activity/partition_upkeep.h"
#include "common/guc.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "kafka/batch.h"
#include "kafka/consumer.h"
#include "kafka/dead_letter.h"
#include "kafka/ingest_worker.h"
#include "kafka/metadata.h"
#include "kafka/offset_table.h"
#include "kafka/poll.h"
#include "kafka/topic.h"
#include "lists/user_state.h"
#include "miscadmin.h"
#include "shmem/metrics.h"
#include "shmem/rejections.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

/* Intervals of what is not urgent, in milliseconds. */
#define REPORT_INTERVAL 1000
#define TRIM_INTERVAL 10000
#define OPEN_INTERVAL 5000
#define DENIAL_INTERVAL 10000

/* An error that is over sooner is not reported; in milliseconds. */
#define GLITCH_MS 2500

/* Usually a partition gets a new leader within this time; ms. */
#define UNREAD_MS 5000

/* After a lag of this many seconds, the log says when reading has caught up. */
#define FAR_BEHIND 10

/* How long ingestion waits for the mirror of the catalog, in milliseconds. */
#define MIRROR_TIMEOUT 30000

/* The settings that the consumer was created with. */
typedef struct IngestSource
{
	char	   *brokers;
	char	   *topic;
	char	   *config;
	time_t		config_changed;
} IngestSource;

static RecoConsumer *consumer = NULL;
static IngestSource source;
static RecoMessage *messages = NULL;
static int	max_messages = 0;

static bool may_ingest = false; /* clock and mirror are may_ingest */
static RecoMoment mirror_wait_ends;
static RecoMoment clock_due = 0;
static RecoMoment open_due = 0;
static bool is_behind = false;	/* to be logged when reading has caught up */
static RecoMoment denial_due = 0;
static RecoMoment report_due = 0;
static RecoMoment trim_due = 0;

/* Free the consumer; if that fails (false), the process should exit. */
static bool
ingest_close_consumer(void)
{
	RecoConsumer *closing = consumer;

	consumer = NULL;
	return closing == NULL || reco_consumer_close(closing);
}

/* Create a new consumer at the next step, for new settings or another cluster. */
static void
ingest_reopen_consumer(void)
{
	open_due = 0;
	reco_topic_forget();
	if (ingest_close_consumer())
		return;
	ereport(LOG,
			(errmsg("librdkafka did not end its threads; reco ingest starts again")));
	proc_exit(0);
}

static void
ingest_at_exit(int code, Datum arg)
{
	(void) ingest_close_consumer();
}

/* A file's modification time; 0: there is none. */
static time_t
ingest_file_mtime(const char *path)
{
	struct stat st;

	return path[0] != '\0' && stat(path, &st) == 0 ? st.st_mtime : 0;
}

/* Do the settings differ from those that the consumer was created with? */
static bool
ingest_source_changed(void)
{
	return source.brokers == NULL ||
		strcmp(source.brokers, reco_kafka_brokers) != 0 ||
		strcmp(source.topic, reco_kafka_topic) != 0 ||
		strcmp(source.config, reco_kafka_config) != 0 ||
		source.config_changed != ingest_file_mtime(reco_kafka_config);
}

static void
ingest_replace(char **setting, const char *value)
{
	if (*setting != NULL)
		pfree(*setting);
	*setting = MemoryContextStrdup(TopMemoryContext, value);
}

static void
ingest_note_source(void)
{
	ingest_replace(&source.brokers, reco_kafka_brokers);
	ingest_replace(&source.topic, reco_kafka_topic);
	ingest_replace(&source.config, reco_kafka_config);
	source.config_changed = ingest_file_mtime(reco_kafka_config);
}

/* Create the consumer; unusable settings are reported, and tried again later. */
static void
ingest_open_consumer(void)
{
	char	   *problem;

	if (!reco_monotonic_is_due(&open_due, OPEN_INTERVAL))
		return;
	ingest_note_source();
	consumer = reco_consumer_open(source.brokers, source.topic, source.config, &problem);
	if (consumer == NULL)
	{
		reco_status_report(RECO_INGEST, RECO_HEALTH_FAILING, "cannot use the settings of Kafka");
		reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_KAFKA_SETTINGS, RECO_HEALTH_FAILING,
						   "Correct reco.kafka_brokers, reco.kafka_topic or the file named by reco.kafka_config, and reload.",
						   "%s", problem);
	}
	else
	{
		denial_due = reco_monotonic_after(DENIAL_INTERVAL);
		reco_trouble_end(RECO_INGEST, RECO_TROUBLE_KAFKA_SETTINGS);
		reco_status_set_peer(RECO_INGEST, RECO_PEER_KAFKA);
	}
}

/*
 * Before Kafka has been asked, set whether a replay is due, as it is after a
 * crash, when nothing is known about the topic.  Redis must keep the last good
 * lists until the replay has ended.
 */
static void
ingest_report_replay(void)
{
	bool		replaying = false;

	if (reco_kafka_brokers[0] != '\0')
	{
		RecoTopicState topic;

		reco_sql_begin();
		topic = reco_offsets_load_topic(reco_kafka_topic, CurrentMemoryContext);
		reco_sql_commit();
		replaying = topic.cluster == NULL || topic.replaying;
	}
	reco_service_set_replaying(replaying);
}

static void
ingest_start(void)
{
	ingest_report_replay();
	is_behind = reco_service_is_replaying();
	reco_sql_begin();
	reco_user_fill_tid_cache();
	reco_sql_commit();
	before_shmem_exit(ingest_at_exit, (Datum) 0);
	reco_topic_forget();
	mirror_wait_ends = reco_monotonic_after(MIRROR_TIMEOUT);
	reco_status_report(RECO_INGEST, RECO_HEALTH_STARTING, "advancing the clock");
}

static void
ingest_reloaded(void)
{
	if (!ingest_source_changed())
		return;
	reco_trouble_drop(RECO_INGEST, RECO_TROUBLE_PARTITION);
	reco_trouble_drop(RECO_INGEST, RECO_TROUBLE_TRANSACTION);
	ingest_reopen_consumer();
}

static pgsocket
ingest_socket(void)
{
	return consumer != NULL ? reco_consumer_socket(consumer) : PGINVALID_SOCKET;
}

/* Advance the clock if due; returns whether it has caught up with the wall clock. */
static bool
ingest_advance_clock(void)
{
	long		ms;

	if (!reco_monotonic_has_passed(clock_due))
		return true;
	ms = reco_clock_step();
	clock_due = reco_monotonic_after(ms);
	if (ms > 0)
		reco_partition_upkeep_drop();
	return ms > 0;
}

/*
 * Wait for the mirror's comparison with the catalog, for a while: lists that are
 * computed before would be computed twice.
 */
static bool
ingest_mirror_is_ready(void)
{
	return reco_service_is_mirror_ready() || reco_catalog_table[0] == '\0' ||
		reco_monotonic_has_passed(mirror_wait_ends);
}

/* Report whether too many of the last messages were rejected or below retention. */
static void
ingest_report_rejections(void)
{
	RecoRejectionSummary recent = reco_rejections_recent();

	if (!recent.too_many)
		reco_trouble_end(RECO_INGEST, RECO_TROUBLE_REJECTING);
	else
		reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_REJECTING, RECO_HEALTH_REJECTING, NULL,
						   UINT64_FORMAT " of the last " UINT64_FORMAT " messages were rejected or below retention, most often: %s; see reco.rejections",
						   recent.rejected, recent.messages, recent.reason);
}

/* Report partitions that cannot be read although Kafka answers; are there any? */
static bool
ingest_report_unread(void)
{
	int			first;
	int			count = reco_topic_unread(UNREAD_MS, &first);

	if (count == 0)
		return reco_topic_unread(0, &first) > 0;
	reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_PARTITION, RECO_HEALTH_WAITING, NULL,
					   "partition %d of topic \"%s\" (%d of %d) %s",
					   first, source.topic, count, reco_topic_partitions(),
					   reco_metadata_has_leader(consumer, first) ?
					   "cannot be read: its broker does not answer" :
					   "has no leader: the broker that holds it is away");
	return true;
}

/*
 * Report whether Kafka denies access.  Only a new consumer can find out whether
 * it still does.
 */
static bool
ingest_report_denial(void)
{
	bool		delivered;
	const char *denial = reco_consumer_denial(consumer, &delivered);

	if (denial == NULL)
	{
		if (!ingest_report_unread() && delivered)
			reco_trouble_end(RECO_INGEST, RECO_TROUBLE_PARTITION);
		return false;
	}
	reco_status_report(RECO_INGEST, RECO_HEALTH_FAILING, "access denied by Kafka");
	reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_PARTITION, RECO_HEALTH_FAILING,
					   "Give the user in reco.kafka_config READ and DESCRIBE of the topic.",
					   "%s", denial);
	if (reco_monotonic_is_due(&denial_due, DENIAL_INTERVAL))
		ingest_reopen_consumer();
	return true;
}

/* Log that reading has caught up after a replay or a long lag. */
static void
ingest_log_catching_up(int64 behind, double seconds)
{
	if (reco_service_is_replaying() || seconds > FAR_BEHIND)
		is_behind = true;
	else if (is_behind && behind == 0)
	{
		is_behind = false;
		ereport(LOG, (errmsg("reco ingest: caught up")));
	}
}

/* Report partitions of which an open transaction holds messages back. */
static void
ingest_report_transaction(void)
{
	int			first;
	int			count = reco_topic_held(&first);

	if (count == 0)
		reco_trouble_end(RECO_INGEST, RECO_TROUBLE_TRANSACTION);
	else
		reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_TRANSACTION, RECO_HEALTH_WAITING,
						   "A producer keeps a transaction open; Kafka's kafka-transactions.sh finds it and can abort it.",
						   "partition %d of topic \"%s\" (%d of %d) waits for the end of a transaction",
						   first, source.topic, count, reco_topic_partitions());
}

/* Report lag and troubles for reco_status(). */
static void
ingest_report(void)
{
	const char *error = reco_consumer_error(consumer);
	int64		behind;
	double		seconds;

	ingest_report_rejections();
	reco_status_peer_answered(RECO_INGEST, reco_consumer_answered(consumer));
	if (error != NULL && reco_monotonic_since(reco_consumer_answered(consumer)) >= GLITCH_MS)
	{
		is_behind = true;
		reco_status_report(RECO_INGEST, RECO_HEALTH_WAITING, "waiting for Kafka");
		reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_KAFKA, RECO_HEALTH_WAITING, NULL, "%s", error);
		return;
	}
	if (error == NULL)
		reco_trouble_end(RECO_INGEST, RECO_TROUBLE_KAFKA);
	if (ingest_report_denial())
	{
		is_behind = true;
		return;
	}
	reco_topic_lag(consumer, &behind, &seconds);
	reco_status_set_lag(RECO_INGEST, behind, seconds);
	ingest_log_catching_up(behind, seconds);
	ingest_report_transaction();
	if (reco_topic_partitions() > 0)
		reco_status_report(RECO_INGEST,
						   reco_service_is_replaying() ? RECO_HEALTH_REBUILDING : RECO_HEALTH_OK,
						   "%s %d partitions of topic \"%s\"",
						   reco_service_is_replaying() ? "replaying" : "reading",
						   reco_topic_partitions(), source.topic);
}

/* Ingest a batch; returns whether there may be more right away. */
static bool
ingest_batch(void)
{
	instr_time	begun;
	bool		full;
	int			count;

	if (max_messages < reco_batch_events)
	{
		if (messages != NULL)
			pfree(messages);
		messages = NULL;
		messages = MemoryContextAllocHuge(TopMemoryContext,
										  reco_batch_events * sizeof(RecoMessage));
		max_messages = reco_batch_events;
	}

	begun = reco_metrics_phase_begin();
	count = reco_batch_poll(consumer, messages, &full);
	reco_metrics_phase_end(RECO_PHASE_CONSUME, begun);

	if (count > 0)
		reco_batch_write(source.topic, messages, count);
	reco_poll_release(consumer);
	reco_topic_end_replay(source.topic);
	return full;
}

/* A round of Kafka's part; returns the milliseconds until the next. */
static long
ingest_kafka(void)
{
	long		next;

	if (consumer == NULL)
		ingest_open_consumer();
	if (consumer == NULL)
		return reco_monotonic_left(open_due);

	if (reco_consumer_forward_log(consumer))
	{
		/* another cluster answers: the consumer would mix the two */
		ingest_reopen_consumer();
		return 0;
	}
	next = reco_topic_poll(consumer, source.topic);
	if (ingest_batch())
		next = 0;
	if (reco_monotonic_is_due(&report_due, REPORT_INTERVAL))
		ingest_report();
	return Min(next, reco_monotonic_left(report_due));
}

/* Kafka is no longer configured. */
static void
ingest_drop_troubles(void)
{
	reco_trouble_drop(RECO_INGEST, RECO_TROUBLE_KAFKA);
	reco_trouble_drop(RECO_INGEST, RECO_TROUBLE_KAFKA_SETTINGS);
	reco_trouble_drop(RECO_INGEST, RECO_TROUBLE_PARTITION);
	reco_trouble_drop(RECO_INGEST, RECO_TROUBLE_TRANSACTION);
	reco_trouble_drop(RECO_INGEST, RECO_TROUBLE_REJECTING);
}

/* One round; returns the milliseconds until the next. */
static long
ingest_step(void)
{
	bool		caught_up = ingest_advance_clock();
	long		next = caught_up ? reco_monotonic_left(clock_due) : 0;

	if (!may_ingest)
	{
		if (!caught_up)
			return 0;
		if (!ingest_mirror_is_ready())
		{
			reco_status_report(RECO_INGEST, RECO_HEALTH_STARTING, "waiting for the mirror of the catalog");
			return Min(next, reco_monotonic_left(mirror_wait_ends));
		}
		may_ingest = true;
	}

	if ((reco_dead_letter_is_flooded() || reco_monotonic_is_due(&trim_due, TRIM_INTERVAL)) &&
		reco_dead_letter_trim())
		trim_due = 0;
	if (reco_kafka_brokers[0] == '\0')
	{
		if (reco_service_is_replaying())
			ingest_report_replay();
		reco_status_report(RECO_INGEST, RECO_HEALTH_OK, "advancing the clock: reco.kafka_brokers is not set");
		reco_status_set_peer(RECO_INGEST, RECO_PEER_NONE);
		reco_status_set_lag(RECO_INGEST, -1, -1);
		ingest_drop_troubles();
		return next;
	}
	return Min(next, ingest_kafka());
}

const RecoRoutine reco_ingest_routine = {
	"reco ingest", RECO_INGEST, ingest_start, ingest_step, ingest_reloaded, ingest_socket
};
