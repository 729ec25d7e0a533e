/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  A connection to Redis and its pipeline of commands.
 *
 * The only file that uses hiredis, for connecting and writing.  The connection is
 * non-blocking: all waits react to the latch, to interrupts and to the death of
 * the postmaster, with a limit of TIMEOUT_MS without progress and one on the
 * total.  The publisher waits outside any transaction; only a client's own call
 * (client = true) may wait inside.
 *
 * Commands are buffered, and sent when the buffer has grown to OUTPUT_BYTES;
 * replies that arrive meanwhile are kept until they are collected.  So memory is
 * bounded by OUTPUT_BYTES, the longest command and INPUT_BYTES, whatever the
 * server sends.
 *
 * The server's texts are foreign: they are cleaned before they are used in a
 * message, and suppressed if they contain the password.
 *
 * The connection is freed with the memory context that it was created in.
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

/* Bytes of the server's texts that are shown. */
#define SHOWN_BYTES 200
#define OUTPUT_BYTES (64 * 1024)

/* Limit for buffered replies: the longest one, and what arrived together with it. */
#define INPUT_BYTES (RECO_REPLY_BYTES + 1024 * 1024)
#define READ_BYTES (16 * 1024)

/* The lowest rate of sending and answering that is accepted, in bytes/ms. */
#define SLOWEST_RATE 64

struct RecoRedis
{
	redisContext *context;		/* NULL: closed by an ERROR, must not be used any more */
	bool		client;			/* may wait inside a transaction */
	bool		woken;			/* a wait has consumed a wakeup of the latch */
	int			pending;		/* commands whose reply has not been received */
	char	   *where;			/* for messages */
	char	   *secret;			/* the password, until we are logged in */
	StringInfoData output;		/* commands not yet passed to hiredis */
	StringInfoData input;		/* replies; those from cursor on are not received yet */
	size_t		wanted;			/* bytes from the cursor on that the next one needs */
	size_t		traffic;		/* bytes in both directions since nothing was pending */
	int64		waited;			/* the same for the time waited, in microseconds */
	MemoryContext memory;		/* of the connection */
	MemoryContext scratch;		/* of one reply */
	MemoryContextCallback at_reset;
};

static void
connection_free(void *arg)
{
	RecoRedis  *redis = arg;

	if (redis->context != NULL)
		redisFree(redis->context);
	redis->context = NULL;
}

/* The server's text, fit to be shown. */
static char *
connection_shown_text(const RecoRedis *redis, const char *text, size_t length)
{
	char	   *shown;

	if (redis->secret != NULL && memmem(text, length, redis->secret, strlen(redis->secret)) != NULL)
		return pstrdup("(not shown, since it repeats the password)");
	shown = palloc(SHOWN_BYTES + 1);
	reco_text_copy(shown, text, SHOWN_BYTES + 1);
	return shown;
}

/* The next reply, if all of it has arrived; valid until more is read. */
static bool
connection_next_reply(RecoRedis *redis, RecoReply *reply, const char **wrong)
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

/* Report that the connection is lost, with Redis's last error reply if there is one. */
pg_noreturn static void
connection_fail(RecoRedis *redis, const char *why)
{
	char	   *reason = pstrdup(why);
	const char *wrong;
	RecoReply	reply;

	if (redis->context != NULL && connection_next_reply(redis, &reply, &wrong) &&
		reply.type == RECO_REPLY_ERROR)
		reason = connection_shown_text(redis, reply.text, reply.length);
	connection_free(redis);
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("lost the connection to Redis at %s: %s", redis->where, reason)));
}

/* Report a reply that violates the protocol. */
pg_noreturn static void
connection_fail_reply(RecoRedis *redis, const char *wrong)
{
	connection_free(redis);
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("invalid reply from Redis at %s: %s", redis->where, wrong),
			 errhint("Check that reco.redis_url names a Redis server, and a port without TLS.")));
}

/* Report a reply of a type that the command cannot have. */
void
reco_redis_unexpected_reply(RecoRedis *redis, const char *command)
{
	connection_fail_reply(redis, psprintf("unexpected type of reply to %s", command));
}

/*
 * Wait for one of the socket's events; true if it is readable.  Both this wait
 * and the sum of all waits until nothing is pending are limited.
 */
static bool
connection_wait(RecoRedis *redis, int events)
{
	int			happened = 0;
	RecoMoment	begun = reco_monotonic_now();
	RecoMoment	no_progress = begun + TIMEOUT_MS * 1000;

	Assert(redis->client || !IsTransactionState());

	CHECK_FOR_INTERRUPTS();
	if (redis->waited / 1000 > TIMEOUT_MS + redis->traffic / SLOWEST_RATE)
		connection_fail(redis, "it answers too slowly");
	while ((happened & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE)) == 0)
	{
		if (reco_monotonic_has_passed(no_progress))
			connection_fail(redis, "no answer within 10 seconds");
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

/* Make room for more input, and free the memory of a long reply. */
static void
connection_make_room(RecoRedis *redis)
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
		connection_fail_reply(redis, "more than was asked for");
	enlargeStringInfo(input, Max(READ_BYTES, input->len / 2));
}

/* Read what has arrived. */
static void
connection_read(RecoRedis *redis)
{
	StringInfo	input = &redis->input;
	ssize_t		got;

	connection_make_room(redis);
	got = recv(redis->context->fd, input->data + input->len, input->maxlen - input->len - 1, 0);
	if (got == 0)
		connection_fail(redis, "the server closed the connection");
	if (got < 0)
	{
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
			return;
		connection_fail(redis, pstrdup(strerror(errno)));
	}
	input->len += got;
	redis->traffic += got;
}

/* Send the buffer; replies that arrive meanwhile are kept. */
static void
connection_send(RecoRedis *redis)
{
	int			done = 0;

	if (redis->output.len == 0)
		return;
	redis->traffic += redis->output.len;
	if (redisAppendFormattedCommand(redis->context, redis->output.data, redis->output.len) != REDIS_OK)
		connection_fail(redis, redis->context->errstr);
	resetStringInfo(&redis->output);

	for (;;)
	{
		if (redisBufferWrite(redis->context, &done) != REDIS_OK)
			connection_fail(redis, redis->context->errstr);
		if (done)
			return;
		if (connection_wait(redis, WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
			connection_read(redis);
	}
}

/* The first error in a reply, or in the array that EXEC returns; NULL: none. */
static const RecoReply *
connection_find_error(const RecoReply *reply)
{
	const RecoReply *error = reply->type == RECO_REPLY_ERROR ? reply : NULL;

	for (int i = 0; i < reply->nelements && error == NULL; i++)
		error = connection_find_error(&reply->elements[i]);
	return error;
}

/* Raise an error reply, and close the connection: the fate of later commands is unknown. */
void
reco_redis_rejected(RecoRedis *redis, const RecoReply *error)
{
	char	   *text = connection_shown_text(redis, error->text, error->length);

	connection_free(redis);
	reco_redis_raise(redis->where, text);
}

/* Receive the next reply; raise: raise an error reply as an ERROR. */
static void
connection_receive(RecoRedis *redis, RecoReply *reply, bool raise)
{
	const RecoReply *error;
	const char *wrong;

	while (!connection_next_reply(redis, reply, &wrong))
	{
		if (wrong != NULL)
			connection_fail_reply(redis, wrong);
		connection_wait(redis, WL_SOCKET_READABLE);
		connection_read(redis);
	}
	if (--redis->pending == 0)
		redis->traffic = redis->waited = 0;
	error = raise ? connection_find_error(reply) : NULL;
	if (error != NULL)
		reco_redis_rejected(redis, error);
}

/* Set the latch again, if a wait has consumed a wakeup that was meant for the caller. */
static void
connection_pass_wakeup(RecoRedis *redis)
{
	if (redis->woken)
		SetLatch(MyLatch);
	redis->woken = false;
}

/* Append a header such as "*3" or "$12". */
static void
connection_append_header(StringInfo output, char mark, uint64 n)
{
	char		text[24];
	int			length = 1;

	text[0] = mark;
	length += pg_ulltoa_n(n, text + 1);
	text[length++] = '\r';
	text[length++] = '\n';
	appendBinaryStringInfo(output, text, length);
}

/* Append a command to the pipeline; its reply is collected later. */
void
reco_redis_append(RecoRedis *redis, int nwords, const RecoWord *words)
{
	connection_append_header(&redis->output, '*', nwords);
	for (int i = 0; i < nwords; i++)
	{
		connection_append_header(&redis->output, '$', words[i].length);
		appendBinaryStringInfo(&redis->output, words[i].data, words[i].length);
		appendBinaryStringInfo(&redis->output, "\r\n", 2);
	}
	redis->pending++;
	if (redis->output.len >= OUTPUT_BYTES)
		connection_send(redis);
}

/*
 * Send what is left, and receive the replies to all commands appended since the
 * last collection.  The handler, which may be NULL, must copy what it keeps.
 */
void
reco_redis_collect(RecoRedis *redis, RecoReplyHandler handler, void *arg)
{
	connection_send(redis);
	for (int n = 0; redis->pending > 0; n++)
	{
		RecoReply	reply;
		MemoryContext caller = MemoryContextSwitchTo(redis->scratch);

		connection_receive(redis, &reply, true);
		MemoryContextSwitchTo(caller);
		if (handler != NULL)
			handler(arg, n, &reply);
		if ((n & 63) == 63)
			MemoryContextReset(redis->scratch);
	}
	MemoryContextReset(redis->scratch);
	connection_pass_wakeup(redis);
}

/* Send one command; returns its reply, in the current memory context. */
static RecoReply *
connection_call(RecoRedis *redis, int nwords, const RecoWord *words, bool raise)
{
	RecoReply  *reply = palloc(sizeof(RecoReply));
	RecoReply	taken;

	Assert(redis->pending == 0);
	reco_redis_append(redis, nwords, words);
	connection_send(redis);
	connection_receive(redis, &taken, raise);
	reco_reply_copy(&taken, reply);
	connection_pass_wakeup(redis);
	return reply;
}

RecoReply *
reco_redis_call(RecoRedis *redis, int nwords, const RecoWord *words)
{
	return connection_call(redis, nwords, words, true);
}

/* The same, but an error reply is returned. */
RecoReply *
reco_redis_try(RecoRedis *redis, int nwords, const RecoWord *words)
{
	return connection_call(redis, nwords, words, false);
}

/* Between commands: raise an ERROR if Redis has closed the connection, or sent something unrequested. */
void
reco_redis_check(RecoRedis *redis)
{
	connection_read(redis);
	if (redis->input.len > redis->input.cursor)
		connection_fail(redis, "it sent a reply without a command");
}

/* The socket, to wait for; without pending commands it becomes readable when Redis goes away. */
pgsocket
reco_redis_socket(RecoRedis *redis)
{
	return redis->context ? redis->context->fd : PGINVALID_SOCKET;
}

/* Open the socket, and wait until it is connected. */
static void
connection_open_socket(RecoRedis *redis, const RecoRedisUrl *url)
{
	int			error = 0;
	socklen_t	size = sizeof(error);

	redis->context = url->host ? redisConnectNonBlock(url->host, url->port) :
		redisConnectUnixNonBlock(url->path);
	if (redis->context == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));

	if (redis->context->err == 0)
	{
		connection_wait(redis, WL_SOCKET_WRITEABLE);
		if (getsockopt(redis->context->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
			error = errno;
	}
	if (redis->context->err != 0 || error != 0)
	{
		char	   *why = pstrdup(error ? strerror(error) : redis->context->errstr);

		connection_free(redis);
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to Redis at %s: %s", redis->where, why),
				 errhint("Check reco.redis_url and that Redis is running.")));
	}
	if (url->host)
		redisEnableKeepAlive(redis->context);
}

static void
connection_log_in(RecoRedis *redis, const RecoRedisUrl *url)
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
 * Raise an ERROR if it is a server that we cannot publish to.  If INFO is not
 * permitted, writing will tell.
 */
static void
connection_check_server(RecoRedis *redis)
{
	RecoReply  *info = reco_redis_try(redis, 2, (RecoWord[]) {{"INFO", 4}, {"server", 6}});
	const char *wrong = NULL;
	const char *hint = NULL;

	if (info->type == RECO_REPLY_TEXT)
		wrong = reco_redis_check_info(info->text, &hint);
	else if (info->type != RECO_REPLY_ERROR)
		reco_redis_unexpected_reply(redis, "INFO");
	else if (strncmp(info->text, "NOPERM ", 7) != 0 && strncmp(info->text, "ERR unknown command", 19) != 0)
		reco_redis_rejected(redis, info);
	if (wrong != NULL)
	{
		connection_free(redis);
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot publish to Redis at %s: %s", redis->where, wrong),
				 errhint("%s", hint)));
	}
}

/* Log in, check the server, and select the database. */
static void
connection_handshake(RecoRedis *redis, const RecoRedisUrl *url)
{
	char		db[12];

	connection_log_in(redis, url);
	connection_check_server(redis);
	if (url->db != 0)
	{
		pg_ltoa(url->db, db);
		(void) reco_redis_call(redis, 2, (RecoWord[]) {reco_redis_word("SELECT"), reco_redis_word(db)});
	}
}

/* Connect as the settings say. */
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
	redis->at_reset.func = connection_free;
	redis->at_reset.arg = redis;
	MemoryContextRegisterResetCallback(memory, &redis->at_reset);
	initStringInfo(&redis->output);
	initStringInfo(&redis->input);
	redis->wanted = 1;

	connection_open_socket(redis, &url);
	connection_handshake(redis, &url);
	MemoryContextSwitchTo(caller);
	return redis;
}

/* Close the connection and free its memory. */
void
reco_redis_close(RecoRedis *redis)
{
	MemoryContextDelete(redis->memory);
}
