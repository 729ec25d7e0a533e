/*-------------------------------------------------------------------------
 *
 * ingest_worker.c
 *	  The worker that advances the clock and takes activity from Kafka.
 *
 * One step advances the clock if a second has passed, looks after what is
 * due (partitions of table and topic, refused messages, status), gathers the
 * messages that have arrived, and writes them in one transaction.  Without
 * reco.kafka_brokers, and whatever is the matter with Kafka, the clock runs.
 *
 * Kafka is waited for outside of transactions only, and not for long: the
 * clock must go on.
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
#include "kafka/gather.h"
#include "kafka/ingest_worker.h"
#include "kafka/offset_table.h"
#include "kafka/topic.h"
#include "lists/user_state.h"
#include "miscadmin.h"
#include "shmem/metrics.h"
#include "shmem/rejections.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

/* Milliseconds between two looks at what is not urgent. */
#define REPORT_INTERVAL 1000
#define TRIM_INTERVAL 10000
#define OPEN_INTERVAL 5000
#define REFUSAL_INTERVAL 10000

/* An error that is over so soon is not worth a word, in milliseconds. */
#define GLITCH_MS 2500

/* A partition gets another leader within this, mostly; ms. */
#define UNREAD_MS 5000

/* Seconds behind that the log has a line about when they have been made up for. */
#define FAR_BEHIND 10

/* How long ingestion waits for the mirror of the catalog, in milliseconds. */
#define MIRROR_PATIENCE 30000

/* What the consumer was made with. */
typedef struct IngestSource
{
	char	   *brokers;
	char	   *topic;
	char	   *config;
	time_t		config_changed;
} IngestSource;

static RecoKafka *kafka = NULL;
static IngestSource source;
static RecoMessage *messages = NULL;
static int	max_messages = 0;

static bool ready = false;		/* clock and mirror allow to ingest */
static RecoMoment patience_ends;
static RecoMoment clock_due = 0;
static RecoMoment open_due = 0;
static bool is_behind = false;	/* the log is to say when reading has caught up */
static RecoMoment refusal_due = 0;
static RecoMoment report_due = 0;
static RecoMoment trim_due = 0;

/* Free the consumer; false: that did not work, and the process should end. */
static bool
close_kafka(void)
{
	RecoKafka  *closing = kafka;

	kafka = NULL;
	return closing == NULL || reco_kafka_close(closing);
}

/* Make a new consumer at the next step, for new settings or another cluster. */
static void
reopen_kafka(void)
{
	open_due = 0;
	reco_topic_forget();
	if (close_kafka())
		return;
	ereport(LOG,
			(errmsg("librdkafka did not end its threads; reco ingest starts again")));
	proc_exit(0);
}

static void
at_exit(int code, Datum arg)
{
	(void) close_kafka();
}

/* When the file was changed; 0: there is none. */
static time_t
change_time(const char *path)
{
	struct stat st;

	return path[0] != '\0' && stat(path, &st) == 0 ? st.st_mtime : 0;
}

/* Are the settings others than those that the consumer was made with? */
static bool
source_changed(void)
{
	return source.brokers == NULL ||
		strcmp(source.brokers, reco_kafka_brokers) != 0 ||
		strcmp(source.topic, reco_kafka_topic) != 0 ||
		strcmp(source.config, reco_kafka_config) != 0 ||
		source.config_changed != change_time(reco_kafka_config);
}

static void
replace(char **setting, const char *value)
{
	if (*setting != NULL)
		pfree(*setting);
	*setting = MemoryContextStrdup(TopMemoryContext, value);
}

static void
note_source(void)
{
	replace(&source.brokers, reco_kafka_brokers);
	replace(&source.topic, reco_kafka_topic);
	replace(&source.config, reco_kafka_config);
	source.config_changed = change_time(reco_kafka_config);
}

/* Make the consumer; settings that do not work are reported and tried again. */
static void
open_kafka(void)
{
	char	   *problem;

	if (!reco_monotonic_is_due(&open_due, OPEN_INTERVAL))
		return;
	note_source();
	kafka = reco_kafka_open(source.brokers, source.topic, source.config, &problem);
	if (kafka == NULL)
	{
		reco_status_report(RECO_INGEST, RECO_HEALTH_FAILING, "cannot use the settings of Kafka");
		reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_KAFKA_SETTINGS, RECO_HEALTH_FAILING,
						   "Correct reco.kafka_brokers, reco.kafka_topic or the file named by reco.kafka_config, and reload.",
						   "%s", problem);
	}
	else
	{
		refusal_due = reco_monotonic_after(REFUSAL_INTERVAL);
		reco_trouble_end(RECO_INGEST, RECO_TROUBLE_KAFKA_SETTINGS);
		reco_status_set_peer(RECO_INGEST, RECO_PEER_KAFKA);
	}
}

/*
 * Until Kafka has been asked, say whether the past is still to be read: it is
 * where nothing is known of the topic, as after a crash.  Redis must keep the
 * last good lists until it has been.
 */
static void
tell_replay(void)
{
	bool		replaying = false;

	if (reco_kafka_brokers[0] != '\0')
	{
		RecoTopic	topic;

		reco_sql_begin();
		topic = reco_topic_load(reco_kafka_topic, CurrentMemoryContext);
		reco_sql_commit();
		replaying = topic.cluster == NULL || topic.replaying;
	}
	reco_service_set_replaying(replaying);
}

static void
ingest_start(void)
{
	tell_replay();
	is_behind = reco_service_is_replaying();
	reco_sql_begin();
	reco_user_fill_tid_cache();
	reco_sql_commit();
	before_shmem_exit(at_exit, (Datum) 0);
	reco_topic_forget();
	patience_ends = reco_monotonic_after(MIRROR_PATIENCE);
	reco_status_report(RECO_INGEST, RECO_HEALTH_STARTING, "advancing the clock");
}

static void
ingest_reloaded(void)
{
	if (!source_changed())
		return;
	reco_trouble_drop(RECO_INGEST, RECO_TROUBLE_PARTITION);
	reco_trouble_drop(RECO_INGEST, RECO_TROUBLE_TRANSACTION);
	reopen_kafka();
}

static pgsocket
ingest_socket(void)
{
	return kafka != NULL ? reco_kafka_socket(kafka) : PGINVALID_SOCKET;
}

/* Advance the clock when it is due; returns whether it is up with the wall. */
static bool
advance_clock(void)
{
	long		ms;

	if (!reco_monotonic_has_passed(clock_due))
		return true;
	ms = reco_clock_step();
	clock_due = reco_monotonic_after(ms);
	if (ms > 0)
		reco_upkeep_drop();
	return ms > 0;
}

/*
 * Lists that are computed before the mirror has been compared with the
 * catalog would be computed twice.
 */
static bool
mirror_is_ready(void)
{
	return reco_service_is_mirror_ready() || reco_catalog_table[0] == '\0' ||
		reco_monotonic_has_passed(patience_ends);
}

/* Too many messages of late that nobody can use? */
static void
report_rejections(void)
{
	RecoRejectionSummary recent = reco_rejections_recent();

	if (!recent.too_many)
		reco_trouble_end(RECO_INGEST, RECO_TROUBLE_REJECTING);
	else
		reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_REJECTING, RECO_HEALTH_REJECTING, NULL,
						   UINT64_FORMAT " of the last " UINT64_FORMAT " messages were rejected or below retention, most often: %s; see reco.rejections",
						   recent.rejected, recent.messages, recent.reason);
}

/* Are there partitions that cannot be read, though Kafka answers? */
static bool
report_unread(void)
{
	int			first;
	int			count = reco_topic_unread(UNREAD_MS, &first);

	if (count == 0)
		return reco_topic_unread(0, &first) > 0;
	reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_PARTITION, RECO_HEALTH_WAITING, NULL,
					   "partition %d of topic \"%s\" (%d of %d) %s",
					   first, source.topic, count, reco_topic_partitions(),
					   reco_kafka_has_leader(kafka, first) ?
					   "cannot be read: its broker does not answer" :
					   "has no leader: the broker that holds it is away");
	return true;
}

/*
 * Does Kafka keep us from reading?  Whether it still does is only known to a
 * consumer that asks anew.
 */
static bool
report_refusal(void)
{
	bool		delivered;
	const char *refusal = reco_kafka_refusal(kafka, &delivered);

	if (refusal == NULL)
	{
		if (!report_unread() && delivered)
			reco_trouble_end(RECO_INGEST, RECO_TROUBLE_PARTITION);
		return false;
	}
	reco_status_report(RECO_INGEST, RECO_HEALTH_FAILING, "refused by Kafka");
	reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_PARTITION, RECO_HEALTH_FAILING,
					   "Give the user in reco.kafka_config READ and DESCRIBE of the topic.",
					   "%s", refusal);
	if (reco_monotonic_is_due(&refusal_due, REFUSAL_INTERVAL))
		reopen_kafka();
	return true;
}

/* After a replay, and whenever reading was far behind, the log says when that is over. */
static void
log_catching_up(int64 behind, double seconds)
{
	if (reco_service_is_replaying() || seconds > FAR_BEHIND)
		is_behind = true;
	else if (is_behind && behind == 0)
	{
		is_behind = false;
		ereport(LOG, (errmsg("reco ingest: caught up")));
	}
}

/* Does Kafka hold messages of a partition back? */
static void
report_transaction(void)
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

/* Tell reco_status() how far reading is. */
static void
report(void)
{
	const char *error = reco_kafka_error(kafka);
	int64		behind;
	double		seconds;

	report_rejections();
	reco_status_peer_answered(RECO_INGEST, reco_kafka_answered(kafka));
	if (error != NULL && reco_monotonic_since(reco_kafka_answered(kafka)) >= GLITCH_MS)
	{
		is_behind = true;
		reco_status_report(RECO_INGEST, RECO_HEALTH_WAITING, "waiting for Kafka");
		reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_KAFKA, RECO_HEALTH_WAITING, NULL, "%s", error);
		return;
	}
	if (error == NULL)
		reco_trouble_end(RECO_INGEST, RECO_TROUBLE_KAFKA);
	if (report_refusal())
	{
		is_behind = true;
		return;
	}
	reco_topic_lag(kafka, &behind, &seconds);
	reco_status_set_lag(RECO_INGEST, behind, seconds);
	log_catching_up(behind, seconds);
	report_transaction();
	if (reco_topic_partitions() > 0)
		reco_status_report(RECO_INGEST,
						   reco_service_is_replaying() ? RECO_HEALTH_REBUILDING : RECO_HEALTH_OK,
						   "%s %d partitions of topic \"%s\"",
						   reco_service_is_replaying() ? "replaying" : "reading",
						   reco_topic_partitions(), source.topic);
}

/* One batch from Kafka; returns whether there may be more at once. */
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
	count = reco_gather(kafka, messages, &full);
	reco_metrics_phase_end(RECO_PHASE_CONSUME, begun);

	if (count > 0)
		reco_batch_write(source.topic, messages, count);
	reco_kafka_release(kafka);
	reco_topic_written(source.topic);
	return full;
}

/* What is to do with Kafka; returns the milliseconds until the next time. */
static long
ingest_kafka(void)
{
	long		look;

	if (kafka == NULL)
		open_kafka();
	if (kafka == NULL)
		return reco_monotonic_left(open_due);

	if (reco_kafka_forward_log(kafka))
	{
		/* another cluster answers: the consumer would mix the two */
		reopen_kafka();
		return 0;
	}
	look = reco_topic_look(kafka, source.topic);
	if (ingest_batch())
		look = 0;
	if (reco_monotonic_is_due(&report_due, REPORT_INTERVAL))
		report();
	return Min(look, reco_monotonic_left(report_due));
}

/* Kafka is not to be read any more. */
static void
drop_troubles(void)
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
	bool		caught_up = advance_clock();
	long		next = caught_up ? reco_monotonic_left(clock_due) : 0;

	if (!ready)
	{
		if (!caught_up)
			return 0;
		if (!mirror_is_ready())
		{
			reco_status_report(RECO_INGEST, RECO_HEALTH_STARTING, "waiting for the mirror of the catalog");
			return Min(next, reco_monotonic_left(patience_ends));
		}
		ready = true;
	}

	if ((reco_rejected_flood() || reco_monotonic_is_due(&trim_due, TRIM_INTERVAL)) &&
		reco_rejected_trim())
		trim_due = 0;
	if (reco_kafka_brokers[0] == '\0')
	{
		if (reco_service_is_replaying())
			tell_replay();
		reco_status_report(RECO_INGEST, RECO_HEALTH_OK, "advancing the clock: reco.kafka_brokers is not set");
		reco_status_set_peer(RECO_INGEST, RECO_PEER_NONE);
		reco_status_set_lag(RECO_INGEST, -1, -1);
		drop_troubles();
		return next;
	}
	return Min(next, ingest_kafka());
}

const RecoRoutine reco_ingest_routine = {
	"reco ingest", RECO_INGEST, ingest_start, ingest_step, ingest_reloaded, ingest_socket
};
