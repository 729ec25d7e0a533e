/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  A connection to Redis and its pipeline of commands.
 *
 * The only file that knows hiredis.  The connection does not block: all waits
 * are the process's own (latch, interrupts, death of the postmaster), with a
 * limit of TIMEOUT_MS without any progress.  The publisher waits outside any
 * transaction; only a client's own call (client = true) may wait inside.
 *
 * Commands are written into a buffer of our own, which goes to the socket
 * whenever it has grown to OUTPUT_BYTES; replies that arrive meanwhile wait
 * in hiredis's reader until they are collected.  So memory is bounded by
 * OUTPUT_BYTES, the longest command and the replies to what is in flight.
 *
 * The connection is freed with the memory context that it was made in.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include <hiredis/hiredis.h>
#include <sys/socket.h>

#include "access/xact.h"
#include "common/guc.h"
#include "common/monotonic.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "redis/connection.h"
#include "redis/login.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define TIMEOUT_MS 10000
#define OUTPUT_BYTES (64 * 1024)

struct RecoRedis
{
	redisContext *context;		/* NULL: closed by an ERROR; not to be used any more */
	bool		client;			/* may wait inside a transaction */
	bool		woken;			/* a wait took a wake-up that was not for us */
	int			pending;		/* commands whose reply is not collected */
	char	   *where;			/* for messages */
	StringInfoData output;		/* commands that hiredis does not have yet */
	MemoryContext memory;		/* of the connection */
	MemoryContext scratch;		/* of one reply */
	MemoryContextCallback at_reset;
};

static void
free_connection(void *arg)
{
	RecoRedis  *redis = arg;

	if (redis->context != NULL)
		redisFree(redis->context);
	redis->context = NULL;
}

/* Report that the connection is lost, with Redis's parting words if any. */
pg_noreturn static void
fail_connection(RecoRedis *redis, const char *why)
{
	char	   *reason = pstrdup(why);
	redisReply *reply = NULL;

	if (redis->context != NULL &&
		redisGetReplyFromReader(redis->context, (void **) &reply) == REDIS_OK && reply != NULL)
	{
		if (reply->type == REDIS_REPLY_ERROR)
			reason = pstrdup(reply->str);
		freeReplyObject(reply);
	}
	free_connection(redis);
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("lost the connection to Redis at %s: %s", redis->where, reason)));
}

/* Wait for one of the socket's events; true if it can be read. */
static bool
wait_for_socket(RecoRedis *redis, int events)
{
	static uint32 wait_event = 0;
	int			happened = 0;
	RecoMoment	deadline = reco_monotonic_after(TIMEOUT_MS);

	Assert(redis->client || !IsTransactionState());
	if (wait_event == 0)
		wait_event = reco_wait_event("RecoRedis");

	while ((happened & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE)) == 0)
	{
		if (reco_monotonic_has_passed(deadline))
			fail_connection(redis, "no answer within 10 seconds");
		happened = WaitLatchOrSocket(MyLatch, events | WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
									 redis->context->fd, TIMEOUT_MS, wait_event);
		if (happened & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			redis->woken = true;
			CHECK_FOR_INTERRUPTS();
		}
	}
	return (happened & WL_SOCKET_READABLE) != 0;
}

/* Feed what has arrived to the reader. */
static void
read_input(RecoRedis *redis)
{
	if (redisBufferRead(redis->context) != REDIS_OK)
		fail_connection(redis, redis->context->errstr);
}

/* Send the buffer; what arrives meanwhile is kept for the collection. */
static void
send_output(RecoRedis *redis)
{
	int			done = 0;

	if (redis->output.len == 0)
		return;
	if (redisAppendFormattedCommand(redis->context, redis->output.data, redis->output.len) != REDIS_OK)
		fail_connection(redis, redis->context->errstr);
	resetStringInfo(&redis->output);

	for (;;)
	{
		if (redisBufferWrite(redis->context, &done) != REDIS_OK)
			fail_connection(redis, redis->context->errstr);
		if (done)
			return;
		if (wait_for_socket(redis, WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
			read_input(redis);
	}
}

/* The next reply, waited for; hiredis's own, to be freed. */
static redisReply *
next_reply(RecoRedis *redis)
{
	redisReply *reply = NULL;

	for (;;)
	{
		if (redisGetReplyFromReader(redis->context, (void **) &reply) != REDIS_OK)
			fail_connection(redis, redis->context->errstr);
		if (reply != NULL)
			return reply;
		wait_for_socket(redis, WL_SOCKET_READABLE);
		read_input(redis);
	}
}

/* Copy a reply into the current memory context; the first error is noted. */
static void
copy_reply(const redisReply *from, RecoReply *to, const char **error)
{
	memset(to, 0, sizeof(*to));
	switch (from->type)
	{
		case REDIS_REPLY_STRING:
		case REDIS_REPLY_STATUS:
		case REDIS_REPLY_ERROR:
			to->type = RECO_REPLY_TEXT;
			to->text = pnstrdup(from->str, from->len);
			to->length = from->len;
			if (from->type == REDIS_REPLY_ERROR && *error == NULL)
				*error = to->text;
			break;
		case REDIS_REPLY_INTEGER:
			to->type = RECO_REPLY_INTEGER;
			to->integer = from->integer;
			break;
		case REDIS_REPLY_ARRAY:
			to->type = RECO_REPLY_ARRAY;
			to->nelements = (int) from->elements;
			to->elements = palloc(sizeof(RecoReply) * Max(to->nelements, 1));
			for (int i = 0; i < to->nelements; i++)
				copy_reply(from->element[i], &to->elements[i], error);
			break;
		default:
			to->type = RECO_REPLY_NIL;
	}
}

/*
 * Collect one reply into the current memory context; an error reply is
 * raised, also one within the array that EXEC gives.
 */
static void
take_reply(RecoRedis *redis, RecoReply *copy)
{
	redisReply *reply = next_reply(redis);
	const char *error = NULL;

	redis->pending--;
	copy_reply(reply, copy, &error);
	freeReplyObject(reply);
	if (error != NULL)
	{
		/* The rest of the pipeline is unknown. */
		free_connection(redis);
		reco_redis_report(redis->where, error);
	}
}

/* A wake-up that our waits took was meant for the caller. */
static void
hand_wake_on(RecoRedis *redis)
{
	if (redis->woken)
		SetLatch(MyLatch);
	redis->woken = false;
}

/* *3 or $12 and the end of the line */
static void
append_header(StringInfo output, char mark, uint64 n)
{
	char		text[24];
	int			length = 1;

	text[0] = mark;
	length += pg_ulltoa_n(n, text + 1);
	text[length++] = '\r';
	text[length++] = '\n';
	appendBinaryStringInfo(output, text, length);
}

/* Add a command to the pipeline; its reply is collected later. */
void
reco_redis_append(RecoRedis *redis, int nwords, const RecoWord *words)
{
	append_header(&redis->output, '*', nwords);
	for (int i = 0; i < nwords; i++)
	{
		append_header(&redis->output, '$', words[i].length);
		appendBinaryStringInfo(&redis->output, words[i].data, words[i].length);
		appendBinaryStringInfo(&redis->output, "\r\n", 2);
	}
	redis->pending++;
	if (redis->output.len >= OUTPUT_BYTES)
		send_output(redis);
}

/*
 * Send what is left and wait for the reply to each command appended since
 * the last collection.  The handler, which may be NULL, must copy what it
 * keeps.
 */
void
reco_redis_collect(RecoRedis *redis, RecoReplyHandler handler, void *arg)
{
	send_output(redis);
	for (int n = 0; redis->pending > 0; n++)
	{
		RecoReply	reply;
		MemoryContext caller = MemoryContextSwitchTo(redis->scratch);

		take_reply(redis, &reply);
		MemoryContextSwitchTo(caller);
		if (handler != NULL)
			handler(arg, n, &reply);
		if ((n & 63) == 63)
			MemoryContextReset(redis->scratch);
	}
	MemoryContextReset(redis->scratch);
	hand_wake_on(redis);
}

/* One command and its reply, in the current memory context. */
RecoReply *
reco_redis_call(RecoRedis *redis, int nwords, const RecoWord *words)
{
	RecoReply  *reply = palloc(sizeof(RecoReply));

	Assert(redis->pending == 0);
	reco_redis_append(redis, nwords, words);
	send_output(redis);
	take_reply(redis, reply);
	hand_wake_on(redis);
	return reply;
}

/* Has Redis closed the connection meanwhile? ERROR if so. */
void
reco_redis_check(RecoRedis *redis)
{
	read_input(redis);
}

/* The socket, to wait for: without commands in flight it says that Redis went away. */
pgsocket
reco_redis_socket(RecoRedis *redis)
{
	return redis->context ? redis->context->fd : PGINVALID_SOCKET;
}

/* Begin to connect, and wait until it is done. */
static void
open_socket(RecoRedis *redis, const RecoRedisUrl *url)
{
	int			error = 0;
	socklen_t	size = sizeof(error);

	redis->context = url->host ? redisConnectNonBlock(url->host, url->port) :
		redisConnectUnixNonBlock(url->path);
	if (redis->context == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));

	if (redis->context->err == 0)
	{
		wait_for_socket(redis, WL_SOCKET_WRITEABLE);
		if (getsockopt(redis->context->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
			error = errno;
	}
	if (redis->context->err != 0 || error != 0)
	{
		char	   *why = pstrdup(error ? strerror(error) : redis->context->errstr);

		free_connection(redis);
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to Redis at %s: %s", redis->where, why),
				 errhint("Check reco.redis_url and that Redis is running.")));
	}
	if (url->host)
		redisEnableKeepAlive(redis->context);
}

/* Say who we are, and choose the database. */
static void
introduce(RecoRedis *redis, const RecoRedisUrl *url)
{
	char	   *password = reco_redis_read_password(reco_redis_password_file);
	char		db[12];

	if (password != NULL)
	{
		RecoWord	words[3] = {reco_redis_word("AUTH")};
		int			n = 1;

		if (url->user != NULL)
			words[n++] = reco_redis_word(url->user);
		words[n++] = reco_redis_word(password);
		reco_redis_append(redis, n, words);
	}
	if (url->db != 0)
	{
		pg_ltoa(url->db, db);
		reco_redis_append(redis, 2, (RecoWord[]) {reco_redis_word("SELECT"), reco_redis_word(db)});
	}
	reco_redis_collect(redis, NULL, NULL);
}

/* Connect as the settings say; ERROR if it cannot be. */
RecoRedis *
reco_redis_connect(bool client)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "reco redis",
												 ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	RecoRedis  *redis = palloc0(sizeof(RecoRedis));
	RecoRedisUrl url;
	const char *hint;
	const char *wrong = reco_redis_parse_url(reco_redis_url, &url, &hint);

	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot connect to Redis with this reco.redis_url"),
				 errdetail("%s", wrong), errhint("%s", hint)));

	redis->client = client;
	redis->memory = memory;
	redis->scratch = AllocSetContextCreate(memory, "reco redis reply", ALLOCSET_DEFAULT_SIZES);
	redis->where = url.host ? psprintf("%s:%d", url.host, url.port) : url.path;
	redis->at_reset.func = free_connection;
	redis->at_reset.arg = redis;
	MemoryContextRegisterResetCallback(memory, &redis->at_reset);
	initStringInfo(&redis->output);

	open_socket(redis, &url);
	introduce(redis, &url);
	MemoryContextSwitchTo(caller);
	return redis;
}

/* Close it and free all that belongs to it. */
void
reco_redis_close(RecoRedis *redis)
{
	MemoryContextDelete(redis->memory);
}
