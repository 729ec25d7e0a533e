/*
 * main.c: the bound.  What reco does, without a database: views and lists in
 * memory, one thread for them, one for Redis (publish.c), librdkafka's own for
 * Kafka.  Its settings are the environment's; see ../README.md.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "catalog.h"
#include "event.h"
#include "publish.h"
#include "users.h"
#include "windows.h"

#define BATCH 2000				/* messages taken at once */
#define WAIT_MS 5				/* for a batch: lists are published when there is none */
#define LISTS 1000				/* published between batches */
#define BACKLOG_MS 1000			/* messages older than this are a backlog */
#define COALESCE 2.0			/* then rounds begin so many seconds apart: fewer lists and writes */
#define AHEAD 8					/* events between asking for a user's slot and using it; a power of 2 */

static int64_t taken, refused;

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "limit: %s: %s\n", what, why);
	exit(1);
}

static double
seconds(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

static const char *
setting(const char *name)
{
	if (getenv(name) == NULL)
		fail(name, "is not set");
	return getenv(name);
}

static double
number_setting(const char *name, double otherwise)
{
	return getenv(name) ? atof(getenv(name)) : otherwise;
}

static rd_kafka_t *
connect_kafka(void)
{
	const char *options[][2] = {
		{"bootstrap.servers", setting("KAFKA")},
		{"group.id", "limit"},
		{"enable.auto.commit", "false"},
		{"queued.min.messages", "1000000"}, /* librdkafka 2.0.2 sleeps for a second whenever it has as many */
		{"queued.max.messages.kbytes", "262144"},
		{"fetch.wait.max.ms", "10"},
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *kafka;
	char		error[512];

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
	{
		if (rd_kafka_conf_set(conf, options[i][0], options[i][1], error, sizeof(error)) != RD_KAFKA_CONF_OK)
			fail(options[i][0], error);
	}
	kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
	if (kafka == NULL)
		fail("Kafka", error);
	rd_kafka_poll_set_consumer(kafka);
	return kafka;
}

/* Read every partition from its beginning. */
static void
assign(rd_kafka_t *kafka, const char *topic)
{
	rd_kafka_topic_t *handle = rd_kafka_topic_new(kafka, topic, NULL);
	rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(16);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t error = rd_kafka_metadata(kafka, 0, handle, &metadata, 10000);

	if (error || metadata->topics[0].partition_cnt == 0)
		fail(topic, error ? rd_kafka_err2str(error) : "no such topic");
	for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
		rd_kafka_topic_partition_list_add(partitions, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
	error = rd_kafka_assign(kafka, partitions);
	if (error)
		fail("assign", rd_kafka_err2str(error));
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_partition_list_destroy(partitions);
	rd_kafka_topic_destroy(handle);
}

/* Take a batch in; returns the time of its last message, 0 if there was none. */
static int64_t
take_batch(rd_kafka_queue_t *queue)
{
	rd_kafka_message_t *messages[BATCH];
	static Event events[AHEAD];
	bool		is_view[AHEAD] = {false};
	ssize_t		count = rd_kafka_consume_batch_queue(queue, WAIT_MS, messages, BATCH);
	int64_t		time = 0;

	for (ssize_t i = 0; i < count + AHEAD; i++)
	{
		Event	   *event = &events[i % AHEAD];
		rd_kafka_message_t *message = i < count ? messages[i] : NULL;

		if (is_view[i % AHEAD])
			users_add_view(event);
		if (i >= AHEAD)
			rd_kafka_message_destroy(messages[i - AHEAD]);
		is_view[i % AHEAD] = false;
		if (message == NULL)
			continue;
		if (message->err)
			fail("Kafka", rd_kafka_message_errstr(message));
		taken++;
		if (message->payload == NULL)
			continue;
		time = rd_kafka_message_timestamp(message, NULL);
		if (!event_parse(message->payload, message->len, time, event))
			refused++;
		else if (event->is_view)
		{
			is_view[i % AHEAD] = true;
			users_prefetch(event->user);
		}
	}
	return time;
}

/* Publish what changed: a round is cut up so that Kafka is not kept waiting, nor is Redis. */
static void
publish(bool backlog)
{
	static double round_at;
	static bool more;

	if (!more && (!backlog || seconds() - round_at >= COALESCE))
	{
		round_at = seconds();
		windows_publish();
		users_begin_round();
		more = true;
	}
	while (more && (!backlog || publish_is_ready()))
	{
		more = users_publish(LISTS);
		if (backlog)
			break;
	}
	if (!backlog)
		publish_flush();
}

static void
report(double begun, bool finished)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("{\"peer\": \"limit\", \"variant\": \"default\", \"events\": %lld, \"seconds\": %.3f, \"finished\": %s, "
		   "\"cpu_seconds\": %.3f, \"rss_mb\": %.1f, \"published\": %lld, \"refused\": %lld, \"leaves_out\": ["
		   "\"all but memory: a restart begins anew\", \"changes of the catalog after the start\", "
		   "\"clicks, searches and refused messages are counted, not kept\", "
		   "\"bad UTF-8 and some other bad JSON is not noticed\"]}\n",
		   (long long) taken, seconds() - begun, finished ? "true" : "false",
		   usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
		   usage.ru_maxrss / 1024.0, (long long) publish_count(), (long long) refused);
}

int
main(void)
{
	int64_t		wanted = atoll(setting("EVENTS"));
	double		limit = number_setting("LIMIT_SECONDS", 1e9);
	double		interval = number_setting("POPULARITY_SECONDS", 300);
	double		begun, popularity_at, told_at;
	rd_kafka_t *kafka = connect_kafka();
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(kafka);

	catalog_load(setting("CATALOG"));
	publish_start(atoi(setting("REDIS_PORT")));
	begun = popularity_at = told_at = seconds();
	assign(kafka, setting("TOPIC"));
	users_tick(time(NULL));
	while (taken < wanted && seconds() - begun < limit)
	{
		int64_t		message_ms = take_batch(queue);

		if (users_tick(time(NULL)) && seconds() - popularity_at >= interval)
		{
			popularity_at = seconds();
			users_take_popularity();
		}
		publish(message_ms != 0 && message_ms < time(NULL) * INT64_C(1000) - BACKLOG_MS);
		if (seconds() - told_at >= 1)
		{
			told_at = seconds();
			fprintf(stderr, "limit: %lld of %lld events\n", (long long) taken, (long long) wanted);
		}
	}
	while (!users_is_published())
		publish(false);
	windows_publish();
	publish_finish();
	report(begun, taken >= wanted);
	return 0;
}
