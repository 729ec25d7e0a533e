/*-------------------------------------------------------------------------
 *
 * load.c
 *	  A shop's activity, produced into Kafka: a backlog, or a steady load.
 *
 * load --brokers HOST:PORT --topic NAME [--partitions 12] [--random]
 *		[--users N] [--products N] [--user-skew S] [--product-skew S] [--seed N] [--linger MS]
 *		--events N --from MS --to MS		a backlog, its times spread evenly
 *		--rate N --seconds N				events of now, whatever becomes of them
 *
 * The same seed gives the same events.  SIGTERM ends a steady load; what was
 * produced is delivered first.  One line of JSON tells at the end what was done.
 *
 *-------------------------------------------------------------------------
 */
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "message.h"
#include "zipf.h"

#define BATCH 1000				/* messages handed to librdkafka at once */
#define TICK_NS 1000000			/* a steady load is produced in such steps */

typedef struct Options
{
	const char *brokers;
	const char *topic;
	int			partitions;
	int			random;			/* partitions at random, not by user */
	int64_t		users;
	int64_t		products;
	double		user_skew;
	double		product_skew;
	uint64_t	seed;
	int64_t		events;
	int64_t		from;			/* ms since 1970 */
	int64_t		to;
	double		rate;
	double		seconds;
	const char *linger;			/* ms that a batch waits to fill */
} Options;

static Options options = {
	.topic = "user_activity", .partitions = 12, .users = 1000000, .products = 100000,
	.user_skew = 0.6, .product_skew = 1.0, .seed = 1, .linger = "50"
};
static Zipf users;
static Zipf products;
static volatile sig_atomic_t stopped = 0;
static int64_t failed = 0;
static int64_t bytes = 0;

static void
stop(int signal)
{
	stopped = 1;
}

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "load: %s: %s\n", what, why);
	exit(1);
}

static double
now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Hands messages over; waits where librdkafka's queue is full. */
static void
hand_over(rd_kafka_t *producer, rd_kafka_topic_t *topic, rd_kafka_message_t *messages, int n)
{
	while (n > 0)
	{
		int			left = 0;

		rd_kafka_produce_batch(topic, RD_KAFKA_PARTITION_UA,
							   RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION, messages, n);
		for (int i = 0; i < n; i++)
		{
			if (messages[i].err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
				messages[left++] = messages[i];
			else if (messages[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
				die("cannot produce", rd_kafka_err2str(messages[i].err));
		}
		n = left;
		rd_kafka_poll(producer, n > 0 ? 5 : 0);
	}
}

/* Makes and hands over n <= BATCH events; event i happened at from + i * step. */
static void
produce(rd_kafka_t *producer, rd_kafka_topic_t *topic, int n, double from, double step)
{
	static char text[BATCH][MESSAGE_SIZE];
	static rd_kafka_message_t messages[BATCH];

	for (int i = 0; i < n; i++)
	{
		uint32_t	user;
		size_t		size = message_make(text[i], (int64_t) (from + i * step), &users, &products, &user);

		memset(&messages[i], 0, sizeof(messages[i]));
		messages[i].payload = text[i];
		messages[i].len = size;
		messages[i].partition = (options.random ? random_bits() >> 32 : user) % options.partitions;
		bytes += size;
	}
	hand_over(producer, topic, messages, n);
}

static void
tell_progress(int64_t done, double begin, double *told)
{
	double		at = now(CLOCK_MONOTONIC);

	if (at - *told < 5)
		return;
	*told = at;
	fprintf(stderr, "load: %lld of %lld events, %.0f/s\n", (long long) done, (long long) options.events,
			done / (at - begin));
}

static int64_t
produce_backlog(rd_kafka_t *producer, rd_kafka_topic_t *topic)
{
	double		begin = now(CLOCK_MONOTONIC);
	double		told = begin;
	double		step = (double) (options.to - options.from) / options.events;
	int64_t		done = 0;

	while (done < options.events && !stopped)
	{
		int			n = options.events - done < BATCH ? (int) (options.events - done) : BATCH;

		produce(producer, topic, n, options.from + done * step, step);
		done += n;
		tell_progress(done, begin, &told);
	}
	return done;
}

/* An open loop: what is due is produced, however the other side fares. *behind: the worst delay in seconds. */
static int64_t
produce_steadily(rd_kafka_t *producer, rd_kafka_topic_t *topic, double *behind)
{
	struct timespec tick;
	double		begin = now(CLOCK_MONOTONIC);
	int64_t		done = 0;

	clock_gettime(CLOCK_MONOTONIC, &tick);
	while (!stopped)
	{
		double		elapsed = now(CLOCK_MONOTONIC) - begin;
		int64_t		due = (int64_t) ((elapsed < options.seconds ? elapsed : options.seconds) * options.rate);

		if ((due - done) / options.rate > *behind)
			*behind = (due - done) / options.rate;
		while (done < due)
		{
			int			n = due - done < BATCH ? (int) (due - done) : BATCH;

			produce(producer, topic, n, now(CLOCK_REALTIME) * 1000, 0);
			done += n;
		}
		if (elapsed >= options.seconds)
			break;
		if ((tick.tv_nsec += TICK_NS) >= 1000000000)
		{
			tick.tv_nsec -= 1000000000;
			tick.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL);
	}
	return done;
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char		why[256];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		die(name, why);
}

static void
delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		failed++;
}

static rd_kafka_t *
connect_producer(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *producer;
	char		why[256];

	set(conf, "bootstrap.servers", options.brokers);
	set(conf, "compression.codec", "lz4");
	set(conf, "linger.ms", options.linger);
	set(conf, "queue.buffering.max.messages", "500000");
	set(conf, "queue.buffering.max.kbytes", "262144");
	set(conf, "delivery.report.only.error", "true");
	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (producer == NULL)
		die("cannot make a producer", why);
	return producer;
}

static void
read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{"brokers", required_argument, NULL, 'b'}, {"topic", required_argument, NULL, 't'},
		{"partitions", required_argument, NULL, 'p'}, {"random", no_argument, &options.random, 1},
		{"users", required_argument, NULL, 'u'}, {"products", required_argument, NULL, 'q'},
		{"user-skew", required_argument, NULL, 'U'}, {"product-skew", required_argument, NULL, 'Q'},
		{"seed", required_argument, NULL, 's'}, {"events", required_argument, NULL, 'n'},
		{"from", required_argument, NULL, 'f'}, {"to", required_argument, NULL, 'e'},
		{"rate", required_argument, NULL, 'r'}, {"seconds", required_argument, NULL, 'd'},
		{"linger", required_argument, NULL, 'l'},
		{NULL, 0, NULL, 0}
	};
	int			c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
	{
		switch (c)
		{
			case 0: break;
			case 'b': options.brokers = optarg; break;
			case 't': options.topic = optarg; break;
			case 'p': options.partitions = atoi(optarg); break;
			case 'u': options.users = atoll(optarg); break;
			case 'q': options.products = atoll(optarg); break;
			case 'U': options.user_skew = atof(optarg); break;
			case 'Q': options.product_skew = atof(optarg); break;
			case 's': options.seed = strtoull(optarg, NULL, 10); break;
			case 'n': options.events = atoll(optarg); break;
			case 'f': options.from = atoll(optarg); break;
			case 'e': options.to = atoll(optarg); break;
			case 'r': options.rate = atof(optarg); break;
			case 'd': options.seconds = atof(optarg); break;
			case 'l': options.linger = optarg; break;
			default: exit(2);
		}
	}
	if (options.brokers == NULL || options.users < 1 || options.products < 1 || options.partitions < 1 ||
		(options.rate > 0 ? options.seconds <= 0 : options.events < 1 || options.to <= options.from))
		die("usage", "see the head of load.c");
}

int
main(int argc, char **argv)
{
	rd_kafka_t *producer;
	rd_kafka_topic_t *topic;
	struct rusage usage;
	double		begin;
	double		behind = 0;
	int64_t		done;

	read_options(argc, argv);
	random_seed(options.seed);
	zipf_make(&users, (uint32_t) options.users, options.user_skew);
	zipf_make(&products, (uint32_t) options.products, options.product_skew);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	producer = connect_producer();
	topic = rd_kafka_topic_new(producer, options.topic, NULL);

	begin = now(CLOCK_MONOTONIC);
	done = options.rate > 0 ? produce_steadily(producer, topic, &behind) : produce_backlog(producer, topic);
	if (rd_kafka_flush(producer, 60000) != RD_KAFKA_RESP_ERR_NO_ERROR || failed > 0)
		die("not all was delivered", options.topic);
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"events\": %lld, \"seconds\": %.3f, \"bytes\": %lld, \"cpu_seconds\": %.3f, \"behind_ms\": %.1f}\n",
		   (long long) done, now(CLOCK_MONOTONIC) - begin, (long long) bytes,
		   usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
		   behind * 1e3);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(producer);
	return 0;
}
