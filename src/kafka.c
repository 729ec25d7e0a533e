/*-------------------------------------------------------------------------
 *
 * kafka.c
 *	  A consumer of one Kafka topic.
 *
 * The only file that knows librdkafka.  The partitions are assigned at
 * offsets that the caller keeps; nothing is stored in Kafka.
 *
 * librdkafka runs threads of its own.  None of them ever calls PostgreSQL or
 * takes its signals: what they have to say waits in queues, and a byte in a
 * pipe wakes the worker.  The functions below run in the worker alone.
 *
 * Nothing here raises an ERROR for what a broker, a network or a file of
 * settings may do: functions return failure, and reco_kafka_error says why.
 * Those with a timeout (in milliseconds) wait for the broker and must not be
 * called inside a transaction; the others never wait.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "kafka.h"
#include "kafka_config.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* What librdkafka logs is passed on up to so many lines a minute. */
#define LOG_LINES_PER_MINUTE 10

/* How long to wait for librdkafka's threads to end, in milliseconds. */
#define CLOSE_PATIENCE 3000

/* Milliseconds since 1970 that a message's time may be: 30,000 years. */
#define TIME_LIMIT INT64CONST(1000000000000000)

#define EPOCH_MS ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (USECS_PER_DAY / 1000))

struct RecoKafka
{
	rd_kafka_t *handle;
	rd_kafka_topic_t *topic;	/* for metadata of this topic only */
	rd_kafka_queue_t *queue;	/* messages and errors of all partitions */
	rd_kafka_queue_t *log;
	char	   *topic_name;
	int			pipe[2];		/* [0]: readable when the queue is not empty */

	rd_kafka_message_t **held;	/* given out, not yet released */
	int			nheld;
	int			maxheld;

	char		error[512];		/* "": none since the last success */
	TimestampTz log_minute;
	int			log_lines;		/* in the minute that begins there */
};

/* Note what went wrong last. */
static void set_error(RecoKafka *kafka, const char *fmt,...) pg_attribute_printf(2, 3);

static void
set_error(RecoKafka *kafka, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	vsnprintf(kafka->error, sizeof(kafka->error), fmt, args);
	va_end(args);
}

/* Note a failed call, if it is one. */
static bool
succeeded(RecoKafka *kafka, rd_kafka_resp_err_t err, const char *what)
{
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		set_error(kafka, "%s: %s", what, rd_kafka_err2str(err));
	return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Called by librdkafka within our own calls of it, not in a thread. */
static void
error_callback(rd_kafka_t *handle, int err, const char *reason, void *opaque)
{
	set_error(opaque, "%s", reason);
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
 * Pass on what librdkafka has logged, but not a flood of it.  Returns whether
 * another cluster now answers under the brokers' names: librdkafka says so
 * there only, and would go on as if it were the same.
 */
bool
reco_kafka_forward_log(RecoKafka *kafka)
{
	TimestampTz now = GetCurrentTimestamp();
	rd_kafka_event_t *event;
	bool		other_cluster = false;

	while ((event = rd_kafka_queue_poll(kafka->log, 0)) != NULL)
	{
		const char *facility;
		const char *text;
		int			level;

		if (now - kafka->log_minute >= USECS_PER_MINUTE)
		{
			if (kafka->log_lines > LOG_LINES_PER_MINUTE)
				ereport(LOG,
						(errmsg("librdkafka: %d more messages",
								kafka->log_lines - LOG_LINES_PER_MINUTE)));
			kafka->log_minute = now;
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

/*
 * The number of the topic's partitions; 0: there is no such topic, -1: not
 * known.
 */
int
reco_kafka_partitions(RecoKafka *kafka, int timeout)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;
	int			count = -1;

	err = rd_kafka_metadata(kafka->handle, 0, kafka->topic, &metadata, timeout);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		/* "timed out" tells less than what the connection met */
		if (err != RD_KAFKA_RESP_ERR__TRANSPORT && err != RD_KAFKA_RESP_ERR__TIMED_OUT)
			set_error(kafka, "%s", rd_kafka_err2str(err));
		else if (kafka->error[0] == '\0')
			set_error(kafka, "no broker answers");
		return -1;
	}
	if (metadata->topic_cnt == 1)
	{
		err = metadata->topics[0].err;
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			count = metadata->topics[0].partition_cnt;
		else if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
			count = 0;
	}
	if (count > 0)
		kafka->error[0] = '\0';
	else
		set_error(kafka, "topic \"%s\": %s", kafka->topic_name, rd_kafka_err2str(err));
	rd_kafka_metadata_destroy(metadata);
	return count;
}

/* The cluster's identifier, palloc'd; NULL: not known. */
char *
reco_kafka_cluster(RecoKafka *kafka, int timeout)
{
	char	   *id = rd_kafka_clusterid(kafka->handle, timeout);
	char	   *result = NULL;

	if (id != NULL)
	{
		result = pstrdup(id);
		rd_kafka_mem_free(kafka->handle, id);
	}
	return result;
}

/* The first offset that a partition holds, and the one its next message gets. */
bool
reco_kafka_range(RecoKafka *kafka, int32 partition, int timeout,
				 int64 *low, int64 *high)
{
	rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(kafka->handle,
															   kafka->topic_name, partition,
															   low, high, timeout);

	return succeeded(kafka, err, "could not get the offsets of a partition");
}

/* Positions as librdkafka wants them; the caller frees the list. */
static rd_kafka_topic_partition_list_t *
make_list(RecoKafka *kafka, const RecoPosition *positions, int count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);

	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, kafka->topic_name,
										  positions[i].partition)->offset = positions[i].offset;
	return list;
}

/*
 * Set each position to the partition's first message that is not older than
 * the time; -1 where there is none.
 */
bool
reco_kafka_find_time(RecoKafka *kafka, RecoPosition *positions, int count,
					 TimestampTz time, int timeout)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	for (int i = 0; i < count; i++)
		positions[i].offset = Max(time / 1000 + EPOCH_MS, 0);
	list = make_list(kafka, positions, count);
	err = rd_kafka_offsets_for_times(kafka->handle, list, timeout);
	for (int i = 0; i < count && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
	{
		err = list->elems[i].err;
		positions[i].partition = list->elems[i].partition;
		positions[i].offset = Max(list->elems[i].offset, -1);
	}
	rd_kafka_topic_partition_list_destroy(list);
	return succeeded(kafka, err, "could not find offsets by time");
}

/* The end of a partition as the last fetch saw it; -1: not known. */
int64
reco_kafka_high(RecoKafka *kafka, int32 partition)
{
	int64		low,
				high;

	if (rd_kafka_get_watermark_offsets(kafka->handle, kafka->topic_name, partition,
									   &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return -1;
	return Max(high, -1);
}

/* Read these partitions from there, and no others. */
bool
reco_kafka_assign(RecoKafka *kafka, const RecoPosition *positions, int count)
{
	rd_kafka_topic_partition_list_t *list = make_list(kafka, positions, count);
	rd_kafka_resp_err_t err = rd_kafka_assign(kafka->handle, list);

	rd_kafka_topic_partition_list_destroy(list);
	return succeeded(kafka, err, "could not assign partitions");
}

/* Translate a message or an event; false: it is nothing to the caller. */
static bool
take_message(RecoKafka *kafka, const rd_kafka_message_t *from, RecoMessage *to)
{
	rd_kafka_timestamp_type_t type;
	int64		time;

	to->partition = from->partition;
	to->offset = from->offset;
	to->payload = from->payload;
	to->length = from->len;
	switch (from->err)
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
			to->kind = RECO_MESSAGE_DATA;
			break;
		case RD_KAFKA_RESP_ERR__PARTITION_EOF:
			to->kind = RECO_MESSAGE_END;
			break;
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
			to->kind = RECO_MESSAGE_OUT_OF_RANGE;
			return true;
		default:
			set_error(kafka, "partition %d: %s", from->partition,
					  from->payload != NULL ? (const char *) from->payload :
					  rd_kafka_err2str(from->err));
			return false;
	}

	kafka->error[0] = '\0';
	time = rd_kafka_message_timestamp(from, &type);
	if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
		to->time = GetCurrentTimestamp();
	else
		to->time = (Max(Min(time, TIME_LIMIT), -TIME_LIMIT) - EPOCH_MS) * 1000;
	return true;
}

/* Room for so many more messages to hold. */
static void
reserve(RecoKafka *kafka, int more)
{
	int			needed = kafka->nheld + more;

	if (needed <= kafka->maxheld)
		return;
	if (kafka->held == NULL)
		kafka->held = MemoryContextAlloc(TopMemoryContext,
										 needed * sizeof(rd_kafka_message_t *));
	else
		kafka->held = repalloc(kafka->held, needed * sizeof(rd_kafka_message_t *));
	kafka->maxheld = needed;
}

/*
 * Take what has arrived, at most max messages, without waiting; returns how
 * many.  Their payload stays until reco_kafka_release.
 */
int
reco_kafka_consume(RecoKafka *kafka, RecoMessage *messages, int max)
{
	char		wakeups[256];
	ssize_t		taken,
				wanted;
	int			count = 0;

	/* first, so that what arrives from here on wakes again */
	while (read(kafka->pipe[0], wakeups, sizeof(wakeups)) == sizeof(wakeups))
		;

	reserve(kafka, max);
	do
	{
		wanted = max - count;
		taken = rd_kafka_consume_batch_queue(kafka->queue, 0,
											 kafka->held + kafka->nheld, wanted);
		for (ssize_t i = 0; i < taken; i++)
		{
			if (take_message(kafka, kafka->held[kafka->nheld + i], &messages[count]))
				count++;
		}
		kafka->nheld += Max(taken, 0);
		reserve(kafka, max - count);
	} while (taken == wanted && count < max);
	return count;
}

/* Give back all messages. */
void
reco_kafka_release(RecoKafka *kafka)
{
	for (int i = 0; i < kafka->nheld; i++)
		rd_kafka_message_destroy(kafka->held[i]);
	kafka->nheld = 0;
}
