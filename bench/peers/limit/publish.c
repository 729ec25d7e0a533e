/*
 * publish.c: a ring of buffers, filled by the main thread, sent by another.
 *
 * While Redis works on one buffer the next is sent; only then are the replies
 * to the first read.  The mutex guards filled and answered.
 */
#include "publish.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFERS 8
#define BUFFER_BYTES (512 * 1024)

typedef struct Buffer
{
	char	   *bytes;
	int			length;
	int			size;
	int			commands;
} Buffer;

static Buffer buffers[BUFFERS];
static int64_t filled;			/* buffers handed to the thread, ever */
static int64_t answered;		/* buffers that Redis has answered to */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static redisContext *redis;
static int64_t commands;

static void
fail(const char *message)
{
	fprintf(stderr, "limit: Redis: %s\n", message);
	exit(1);
}

static void
read_replies(Buffer *buffer)
{
	void	   *reply;

	for (; buffer->commands > 0; buffer->commands--)
	{
		if (redisGetReply(redis, &reply) != REDIS_OK)
			fail(redis->errstr);
		if ((intptr_t) reply == REDIS_REPLY_ERROR)
			fail("an error reply");
	}
	buffer->length = 0;
	pthread_mutex_lock(&mutex);
	answered++;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&mutex);
}

static void *
send_all(void *unused)
{
	int64_t		next = 0;		/* to be sent */
	int64_t		oldest = 0;		/* not answered */

	(void) unused;
	for (;;)
	{
		bool		any;
		int			done = 0;

		pthread_mutex_lock(&mutex);
		while (next == filled && oldest == next)
			pthread_cond_wait(&changed, &mutex);
		any = next < filled;
		pthread_mutex_unlock(&mutex);
		if (any)
		{
			Buffer	   *buffer = &buffers[next++ % BUFFERS];

			redisAppendFormattedCommand(redis, buffer->bytes, buffer->length);
			while (!done)
			{
				if (redisBufferWrite(redis, &done) != REDIS_OK)
					fail(redis->errstr);
			}
		}
		while (oldest < next - any)
			read_replies(&buffers[oldest++ % BUFFERS]);
	}
	return NULL;
}

void
publish_start(int port)
{
	pthread_t	thread;

	redis = redisConnect("127.0.0.1", port);
	if (redis == NULL || redis->err)
		fail(redis ? redis->errstr : "out of memory");
	redis->reader->fn = NULL;	/* a reply is its type alone: nothing is allocated for it */
	if (pthread_create(&thread, NULL, send_all, NULL) != 0)
		fail("no thread");
}

/* Wait until fewer than so many buffers are under way. */
static void
await(int limit)
{
	pthread_mutex_lock(&mutex);
	while (filled - answered >= limit)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
}

bool
publish_is_ready(void)
{
	bool		ready;

	pthread_mutex_lock(&mutex);
	ready = filled - answered < BUFFERS - 1;
	pthread_mutex_unlock(&mutex);
	return ready;
}

void
publish_flush(void)
{
	if (buffers[filled % BUFFERS].commands == 0)
		return;
	pthread_mutex_lock(&mutex);
	filled++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
	await(BUFFERS);
}

void
publish_finish(void)
{
	publish_flush();
	await(1);
}

static void
append(const char *bytes, int length)
{
	Buffer	   *buffer = &buffers[filled % BUFFERS];

	if (buffer->length + length > buffer->size)
	{
		buffer->size = 2 * (buffer->length + length) + BUFFER_BYTES;
		buffer->bytes = realloc(buffer->bytes, buffer->size);
	}
	memcpy(buffer->bytes + buffer->length, bytes, length);
	buffer->length += length;
}

static void
append_size(char kind, int size)
{
	char		text[16];
	char	   *at = text + sizeof(text);

	*--at = '\n';
	*--at = '\r';
	do
		*--at = '0' + size % 10;
	while ((size /= 10) > 0);
	*--at = kind;
	append(at, text + sizeof(text) - at);
}

void
publish_command(int words)
{
	if (buffers[filled % BUFFERS].length >= BUFFER_BYTES)
		publish_flush();
	append_size('*', words);
	buffers[filled % BUFFERS].commands++;
	commands++;
}

void
publish_word(const char *text, int length)
{
	append_size('$', length);
	append(text, length);
	append("\r\n", 2);
}

int64_t
publish_count(void)
{
	return commands;
}
