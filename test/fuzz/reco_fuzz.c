/*-------------------------------------------------------------------------
 *
 * reco_fuzz.c
 *	  Mutated bytes through reco's own parsers, within a real server.
 *
 * Each function takes a corpus and a seed, and for a number of rounds mutates
 * one element of the corpus and hands it to the code that foreign bytes
 * reach.  What it gets stands in malloc'd memory of exactly its size, so that
 * an address sanitizer sees each byte read beyond it.  What comes back is
 * held against PostgreSQL's own parsers; an ERROR ends the run where the code
 * promises none.
 *
 * The last input is written to a file before it is tried: a crash leaves it
 * behind.  Nothing here is installed with reco.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include <sys/mman.h>
#include <fcntl.h>
#include <unistd.h>

#include "catalog/pg_type.h"
#include "common/guc.h"
#include "common/jsonapi.h"
#include "common/redis_url.h"
#include "fmgr.h"
#include "kafka/consumer_config.h"
#include "kafka/event_parser.h"
#include "lists/list_codec.h"
#include "lists/view_history.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "reco_fuzz.h"
#include "redis/login.h"
#include "trending/counter_bucket.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_MODULE_MAGIC;

/* Words that mean something to one of the parsers. */
static const char *const words[] = {
	"\"", "\\", "\\u0000", "\\ud83d", "\\ude00", "{", "}", "[", "]", ":", ",", "null", "true",
	"-", "0", "9223372036854775807", "-9223372036854775808", "1e400", "1E-5", "0.1", "\n", "\r\n", "=", "#",
	"\"event_type\"", "\"user_id\"", "\"product_id\"", "\"query\"", "\"timestamp\"", "page_view", "search",
	"2024-07-27T10:00:00Z", "+14:00", "T", ".999999999", "1722074400000", "\xf0\x9f\x98\x80", "\xff", "\xc0\x80",
	"*-1\r\n", "$-1\r\n", "*100000000\r\n", "$100000000\r\n", "$0\r\n\r\n", ":-1\r\n", "+OK\r\n", "-ERR \xff\xfe\x1b[31m", "%1\r\n",
	">2\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(12345678901234567890\r\n", "=15\r\ntxt:", "~3\r\n", "|1\r\n", "!5\r\nERR x\r\n", "*?\r\n", "$?\r\n",
	"redis://", "unix://", "@", "/", "%00", "%2", "?db=", "[::1]", "sasl.password", "bootstrap.servers"
};

/* Open the corpus; begins with the seed. */
FuzzCorpus *
fuzz_open(ArrayType *array, int64 seed)
{
	FuzzCorpus *corpus = palloc0(sizeof(FuzzCorpus));
	int			file = open("reco_fuzz.input", O_RDWR | O_CREAT, 0600);

	if (file < 0 || ftruncate(file, FUZZ_INPUT_BYTES + sizeof(Size)) != 0)
		elog(ERROR, "could not create file \"reco_fuzz.input\": %m");
	corpus->input = mmap(NULL, FUZZ_INPUT_BYTES + sizeof(Size), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (corpus->input == MAP_FAILED)
		elog(ERROR, "could not map file \"reco_fuzz.input\": %m");
	close(file);
	deconstruct_array(array, BYTEAOID, -1, false, TYPALIGN_INT, &corpus->elements, NULL, &corpus->count);
	if (corpus->count == 0)
		elog(ERROR, "the corpus is empty");
	pg_prng_seed(&corpus->random, (uint64) seed);
	return corpus;
}

void
fuzz_close(FuzzCorpus *corpus)
{
	munmap(corpus->input, FUZZ_INPUT_BYTES + sizeof(Size));
}

Size
fuzz_below(FuzzCorpus *corpus, Size limit)
{
	return limit == 0 ? 0 : pg_prng_uint64_range(&corpus->random, 0, limit - 1);
}

/* Put bytes in at a place, as far as there is room. */
static void
fuzz_insert(FuzzCorpus *corpus, Size at, const char *data, Size length)
{
	length = Min(length, FUZZ_INPUT_BYTES - corpus->length);
	memmove(corpus->input + at + length, corpus->input + at, corpus->length - at);
	memcpy(corpus->input + at, data, length);
	corpus->length += length;
}

static void
fuzz_take_element(FuzzCorpus *corpus, Size n)
{
	bytea	   *element = DatumGetByteaPP(corpus->elements[n]);

	corpus->length = Min(VARSIZE_ANY_EXHDR(element), FUZZ_INPUT_BYTES);
	memcpy(corpus->input, VARDATA_ANY(element), corpus->length);
}

/* One change of the input. */
static void
fuzz_mutate(FuzzCorpus *corpus)
{
	Size		at = fuzz_below(corpus, corpus->length + 1);
	Size		left = corpus->length - at;
	const char *word = words[fuzz_below(corpus, lengthof(words))];
	char		copy[64];
	Size		some = 1 + fuzz_below(corpus, sizeof(copy));

	switch (fuzz_below(corpus, 8))
	{
		case 0:					/* a bit */
			if (left > 0)
				corpus->input[at] ^= 1 << fuzz_below(corpus, 8);
			break;
		case 1:					/* a byte */
			if (left > 0)
				corpus->input[at] = (char) fuzz_below(corpus, 256);
			break;
		case 2:					/* bytes less */
			left = Min(left, some);
			memmove(corpus->input + at, corpus->input + at + left, corpus->length - at - left);
			corpus->length -= left;
			break;
		case 3:					/* cut off */
			if (fuzz_below(corpus, 4) == 0)
				corpus->length = at;
			break;
		case 4:					/* the same again */
			left = Min(left, some);
			memcpy(copy, corpus->input + at, left);
			for (Size n = 1 + fuzz_below(corpus, fuzz_below(corpus, 64) == 0 ? 2000 : 4); n > 0; n--)
				fuzz_insert(corpus, at, copy, left);
			break;
		case 5:					/* part of another one */
			{
				bytea	   *other = DatumGetByteaPP(corpus->elements[fuzz_below(corpus, corpus->count)]);
				Size		from = fuzz_below(corpus, VARSIZE_ANY_EXHDR(other) + 1);

				fuzz_insert(corpus, at, VARDATA_ANY(other) + from,
							fuzz_below(corpus, VARSIZE_ANY_EXHDR(other) - from + 1));
				break;
			}
		default:
			fuzz_insert(corpus, at, word, strlen(word));
	}
}

/* What was made, in memory of its size alone. */
static char *
fuzz_made(FuzzCorpus *corpus)
{
	char	   *copy = malloc(Max(corpus->length, 1));

	memcpy(corpus->input + FUZZ_INPUT_BYTES, &corpus->length, sizeof(Size));
	if (copy == NULL)
		elog(ERROR, "out of memory");
	memcpy(copy, corpus->input, corpus->length);
	return copy;
}

/* An element as it is; the caller frees it. */
char *
fuzz_element(FuzzCorpus *corpus)
{
	CHECK_FOR_INTERRUPTS();
	fuzz_take_element(corpus, fuzz_below(corpus, corpus->count));
	return fuzz_made(corpus);
}

/* The next input, likewise; a round in 16 is an element as it is. */
char *
fuzz_next(FuzzCorpus *corpus)
{
	CHECK_FOR_INTERRUPTS();
	fuzz_take_element(corpus, fuzz_below(corpus, corpus->count));
	for (Size n = fuzz_below(corpus, 16); n > 0; n--)
		fuzz_mutate(corpus);
	return fuzz_made(corpus);
}

static void
fuzz_check_text(const char *what, RecoSlice text, Size min, Size max)
{
	if (text.data == NULL)
		return;
	if (text.length < min || text.length > max || memchr(text.data, '\0', text.length) != NULL ||
		!pg_verify_mbstr(PG_UTF8, text.data, text.length, true))
		elog(ERROR, "accepted an event whose %s is no good", what);
}

/* Does PostgreSQL's own parser take this for a JSON document? */
static bool
fuzz_is_json(const char *data, Size length)
{
	JsonLexContext *lex = makeJsonLexContextCstringLen(unconstify(char *, data), length, PG_UTF8, false);

	return pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS;
}

PG_FUNCTION_INFO_V1(fuzz_messages);

/* fuzz_messages(corpus bytea[], seed bigint, rounds int): how many were accepted */
Datum
fuzz_messages(PG_FUNCTION_ARGS)
{
	FuzzCorpus *corpus = fuzz_open(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_INT64(1));
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	int64		accepted = 0;

	for (int round = PG_GETARG_INT32(2); round > 0; round--)
	{
		char	   *input = fuzz_next(corpus);
		RecoEvent	event;
		const char *reason = reco_event_parse(input, corpus->length, GetCurrentTimestamp(), &event);

		if (reason == NULL)
		{
			accepted++;
			if (!fuzz_is_json(input, corpus->length))
				elog(ERROR, "accepted a message that is no JSON");
			fuzz_check_text("event_type", event.event_type, 1, RECO_EVENT_TYPE_MAX);
			fuzz_check_text("product_id", event.product_id, 1, RECO_PRODUCT_ID_MAX);
			fuzz_check_text("query", event.query, 0, FUZZ_INPUT_BYTES);
			if (!IS_VALID_TIMESTAMP(event.timestamp))
				elog(ERROR, "accepted a timestamp that is none");
		}
		else if (strcmp(reason, "invalid JSON") == 0 && corpus->length < 1000 &&
				 fuzz_is_json(input, corpus->length))
			elog(ERROR, "refused a message that is JSON");
		else
			fuzz_check_text("reason", (RecoSlice) {reason, strlen(reason)}, 1, 200);
		free(input);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(caller);
	fuzz_close(corpus);
	PG_RETURN_INT64(accepted);
}

/* A packed value of reco's tables, unpacked, and packed again where it was good. */
static void
fuzz_unpack(bytea *packed)
{
	RecoHistory	recent;
	RecoCounterBucket	counts;
	RecoList	list;

	if (VARSIZE_ANY_EXHDR(packed) % 4 == 0 && VARSIZE_ANY_EXHDR(packed) > 0 &&
		VARSIZE_ANY_EXHDR(packed) % RECO_BUCKET_SIZE == 0)
	{
		reco_counter_bucket_unpack(&counts, PointerGetDatum(packed));
		reco_counter_bucket_pack(&counts);
	}
	reco_history_init(&recent);
	reco_history_unpack(&recent, packed);
	for (int i = 1; i < recent.count; i++)
		if (recent.views[i].second < recent.views[i - 1].second)
			elog(PANIC, "views are not in order");
	reco_history_pack(&recent);
	reco_list_init(&list);
	for (int i = 0; i < recent.count; i++)
		reco_list_append(&list, recent.views[i].number);
	reco_list_unpack(&list, PointerGetDatum(reco_list_pack(&list)));
}

PG_FUNCTION_INFO_V1(fuzz_packed);

/* fuzz_packed(corpus bytea[], seed bigint, rounds int): how many were good */
Datum
fuzz_packed(PG_FUNCTION_ARGS)
{
	FuzzCorpus *corpus = fuzz_open(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_INT64(1));
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	volatile int64 good = 0;

	for (volatile int round = PG_GETARG_INT32(2); round > 0; round--)
	{
		char	   *input = fuzz_next(corpus);
		bytea	   *packed = malloc(VARHDRSZ + corpus->length);

		if (packed == NULL)
			elog(ERROR, "out of memory");
		SET_VARSIZE(packed, VARHDRSZ + corpus->length);
		memcpy(VARDATA(packed), input, corpus->length);
		PG_TRY();
		{
			fuzz_unpack(packed);
			good++;
		}
		PG_CATCH();
		{
			/* memory only: nothing else is to be cleaned up */
			if (geterrcode() != ERRCODE_DATA_CORRUPTED)
				PG_RE_THROW();
			FlushErrorState();
		}
		PG_END_TRY();
		free(packed);
		free(input);
		MemoryContextSwitchTo(scratch);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(caller);
	fuzz_close(corpus);
	PG_RETURN_INT64(good);
}

static void
fuzz_write_file(const char *path, const char *data, Size length)
{
	int			file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (file < 0 || write(file, data, length) != length)
		elog(ERROR, "could not write file \"%s\": %m", path);
	close(file);
}

PG_FUNCTION_INFO_V1(fuzz_configs);

/* fuzz_configs(corpus bytea[], seed bigint, rounds int): how many were good files of librdkafka's settings */
Datum
fuzz_configs(PG_FUNCTION_ARGS)
{
	FuzzCorpus *corpus = fuzz_open(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_INT64(1));
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	volatile int64 good = 0;

	for (volatile int round = PG_GETARG_INT32(2); round > 0; round--)
	{
		char	   *input = fuzz_next(corpus);
		char	   *line = pnstrdup(input, strnlen(input, corpus->length));
		List	   *settings;
		RecoRedisUrl url;
		const char *hint = NULL;
		const char *wrong;

		fuzz_write_file("reco_fuzz.conf", input, corpus->length);
		if (reco_consumer_config_read("127.0.0.1:9", "reco_fuzz.conf", &settings) == NULL)
			good++;
		wrong = reco_redis_url_parse(line, &url, &hint);
		if (wrong == NULL && url.host == NULL && url.path == NULL)
			elog(ERROR, "accepted a Redis URL that names nothing");
		set_config_option("reco.catalog_columns", line, PGC_SIGHUP, PGC_S_FILE, GUC_ACTION_SET, false, WARNING, false);
		PG_TRY();
		{
			reco_redis_read_password("reco_fuzz.conf");
		}
		PG_CATCH();
		{
			if (geterrcode() != ERRCODE_CONFIG_FILE_ERROR)
				PG_RE_THROW();
			FlushErrorState();
		}
		PG_END_TRY();
		free(input);
		MemoryContextSwitchTo(scratch);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(caller);
	fuzz_close(corpus);
	PG_RETURN_INT64(good);
}
