/*-------------------------------------------------------------------------
 *
 * consumer.c
 *	  A consumer of one Kafka topic: its creation, end, errors and log.
 *
 * Nothing is stored in Kafka and no consumer group is joined, so reading the
 * topic is the only permission needed.  poll.c reads messages, metadata.c and
 * probe.c ask the broker.
 *
 * librdkafka runs threads of its own, which never call PostgreSQL or receive its
 * signals: messages, errors and log lines come through queues, and a byte in a
 * pipe wakes the worker.  Unless noted otherwise, functions run in the worker's
 * own thread.
 *
 * A failure of a broker, the network or a configuration file raises no ERROR:
 * functions return it, and reco_consumer_error says why.
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
#include "kafka/consumer_handle.h"
#include "kafka/poll.h"
#include "storage/fd.h"
#include "utils/memutils.h"

/* librdkafka's log lines that are forwarded per minute. */
#define LOG_LINES_PER_MINUTE 10

/* API keys of Kafka's protocol. */
#define API_FETCH 1
#define API_METADATA 3

/* How long to wait for librdkafka's threads to end, in milliseconds. */
#define CLOSE_TIMEOUT 3000

/* Set the last error. */
void
reco_consumer_set_error(RecoConsumer *consumer, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	vsnprintf(consumer->error, sizeof(consumer->error), fmt, args);
	va_end(args);
}

/*
 * The broker denies access to a partition.  librdkafka reports that once, and
 * the end of it only by a message or the end of the partition.
 */
static void
consumer_note_denial(RecoConsumer *consumer, const rd_kafka_message_t *from)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	consumer->denied = bms_add_member(consumer->denied, Max(from->partition, 0));
	MemoryContextSwitchTo(caller);
	snprintf(consumer->denial, sizeof(consumer->denial), "partition %d: %s", from->partition,
			 from->payload != NULL ? (const char *) from->payload : rd_kafka_err2str(from->err));
}

/* Note an error of a partition. */
void
reco_consumer_note_error(RecoConsumer *consumer, const rd_kafka_message_t *from)
{
	if (from->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		consumer_note_denial(consumer, from);
	else
		reco_consumer_set_error(consumer, "partition %d: %s", from->partition,
								from->payload != NULL ? (const char *) from->payload :
								rd_kafka_err2str(from->err));
}

/* Called by librdkafka from within our own calls, not in its threads. */
static void
consumer_error_cb(rd_kafka_t * handle, int err, const char *reason, void *opaque)
{
	reco_consumer_set_error(opaque, "%s", reason);
}

/*
 * The following run in librdkafka's threads.  After a broken connection or a
 * partition's error it continues to fetch from the same offset; but the log
 * there may be another one by then.  A broken connection is closed, and after an
 * error librdkafka requests metadata: both are counted, see
 * reco_consumer_disturbances.  A broker that is down is tried again and again,
 * so only connections that have sent a fetch count.
 */
static bool
consumer_tracks_socket(int socket)
{
	return socket >= 0 && socket < RECO_CONSUMER_SOCKETS;
}

static int
consumer_closesocket_cb(int socket, void *opaque)
{
	RecoConsumer *consumer = opaque;

	if (!consumer_tracks_socket(socket) || consumer->fetching[socket])
		pg_atomic_fetch_add_u32(&consumer->disturbances, 1);
	if (consumer_tracks_socket(socket))
		consumer->fetching[socket] = false;
	return close(socket);
}

static rd_kafka_resp_err_t
consumer_on_request_sent(rd_kafka_t * handle, int socket, const char *broker, int32_t broker_id,
						 int16_t api_key, int16_t api_version, int32_t correlation, size_t size,
						 void *opaque)
{
	RecoConsumer *consumer = opaque;

	if (api_key == API_FETCH && consumer_tracks_socket(socket))
		consumer->fetching[socket] = true;
	else if (api_key == API_METADATA)
		pg_atomic_fetch_add_u32(&consumer->disturbances, 1);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t
consumer_on_new(rd_kafka_t * handle, const rd_kafka_conf_t *conf, void *opaque,
				char *text, size_t size)
{
	return rd_kafka_interceptor_add_on_request_sent(handle, "reco", consumer_on_request_sent, opaque);
}

/* Apply the settings; an older library may not know all of reco's own. */
static char *
consumer_configure(rd_kafka_conf_t *conf, const char *brokers, const char *path)
{
	List	   *settings;
	ListCell   *cell;
	char		text[256];
	char	   *problem = reco_consumer_config_read(brokers, path, &settings);

	if (problem != NULL)
		return problem;
	foreach(cell, settings)
	{
		RecoConsumerSetting *setting = lfirst(cell);
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
 * Create the handle.  Its threads inherit the signal mask, so that they do not
 * receive signals meant for PostgreSQL.
 */
static char *
consumer_create_handle(RecoConsumer *consumer, rd_kafka_conf_t *conf)
{
	sigset_t	all,
				before;
	char		text[256];

	rd_kafka_conf_set_opaque(conf, consumer);
	rd_kafka_conf_set_error_cb(conf, consumer_error_cb);
	rd_kafka_conf_set_closesocket_cb(conf, consumer_closesocket_cb);
	rd_kafka_conf_interceptor_add_on_new(conf, "reco", consumer_on_new, consumer);

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	consumer->handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return consumer->handle == NULL ? pstrdup(text) : NULL;
}

/* Create the queues for messages, errors and log lines, and the pipe that wakes the worker. */
static char *
consumer_create_queues(RecoConsumer *consumer)
{
	rd_kafka_queue_t *main_queue;

	if (pipe(consumer->pipe) != 0)
	{
		consumer->pipe[0] = consumer->pipe[1] = -1;
		return psprintf("could not create a pipe: %m");
	}
	for (int i = 0; i < 2; i++)
	{
		ReserveExternalFD();
		if (fcntl(consumer->pipe[i], F_SETFL, O_NONBLOCK) != 0 ||
			fcntl(consumer->pipe[i], F_SETFD, FD_CLOEXEC) != 0)
			return psprintf("could not set up a pipe: %m");
	}

	consumer->queue = rd_kafka_queue_new(consumer->handle);
	rd_kafka_queue_io_event_enable(consumer->queue, consumer->pipe[1], "", 1);
	main_queue = rd_kafka_queue_get_main(consumer->handle);
	rd_kafka_queue_forward(main_queue, consumer->queue);
	rd_kafka_queue_destroy(main_queue);
	consumer->log = rd_kafka_queue_new(consumer->handle);
	rd_kafka_set_log_queue(consumer->handle, consumer->log);
	consumer->topic = rd_kafka_topic_new(consumer->handle, consumer->topic_name, NULL);
	if (consumer->topic == NULL)
		return psprintf("reco.kafka_topic: %s",
						rd_kafka_err2str(rd_kafka_last_error()));
	return NULL;
}

/*
 * Create a consumer, which connects in the background; config is a file's path
 * or "".  Returns NULL, with *problem set, if the settings are not usable.
 */
RecoConsumer *
reco_consumer_open(const char *brokers, const char *topic, const char *config,
				   char **problem)
{
	RecoConsumer *consumer = MemoryContextAllocZero(TopMemoryContext, sizeof(RecoConsumer));
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	consumer->pipe[0] = consumer->pipe[1] = -1;
	consumer->topic_name = MemoryContextStrdup(TopMemoryContext, topic);
	pg_atomic_init_u32(&consumer->disturbances, 0);

	*problem = consumer_configure(conf, brokers, config);
	if (*problem == NULL)
		*problem = consumer_create_handle(consumer, conf);
	if (consumer->handle == NULL)
		rd_kafka_conf_destroy(conf);
	if (*problem == NULL)
		*problem = consumer_create_queues(consumer);
	if (*problem != NULL)
	{
		reco_consumer_close(consumer);
		return NULL;
	}
	return consumer;
}

/* Runs in its own thread: if the topic has been deleted, librdkafka 2.0.2 never returns. */
static void *
consumer_destroy_thread(void *opaque)
{
	RecoConsumer *consumer = opaque;

	for (int i = 0; i < consumer->nstarted; i++)
	{
		if (consumer->started[i])
			rd_kafka_consume_stop(consumer->topic, i);
	}
	if (consumer->topic != NULL)
		rd_kafka_topic_destroy(consumer->topic);
	if (consumer->queue != NULL)
		rd_kafka_queue_destroy(consumer->queue);
	if (consumer->log != NULL)
		rd_kafka_queue_destroy(consumer->log);
	rd_kafka_destroy(consumer->handle);
	return NULL;
}

/* End librdkafka's threads and free the handle. */
static bool
consumer_end_threads(RecoConsumer *consumer)
{
	sigset_t	all,
				before;
	pthread_t	thread;
	int			failed;

	if (consumer->queue != NULL)
		rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
	if (consumer->log != NULL)
		rd_kafka_set_log_queue(consumer->handle, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread, NULL, consumer_destroy_thread, consumer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		return false;
	pthread_detach(thread);
	return rd_kafka_wait_destroyed(CLOSE_TIMEOUT) == 0;
}

/*
 * Free a consumer; waits at most CLOSE_TIMEOUT.  Returns false if its threads
 * have not ended; then the process should exit.
 */
bool
reco_consumer_close(RecoConsumer *consumer)
{
	bool		ended;

	reco_poll_release(consumer);
	ended = consumer->handle == NULL || consumer_end_threads(consumer);
	for (int i = 0; i < 2; i++)
	{
		if (consumer->pipe[i] < 0)
			continue;
		close(consumer->pipe[i]);
		ReleaseExternalFD();
	}
	if (consumer->held != NULL)
		pfree(consumer->held);
	consumer->held = NULL;
	pfree(consumer->topic_name);
	bms_free(consumer->denied);
	bms_free(consumer->leaderless);
	if (ended)
	{
		/* otherwise its threads may still use these */
		if (consumer->started != NULL)
			pfree(consumer->started);
		pfree(consumer);
	}
	return ended;
}

/* Becomes readable when there is something to poll. */
pgsocket
reco_consumer_socket(RecoConsumer *consumer)
{
	return consumer->pipe[0];
}

/* The last error since Kafka last answered; NULL: none. */
const char *
reco_consumer_error(RecoConsumer *consumer)
{
	return consumer->error[0] != '\0' ? consumer->error : NULL;
}

/*
 * Why Kafka denies access to some partition; NULL if it does not.  *delivered:
 * has any partition delivered something?
 */
const char *
reco_consumer_denial(RecoConsumer *consumer, bool *delivered)
{
	*delivered = consumer->delivered;
	return consumer->denied != NULL ? consumer->denial : NULL;
}

/* When Kafka last answered; 0: not yet. */
RecoMoment
reco_consumer_answered(RecoConsumer *consumer)
{
	return consumer->answered;
}

/*
 * A count that changes when partitions may have been replaced: messages polled
 * from now on may have been fetched after a connection broke, a partition's
 * leader changed, or the topic was deleted.  It also changes when librdkafka has
 * merely refreshed its metadata.
 */
uint32
reco_consumer_disturbances(RecoConsumer *consumer)
{
	return pg_atomic_read_u32(&consumer->disturbances) - consumer->own_requests;
}

/*
 * Forward librdkafka's log, rate-limited.  Returns whether another cluster now
 * answers under the brokers' names: librdkafka only logs that, and continues as
 * if it were the same.
 */
bool
reco_consumer_forward_log(RecoConsumer *consumer)
{
	rd_kafka_event_t *event;
	bool		other_cluster = false;

	while ((event = rd_kafka_queue_poll(consumer->log, 0)) != NULL)
	{
		const char *facility;
		const char *text;
		int			level;

		if (reco_monotonic_is_due(&consumer->log_due, 60 * 1000))
		{
			if (consumer->log_lines > LOG_LINES_PER_MINUTE)
				ereport(LOG,
						(errmsg("librdkafka: %d more messages",
								consumer->log_lines - LOG_LINES_PER_MINUTE)));
			consumer->log_lines = 0;
		}
		if (rd_kafka_event_log(event, &facility, &text, &level) == 0)
		{
			if (strcmp(facility, "CLUSTERID") == 0)
				other_cluster = true;
			if (++consumer->log_lines <= LOG_LINES_PER_MINUTE)
				ereport(LOG, (errmsg("librdkafka: %s: %s", facility, text)));
		}
		rd_kafka_event_destroy(event);
	}
	return other_cluster;
}
