/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  A connection to Redis and its pipeline of commands.
 *
 * The only file that knows hiredis, which connects and writes.  The connection
 * does not block: all waits are the process's own (latch, interrupts, death of
 * the postmaster), with a limit of TIMEOUT_MS without any progress and one on
 * the whole.  The publisher waits outside any transaction; only a client's own
 * call (client = true) may wait inside.
 *
 * Commands are written into a buffer of our own, which goes to the socket
 * whenever it has grown to OUTPUT_BYTES; replies that arrive meanwhile wait
 * until they are collected.  So memory is bounded by OUTPUT_BYTES, the longest
 * command and INPUT_BYTES, whatever the other end sends.
 *
 * What it says is foreign: it is cleaned before it gets into a message, and
 * left out where it repeats the password.
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
#include "common/redis_url.h"
#include "common/text_clean.h"
#include "common/wait_event.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "redis/connection.h"
#include "redis/login.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define TIMEOUT_MS 10000

/* So much of what Redis says is shown. */
#define SHOWN_BYTES 200
#define OUTPUT_BYTES (64 * 1024)

/* Replies that have arrived: the longest one and what came along with it. */
#define INPUT_BYTES (RECO_REPLY_BYTES + 1024 * 1024)
#define READ_BYTES (16 * 1024)

/* What is sent and answered at less than this, in bytes/ms, takes too long. */
#define SLOWEST_RATE 64

struct RecoRedis
{
	redisContext *context;		/* NULL: closed by an ERROR; not to be used any more */
	bool		client;			/* may wait inside a transaction */
	bool		woken;			/* a wait took a wake-up that was not for us */
	int			pending;		/* commands whose reply is not collected */
	char	   *where;			/* for messages */
	char	   *secret;			/* the password, until we are logged in */
	StringInfoData output;		/* commands that hiredis does not have yet */
	StringInfoData input;		/* replies, from cursor on not yet taken */
	size_t		wanted;			/* bytes from the cursor on that the next one needs */
	size_t		traffic;		/* bytes both ways since all was answered */
	int64		waited;			/* for it, in microseconds */
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

/* What the other end says, as it may be shown. */
static char *
shown_text(const RecoRedis *redis, const char *text, size_t length)
{
	char	   *shown;

	if (redis->secret != NULL && memmem(text, length, redis->secret, strlen(redis->secret)) != NULL)
		return pstrdup("(not shown, since it repeats the password)");
	shown = palloc(SHOWN_BYTES + 1);
	reco_text_copy(shown, text, SHOWN_BYTES + 1);
	return shown;
}

/* The next reply if all of it has arrived; it is good until more is read. */
static bool
next_in_input(RecoRedis *redis, RecoReply *reply, const char **wrong)
{
	char	   *data = redis->input.data + redis->input.cursor;
	size_t		length = redis->input.len - redis->input.cursor;
	size_t		end;

	*wrong = NULL;
	if (length < redis->wanted)
		return false;
	switch (reco_reply_measure(data, length, &end, wrong))
	{
		case RECO_REPLY_MORE:
			redis->wanted = end;
			*wrong = NULL;
			return false;
		case RECO_REPLY_WRONG:
			return false;
		default:
			*wrong = NULL;
	}
	reco_reply_build(data, end, reply);
	redis->input.cursor += end;
	redis->wanted = 1;
	return true;
}

/* Report that the connection is lost, with Redis's parting words if any. */
pg_noreturn static void
fail_connection(RecoRedis *redis, const char *why)
{
	char	   *reason = pstrdup(why);
	const char *wrong;
	RecoReply	reply;

	if (redis->context != NULL && next_in_input(redis, &reply, &wrong) &&
		reply.type == RECO_REPLY_ERROR)
		reason = shown_text(redis, reply.text, reply.length);
	free_connection(redis);
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("lost the connection to Redis at %s: %s", redis->where, reason)));
}

/* What came is no reply that Redis would give. */
pg_noreturn static void
fail_reply(RecoRedis *redis, const char *wrong)
{
	free_connection(redis);
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("invalid reply from Redis at %s: %s", redis->where, wrong),
			 errhint("Check that reco.redis_url names a Redis server, and a port without TLS.")));
}

/* A reply to a command is of a type that Redis does not give. */
void
reco_redis_unexpected(RecoRedis *redis, const char *command)
{
	fail_reply(redis, psprintf("unexpected type of reply to %s", command));
}

/*
 * Wait for one of the socket's events; true if it can be read.  Both this wait
 * and the sum of all until everything is answered are limited.
 */
static bool
wait_for_socket(RecoRedis *redis, int events)
{
	int			happened = 0;
	RecoMoment	begun = reco_monotonic_now();
	RecoMoment	no_progress = begun + TIMEOUT_MS * 1000;

	Assert(redis->client || !IsTransactionState());

	CHECK_FOR_INTERRUPTS();
	if (redis->waited / 1000 > TIMEOUT_MS + redis->traffic / SLOWEST_RATE)
		fail_connection(redis, "it answers too slowly");
	while ((happened & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE)) == 0)
	{
		if (reco_monotonic_has_passed(no_progress))
			fail_connection(redis, "no answer within 10 seconds");
		happened = WaitLatchOrSocket(MyLatch, events | WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
									 redis->context->fd,
									 Max(1, Min(reco_monotonic_left(no_progress), TIMEOUT_MS)),
									 reco_wait_event(RECO_WAIT_REDIS));
		if (happened & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			redis->woken = true;
			CHECK_FOR_INTERRUPTS();
		}
	}
	redis->waited += reco_monotonic_now() - begun;
	return (happened & WL_SOCKET_READABLE) != 0;
}

/* Make room for more input, and give back what a long reply took. */
static void
make_room(RecoRedis *redis)
{
	StringInfo	input = &redis->input;

	if (input->cursor > 0)
	{
		input->len -= input->cursor;
		memmove(input->data, input->data + input->cursor, input->len);
		input->cursor = 0;
	}
	if (input->len == 0 && input->maxlen > 64 * READ_BYTES)
	{
		pfree(input->data);
		input->data = MemoryContextAlloc(redis->memory, READ_BYTES);
		input->maxlen = READ_BYTES;
	}
	if (input->len >= INPUT_BYTES)
		fail_reply(redis, "more than was asked for");
	enlargeStringInfo(input, Max(READ_BYTES, input->len / 2));
}

/* Read what has arrived. */
static void
read_input(RecoRedis *redis)
{
	StringInfo	input = &redis->input;
	ssize_t		got;

	make_room(redis);
	got = recv(redis->context->fd, input->data + input->len, input->maxlen - input->len - 1, 0);
	if (got == 0)
		fail_connection(redis, "the server closed the connection");
	if (got < 0)
	{
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
			return;
		fail_connection(redis, pstrdup(strerror(errno)));
	}
	input->len += got;
	redis->traffic += got;
}

/* Send the buffer; what arrives meanwhile is kept for the collection. */
static void
send_output(RecoRedis *redis)
{
	int			done = 0;

	if (redis->output.len == 0)
		return;
	redis->traffic += redis->output.len;
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

/* The first error in a reply, also within the array that EXEC gives; NULL: none. */
static const RecoReply *
find_error(const RecoReply *reply)
{
	const RecoReply *error = reply->type == RECO_REPLY_ERROR ? reply : NULL;

	for (int i = 0; i < reply->nelements && error == NULL; i++)
		error = find_error(&reply->elements[i]);
	return error;
}

/* Raise an error reply, and close the connection: what came after in the pipeline is unknown. */
void
reco_redis_refused(RecoRedis *redis, const RecoReply *error)
{
	char	   *text = shown_text(redis, error->text, error->length);

	free_connection(redis);
	reco_redis_report(redis->where, text);
}

/* Wait for the next reply; an error is raised unless the caller wants to see it. */
static void
take_reply(RecoRedis *redis, RecoReply *reply, bool raise)
{
	const RecoReply *error;
	const char *wrong;

	while (!next_in_input(redis, reply, &wrong))
	{
		if (wrong != NULL)
			fail_reply(redis, wrong);
		wait_for_socket(redis, WL_SOCKET_READABLE);
		read_input(redis);
	}
	if (--redis->pending == 0)
		redis->traffic = redis->waited = 0;
	error = raise ? find_error(reply) : NULL;
	if (error != NULL)
		reco_redis_refused(redis, error);
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

		take_reply(redis, &reply, true);
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
static RecoReply *
call(RecoRedis *redis, int nwords, const RecoWord *words, bool raise)
{
	RecoReply  *reply = palloc(sizeof(RecoReply));
	RecoReply	taken;

	Assert(redis->pending == 0);
	reco_redis_append(redis, nwords, words);
	send_output(redis);
	take_reply(redis, &taken, raise);
	reco_reply_copy(&taken, reply);
	hand_wake_on(redis);
	return reply;
}

RecoReply *
reco_redis_call(RecoRedis *redis, int nwords, const RecoWord *words)
{
	return call(redis, nwords, words, true);
}

/* The same; an error reply is given to the caller. */
RecoReply *
reco_redis_try(RecoRedis *redis, int nwords, const RecoWord *words)
{
	return call(redis, nwords, words, false);
}

/* Between commands: has Redis closed the connection, or said what nobody asked for?  ERROR if so. */
void
reco_redis_check(RecoRedis *redis)
{
	read_input(redis);
	if (redis->input.len > redis->input.cursor)
		fail_connection(redis, "it says what it was not asked for");
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

static void
log_in(RecoRedis *redis, const RecoRedisUrl *url)
{
	char	   *password = reco_redis_read_password(reco_redis_password_file);
	RecoWord	words[3] = {reco_redis_word("AUTH")};
	int			n = 1;

	if (password == NULL)
		return;
	if (url->user != NULL)
		words[n++] = reco_redis_word(url->user);
	words[n++] = reco_redis_word(password);
	redis->secret = password;
	(void) reco_redis_call(redis, n, words);
	redis->secret = NULL;
}

/*
 * Is it a Redis that we can publish to?  One that does not let us ask may be:
 * it will say so when we write.
 */
static void
check_server(RecoRedis *redis)
{
	RecoReply  *info = reco_redis_try(redis, 2, (RecoWord[]) {{"INFO", 4}, {"server", 6}});
	const char *wrong = NULL;
	const char *hint = NULL;

	if (info->type == RECO_REPLY_TEXT)
		wrong = reco_redis_judge_server(info->text, &hint);
	else if (info->type != RECO_REPLY_ERROR)
		reco_redis_unexpected(redis, "INFO");
	else if (strncmp(info->text, "NOPERM ", 7) != 0 && strncmp(info->text, "ERR unknown command", 19) != 0)
		reco_redis_refused(redis, info);
	if (wrong != NULL)
	{
		free_connection(redis);
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot publish to Redis at %s: %s", redis->where, wrong),
				 errhint("%s", hint)));
	}
}

/* Say who we are, see whom we talk to, and choose the database. */
static void
introduce(RecoRedis *redis, const RecoRedisUrl *url)
{
	char		db[12];

	log_in(redis, url);
	check_server(redis);
	if (url->db != 0)
	{
		pg_ltoa(url->db, db);
		(void) reco_redis_call(redis, 2, (RecoWord[]) {reco_redis_word("SELECT"), reco_redis_word(db)});
	}
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
	const char *wrong = reco_redis_url_parse(reco_redis_url, &url, &hint);

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
	initStringInfo(&redis->input);
	redis->wanted = 1;

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
