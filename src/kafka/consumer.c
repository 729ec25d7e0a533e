/*-------------------------------------------------------------------------
 *
 * consumer.c
 *	  A consumer of one Kafka topic.
 *
 * This file makes and frees the consumer, kafka_read.c reads; they alone know
 * librdkafka.  The partitions are assigned at offsets that the caller keeps;
 * nothing is stored in Kafka.
 *
 * librdkafka runs threads of its own.  None of them ever calls PostgreSQL or
 * takes its signals: what they have to say waits in queues, and a byte in a
 * pipe wakes the worker.  The functions below run in the worker alone.
 *
 * Nothing here raises an ERROR for what a broker, a network or a file of
 * settings may do: functions return failure, and reco_kafka_error says why.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "common/monotonic.h"
#include "kafka/consumer_config.h"
#include "kafka/kafka_private.h"
#include "storage/fd.h"
#include "utils/memutils.h"

/* What librdkafka logs is passed on up to so many lines a minute. */
#define LOG_LINES_PER_MINUTE 10

/* How long to wait for librdkafka's threads to end, in milliseconds. */
#define CLOSE_PATIENCE 3000

/* Note what went wrong last. */
void
reco_kafka_set_error(RecoKafka *kafka, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	vsnprintf(kafka->error, sizeof(kafka->error), fmt, args);
	va_end(args);
}

/* Called by librdkafka within our own calls of it, not in a thread. */
static void
error_callback(rd_kafka_t *handle, int err, const char *reason, void *opaque)
{
	reco_kafka_set_error(opaque, "%s", reason);
}

/* Apply the settings; an older library may not know all of ours. */
static char *
configure(rd_kafka_conf_t *conf, const char *brokers, const char *path)
{
	List	   *settings;
	ListCell   *cell;
	char		text[256];
	char	   *problem = reco_kafka_config_read(brokers, path, &settings);

	if (problem != NULL)
		return problem;
	foreach(cell, settings)
	{
		RecoProperty *setting = lfirst(cell);
		rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, setting->name, setting->value,
													   text, sizeof(text));

		if (result != RD_KAFKA_CONF_OK && setting->line > 0)
			return psprintf("line %d of file \"%s\": %s", setting->line, path, text);
		if (result == RD_KAFKA_CONF_INVALID)
			return pstrdup(text);
	}
	return NULL;
}

/*
 * Make the handle, whose threads must not take signals that are meant for
 * PostgreSQL: they inherit the mask that is in force here.
 */
static char *
create_handle(RecoKafka *kafka, rd_kafka_conf_t *conf)
{
	sigset_t	all,
				before;
	char		text[256];

	rd_kafka_conf_set_opaque(conf, kafka);
	rd_kafka_conf_set_error_cb(conf, error_callback);

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	kafka->handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return kafka->handle == NULL ? pstrdup(text) : NULL;
}

/* Messages, errors and log lines come through queues, which wake the worker. */
static char *
connect_queues(RecoKafka *kafka)
{
	if (pipe(kafka->pipe) != 0)
	{
		kafka->pipe[0] = kafka->pipe[1] = -1;
		return psprintf("could not create a pipe: %m");
	}
	for (int i = 0; i < 2; i++)
	{
		ReserveExternalFD();
		if (fcntl(kafka->pipe[i], F_SETFL, O_NONBLOCK) != 0 ||
			fcntl(kafka->pipe[i], F_SETFD, FD_CLOEXEC) != 0)
			return psprintf("could not set up a pipe: %m");
	}

	rd_kafka_poll_set_consumer(kafka->handle);
	kafka->queue = rd_kafka_queue_get_consumer(kafka->handle);
	rd_kafka_queue_io_event_enable(kafka->queue, kafka->pipe[1], "", 1);
	kafka->log = rd_kafka_queue_new(kafka->handle);
	rd_kafka_set_log_queue(kafka->handle, kafka->log);
	kafka->topic = rd_kafka_topic_new(kafka->handle, kafka->topic_name, NULL);
	if (kafka->topic == NULL)
		return psprintf("reco.kafka_topic: %s",
						rd_kafka_err2str(rd_kafka_last_error()));
	return NULL;
}

/*
 * Make a consumer; config is a file's path or "".  It connects in the
 * background.  Returns NULL, and why, when the settings are not usable.
 */
RecoKafka *
reco_kafka_open(const char *brokers, const char *topic, const char *config,
				char **problem)
{
	RecoKafka  *kafka = MemoryContextAllocZero(TopMemoryContext, sizeof(RecoKafka));
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	kafka->pipe[0] = kafka->pipe[1] = -1;
	kafka->topic_name = MemoryContextStrdup(TopMemoryContext, topic);

	*problem = configure(conf, brokers, config);
	if (*problem == NULL)
		*problem = create_handle(kafka, conf);
	if (kafka->handle == NULL)
		rd_kafka_conf_destroy(conf);
	if (*problem == NULL)
		*problem = connect_queues(kafka);
	if (*problem != NULL)
	{
		reco_kafka_close(kafka);
		return NULL;
	}
	return kafka;
}

static void *
destroy_handle(void *handle)
{
	rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return NULL;
}

/*
 * End librdkafka's threads and free the handle, in a thread of its own: after
 * the topic has been deleted, 2.0.2 never returns from it.
 */
static bool
end_threads(rd_kafka_t *handle)
{
	sigset_t	all,
				before;
	pthread_t	thread;
	int			failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread, NULL, destroy_handle, handle);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		return false;
	pthread_detach(thread);
	return rd_kafka_wait_destroyed(CLOSE_PATIENCE) == 0;
}

/*
 * Free a consumer; waits some seconds at most.  False: its threads have not
 * ended, and the process should not live on with them.
 */
bool
reco_kafka_close(RecoKafka *kafka)
{
	bool		ended = true;

	reco_kafka_release(kafka);
	if (kafka->topic != NULL)
		rd_kafka_topic_destroy(kafka->topic);
	if (kafka->queue != NULL)
	{
		rd_kafka_queue_io_event_enable(kafka->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(kafka->queue);
	}
	if (kafka->log != NULL)
	{
		rd_kafka_set_log_queue(kafka->handle, NULL);
		rd_kafka_queue_destroy(kafka->log);
	}
	if (kafka->handle != NULL)
		ended = end_threads(kafka->handle);
	for (int i = 0; i < 2; i++)
	{
		if (kafka->pipe[i] < 0)
			continue;
		close(kafka->pipe[i]);
		ReleaseExternalFD();
	}
	if (kafka->held != NULL)
		pfree(kafka->held);
	pfree(kafka->topic_name);
	bms_free(kafka->refused);
	if (ended)
		pfree(kafka);			/* or a callback may still come */
	return ended;
}

/* Readable when there is something to consume. */
pgsocket
reco_kafka_socket(RecoKafka *kafka)
{
	return kafka->pipe[0];
}

/* What went wrong since Kafka last answered; NULL: nothing. */
const char *
reco_kafka_error(RecoKafka *kafka)
{
	return kafka->error[0] != '\0' ? kafka->error : NULL;
}

/*
 * Why Kafka gives nothing of some partition though it answers; NULL: it has
 * said nothing of the kind.  In *delivered: has it given any at all?
 */
const char *
reco_kafka_refusal(RecoKafka *kafka, bool *delivered)
{
	*delivered = kafka->delivered;
	return kafka->refused != NULL ? kafka->refusal : NULL;
}

/* When Kafka last gave something; 0: not yet. */
RecoMoment
reco_kafka_answered(RecoKafka *kafka)
{
	return kafka->answered;
}

/*
 * Pass on what librdkafka has logged, but not a flood of it.  Returns whether
 * another cluster now answers under the brokers' names: librdkafka says so
 * there only, and would go on as if it were the same.
 */
bool
reco_kafka_forward_log(RecoKafka *kafka)
{
	rd_kafka_event_t *event;
	bool		other_cluster = false;

	while ((event = rd_kafka_queue_poll(kafka->log, 0)) != NULL)
	{
		const char *facility;
		const char *text;
		int			level;

		if (reco_monotonic_is_due(&kafka->log_due, 60 * 1000))
		{
			if (kafka->log_lines > LOG_LINES_PER_MINUTE)
				ereport(LOG,
						(errmsg("librdkafka: %d more messages",
								kafka->log_lines - LOG_LINES_PER_MINUTE)));
			kafka->log_lines = 0;
		}
		if (rd_kafka_event_log(event, &facility, &text, &level) == 0)
		{
			if (strcmp(facility, "CLUSTERID") == 0)
				other_cluster = true;
			if (++kafka->log_lines <= LOG_LINES_PER_MINUTE)
				ereport(LOG, (errmsg("librdkafka: %s: %s", facility, text)));
		}
		rd_kafka_event_destroy(event);
	}
	return other_cluster;
}
