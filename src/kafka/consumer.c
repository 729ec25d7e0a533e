/*-------------------------------------------------------------------------
 *
 * consumer.c
 *	  A consumer of one Kafka topic.
 *
 * This file makes and frees the consumer, kafka_read.c reads; they alone know
 * librdkafka.  Each partition is started at an offset that the caller keeps.
 * Nothing is stored in Kafka and no group is joined, so the topic's ACL is all
 * that is needed.
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

/* Kinds of requests, as Kafka's protocol numbers them. */
#define API_FETCH 1
#define API_METADATA 3

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

/*
 * What follows runs in librdkafka's threads.  A fetch goes on after a broken
 * connection, or after a partition's error, from the offset where it was; but
 * the log there may be another one by then.  A broken connection is closed, and
 * after an error librdkafka asks for metadata: both are counted, see
 * reco_kafka_disturbances.  A broker that is down for long is tried again and
 * again, so only connections that have served a fetch count.
 */
static bool
is_known_socket(int socket)
{
	return socket >= 0 && socket < RECO_KAFKA_SOCKETS;
}

static int
close_socket(int socket, void *opaque)
{
	RecoKafka  *kafka = opaque;

	if (!is_known_socket(socket) || kafka->fetching[socket])
		pg_atomic_fetch_add_u32(&kafka->disturbances, 1);
	if (is_known_socket(socket))
		kafka->fetching[socket] = false;
	return close(socket);
}

static rd_kafka_resp_err_t
request_sent(rd_kafka_t *handle, int socket, const char *broker, int32_t broker_id,
			 int16_t api_key, int16_t api_version, int32_t correlation, size_t size,
			 void *opaque)
{
	RecoKafka  *kafka = opaque;

	if (api_key == API_FETCH && is_known_socket(socket))
		kafka->fetching[socket] = true;
	else if (api_key == API_METADATA)
		pg_atomic_fetch_add_u32(&kafka->disturbances, 1);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t
handle_made(rd_kafka_t *handle, const rd_kafka_conf_t *conf, void *opaque,
			char *text, size_t size)
{
	return rd_kafka_interceptor_add_on_request_sent(handle, "reco", request_sent, opaque);
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
	rd_kafka_conf_set_closesocket_cb(conf, close_socket);
	rd_kafka_conf_interceptor_add_on_new(conf, "reco", handle_made, kafka);

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
	rd_kafka_queue_t *main_queue;

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

	kafka->queue = rd_kafka_queue_new(kafka->handle);
	rd_kafka_queue_io_event_enable(kafka->queue, kafka->pipe[1], "", 1);
	main_queue = rd_kafka_queue_get_main(kafka->handle);
	rd_kafka_queue_forward(main_queue, kafka->queue);
	rd_kafka_queue_destroy(main_queue);
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
	pg_atomic_init_u32(&kafka->disturbances, 0);

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

/* In a thread of its own: after the topic has been deleted, 2.0.2 never returns from it. */
static void *
destroy_handle(void *opaque)
{
	RecoKafka  *kafka = opaque;

	for (int i = 0; i < kafka->nstarted; i++)
	{
		if (kafka->started[i])
			rd_kafka_consume_stop(kafka->topic, i);
	}
	if (kafka->topic != NULL)
		rd_kafka_topic_destroy(kafka->topic);
	if (kafka->queue != NULL)
		rd_kafka_queue_destroy(kafka->queue);
	if (kafka->log != NULL)
		rd_kafka_queue_destroy(kafka->log);
	rd_kafka_destroy(kafka->handle);
	return NULL;
}

/* End librdkafka's threads and free the handle. */
static bool
end_threads(RecoKafka *kafka)
{
	sigset_t	all,
				before;
	pthread_t	thread;
	int			failed;

	if (kafka->queue != NULL)
		rd_kafka_queue_io_event_enable(kafka->queue, -1, NULL, 0);
	if (kafka->log != NULL)
		rd_kafka_set_log_queue(kafka->handle, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread, NULL, destroy_handle, kafka);
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
	bool		ended;

	reco_kafka_release(kafka);
	ended = kafka->handle == NULL || end_threads(kafka);
	for (int i = 0; i < 2; i++)
	{
		if (kafka->pipe[i] < 0)
			continue;
		close(kafka->pipe[i]);
		ReleaseExternalFD();
	}
	if (kafka->held != NULL)
		pfree(kafka->held);
	kafka->held = NULL;
	pfree(kafka->topic_name);
	bms_free(kafka->refused);
	bms_free(kafka->leaderless);
	if (ended)
	{
		/* or its threads may still come to them */
		if (kafka->started != NULL)
			pfree(kafka->started);
		pfree(kafka);
	}
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
 * Differs from before when partitions may no longer be what they were: what is
 * consumed from now on may have been fetched after a connection broke or a
 * partition's leader changed, or the topic was deleted.  Errs on that side: it
 * also differs after librdkafka has refreshed its metadata.
 */
uint32
reco_kafka_disturbances(RecoKafka *kafka)
{
	return pg_atomic_read_u32(&kafka->disturbances) - kafka->own_requests;
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
