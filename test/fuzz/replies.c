/*-------------------------------------------------------------------------
 *
 * replies.c
 *	  Mutated replies of Redis through all that reads them.
 *
 * reco connects to the fake Redis by reco.redis_url, and whatever it asks it
 * gets the input for an answer.  An answer that it can use is right, and an
 * ERROR with a SQLSTATE of its own.  What it says of it is to be text that may
 * be shown, and memory, also that of the worst moment, is bounded.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include <sys/resource.h>

#include "access/xact.h"
#include "executor/spi.h"
#include "fake_redis.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "publish/orphan_keys.h"
#include "reco_fuzz.h"
#include "redis/connection.h"
#include "redis/key.h"
#include "redis/scan.h"
#include "redis/stamp.h"
#include "shmem/worker_status.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* An address sanitizer keeps 256 MB of what was freed. */
#define MAX_PEAK_KB (1024 * 1024)
#define MAX_KEPT (32 * 1024 * 1024)

/* One input in so many has an end that is sent for ever. */
#define ENDLESS 200

#define MAX_COMMANDS 100
#define MAX_SCANS 50

static void
check_shown(const char *text)
{
	if (text == NULL)
		return;
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			elog(PANIC, "a message holds control characters");
	if (!pg_verify_mbstr(PG_UTF8, text, strlen(text), true))
		elog(PANIC, "a message is not UTF-8");
}

/* Warnings and errors are looked at, not written to the log. */
static void
look_at_message(ErrorData *error)
{
	if (error->elevel >= PANIC)
		return;
	check_shown(error->message);
	check_shown(error->detail);
	check_shown(error->hint);
	error->output_to_server = false;
}

/* Every byte of a reply is there, and a NUL behind each text. */
static void
walk(const RecoReply *reply, int64 *sum)
{
	*sum += reply->integer;
	for (size_t i = 0; reply->text != NULL && i <= reply->length; i++)
		*sum += reply->text[i];
	if (reply->text != NULL && reply->text[reply->length] != '\0')
		elog(PANIC, "a text does not end with a NUL");
	for (int i = 0; i < reply->nelements; i++)
		walk(&reply->elements[i], sum);
}

static void
take_reply(void *arg, int n, const RecoReply *reply)
{
	walk(reply, arg);
}

static void
use_pipeline(FuzzCorpus *corpus)
{
	RecoRedis  *redis = reco_redis_connect(true);
	int64		sum = 0;

	for (int round = 0; round < 3; round++)
	{
		for (Size n = fuzz_below(corpus, MAX_COMMANDS); n > 0; n--)
			reco_redis_append(redis, 1, (RecoWord[]) {{"PING", 4}});
		reco_redis_collect(redis, take_reply, &sum);
		walk(reco_redis_try(redis, 1, (RecoWord[]) {{"PING", 4}}), &sum);
	}
	reco_redis_check(redis);
	reco_redis_close(redis);
}

static void
use_stamp(FuzzCorpus *corpus)
{
	RecoRedis  *redis = reco_redis_connect(true);
	RecoWorkerStatus status;

	if (reco_stamp_claim(redis) == 0)
		(void) reco_stamp_swap(redis);
	reco_stamp_stop_watching();
	reco_redis_close(redis);
	status = reco_status_read(RECO_PUBLISH);
	check_shown(status.state);
	check_shown(status.error);
}

static void
use_scan(FuzzCorpus *corpus)
{
	RecoRedis  *redis = reco_redis_connect(true);
	bool		windows = fuzz_below(corpus, 2) == 0;
	RecoRedisTemplate template = windows ? reco_redis_window_key_template() : reco_redis_user_key_template();
	RecoSinkScan scan = {.begun = false};
	RecoIds		found;

	for (int n = 0; n < MAX_SCANS && reco_redis_scan(redis, &template, &scan, &found); n++)
	{
		reco_orphan_keys_filter(windows, &found);
		reco_redis_keep_own(redis, &template, &found);
	}
	reco_redis_close(redis);
}

static void
use_verify(FuzzCorpus *corpus)
{
	if (SPI_execute("SELECT key, expected, found FROM reco_redis_verify()", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run reco_redis_verify()");
	for (uint64 row = 0; row < SPI_processed; row++)
		for (int column = 1; column <= 3; column++)
		{
			char	   *text = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);

			if (text != NULL)
				pg_verifymbstr(text, strlen(text), false);
		}
}

static void (*const uses[]) (FuzzCorpus *) = {use_pipeline, use_stamp, use_scan, use_verify};

/* Use the replies; NULL, or the ERROR that this ended with. */
static const char *
use_replies(FuzzCorpus *corpus)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	const char *volatile message = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		SPI_connect();
		uses[fuzz_below(corpus, lengthof(uses))] (corpus);
		SPI_finish();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR || error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_OUT_OF_MEMORY ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		FlushErrorState();
		look_at_message(error);
		RollbackAndReleaseCurrentSubTransaction();
		message = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return message;
}

static long
peak_kb(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

/* The length of the last line, without what follows the end of it. */
static size_t
last_line(const char *input, size_t length)
{
	size_t		begin = length > 0 ? length - 1 : 0;

	while (begin > 0 && input[begin - 1] != '\n')
		begin--;
	return length - begin;
}

/* The next input, and how it is sent. */
static char *
offer(FuzzCorpus *corpus)
{
	bool		endless = fuzz_below(corpus, ENDLESS) == 0;
	char	   *input = endless && fuzz_below(corpus, 2) ? fuzz_element(corpus) : fuzz_next(corpus);
	FakeReply	reply = {.data = input,.length = corpus->length};

	if (fuzz_below(corpus, 4) == 0)
		reply.piece = 1 + fuzz_below(corpus, corpus->length / 4 + 1);
	if (endless)
		reply.again = last_line(input, corpus->length);
	reply.hang_up = fuzz_below(corpus, 16) == 0;
	fake_redis_offer(&reply);
	return input;
}

PG_FUNCTION_INFO_V1(fuzz_replies);

/* fuzz_replies(corpus bytea[], seed bigint, rounds int): how many were answers that could be used */
Datum
fuzz_replies(PG_FUNCTION_ARGS)
{
	FuzzCorpus *corpus = fuzz_open(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_INT64(1));
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	Size		kept = 0;
	int64		good = 0;

	emit_log_hook = look_at_message;
	fake_redis_start("reco_fuzz.socket");
	for (int round = PG_GETARG_INT32(2); round > 0; round--)
	{
		char	   *input = offer(corpus);
		const char *message = use_replies(corpus);

		if (!fake_redis_served())
			elog(ERROR, "Redis was not asked: %s", message ? message : "no error");
		good += message == NULL;
		free(input);
		MemoryContextReset(scratch);
		if (peak_kb() > MAX_PEAK_KB)
			elog(ERROR, "%ld kB of memory were used", peak_kb());
		if (kept == 0)
			kept = MemoryContextMemAllocated(TopMemoryContext, true);
		if (MemoryContextMemAllocated(TopMemoryContext, true) > kept + MAX_KEPT)
			elog(ERROR, "memory is not given back");
	}
	fake_redis_stop();
	emit_log_hook = NULL;
	MemoryContextSwitchTo(caller);
	fuzz_close(corpus);
	PG_RETURN_INT64(good);
}
