/*-------------------------------------------------------------------------
 *
 * comparison.c
 *	  Comparison of the sink's keys with their rows.
 *
 * A key mismatches if it has another type or value, if it does not expire or
 * will expire before its row does, or if it is reco's and has no row.  All
 * memory is allocated in the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/slice.h"
#include "common/spi.h"
#include "common/text_clean.h"
#include "lists/view_history.h"
#include "mb/pg_wchar.h"
#include "publish/comparison.h"
#include "publish/value.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Tolerance for TTLs, in seconds: they are rounded, and the clock moves once a second. */
#define LIFE_SLACK 3

/* Bytes of a value that are shown. */
#define SHOWN_BYTES 8192

/* What a key should be, by its row. */
typedef struct Expected
{
	int64		id;
	RecoSlice	value;			/* UTF-8; data NULL: no row */
	int64		life;			/* seconds until the row may be gone */
} Expected;

typedef struct Comparison
{
	bool		windows;
	Expected   *expected;
	List	   *mismatches;		/* of RecoKeyMismatch */
	MemoryContext memory;
} Comparison;

static RecoPlan user_plan = {
	"SELECT user_id, list, recent FROM reco.user_state"
	" WHERE user_id = ANY ($1) AND list IS NOT NULL ORDER BY user_id",
	1, {INT8ARRAYOID}
};

static RecoPlan window_plan = {
	"SELECT product_id, view_count FROM reco.trending_products WHERE window_start = $1",
	1, {TIMESTAMPTZOID}
};

static bool
comparison_equal(RecoSlice left, RecoSlice right)
{
	return left.length == right.length && memcmp(left.data, right.data, left.length) == 0;
}

/* Seconds until the clock reaches a moment. */
static int64
comparison_seconds_until(const RecoState *state, TimestampTz at)
{
	return (at - state->clock) / USECS_PER_SEC;
}

/* Fill in what users' keys should be; the ids are sorted. */
static void
comparison_expect_users(Expected *expected, const RecoState *state, const int64 *ids, int count)
{
	Datum		values[] = {PointerGetDatum(reco_ids_array(ids, count))};
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	SPITupleTable *rows;

	reco_value_begin(snapshot);
	reco_sql_query_at(&user_plan, values, snapshot);
	rows = SPI_tuptable;
	for (uint64 row = 0; row < rows->numvals; row++)
	{
		bool		null;
		int64		user = DatumGetInt64(SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &null));
		Datum		recent_views = SPI_getbinval(rows->vals[row], rows->tupdesc, 3, &null);
		StringInfoData text;
		RecoHistory recent;

		while (expected->id != user)
			expected++;
		initStringInfo(&text);
		reco_value_append_list(&text, user, SPI_getbinval(rows->vals[row], rows->tupdesc, 2, &null));
		expected->value = (RecoSlice) {text.data, text.len};

		reco_history_init(&recent);
		reco_history_unpack(&recent, DatumGetByteaPP(recent_views));
		if (recent.count > 0)
			expected->life = comparison_seconds_until(state, state->recent_window * USECS_PER_SEC +
													  reco_state_moment(recent.views[recent.count - 1].second));
	}
	SPI_freetuptable(rows);
	reco_value_end();
	UnregisterSnapshot(snapshot);
}

/* Fill in what a window's key should be. */
static void
comparison_expect_window(Expected *expected, const RecoState *state)
{
	Datum		values[] = {TimestampTzGetDatum(expected->id)};
	int			rows = (int) reco_sql_query(&window_plan, values, NULL, 0);
	RecoSlice  *fields = palloc(sizeof(RecoSlice) * Max(rows, 1));

	for (int row = 0; row < rows; row++)
	{
		bool		null;
		text	   *product = DatumGetTextPP(reco_sql_value(row, 1, &null));
		StringInfoData field;

		initStringInfo(&field);
		reco_value_append_product(&field, (RecoSlice) {VARDATA_ANY(product), VARSIZE_ANY_EXHDR(product)});
		appendStringInfo(&field, " " INT64_FORMAT, DatumGetInt64(reco_sql_value(row, 2, &null)));
		fields[row] = (RecoSlice) {field.data, field.len};
	}
	SPI_freetuptable(SPI_tuptable);
	if (rows > 0)
		expected->value = reco_value_join(fields, rows);
	expected->life = comparison_seconds_until(state, expected->id +
											  (state->trending_window + state->retention) * USECS_PER_SEC);
}

/* Convert UTF-8 to the database's encoding; NULL if that lacks a character. */
static char *
comparison_from_utf8(RecoSlice utf8)
{
	int			encoding = GetDatabaseEncoding();
	Oid			conversion;
	Size		size = utf8.length * MAX_CONVERSION_GROWTH + 1;
	char	   *text;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return pnstrdup(utf8.data, utf8.length);
	conversion = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(conversion))
		return NULL;
	text = palloc0(size);
	if (pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding, (unsigned char *) utf8.data, utf8.length,
									  (unsigned char *) text, size, true) < utf8.length)
		return NULL;
	return text;
}

/* The sink's bytes as text in the database's encoding, or else in hex. */
static char *
comparison_as_text(RecoSlice bytes)
{
	RecoSlice	shown = {bytes.data, Min(bytes.length, SHOWN_BYTES)};
	char	   *text = NULL;

	if (pg_verify_mbstr(PG_UTF8, bytes.data, bytes.length, true))
	{
		shown.length = pg_encoding_mbcliplen(PG_UTF8, bytes.data, bytes.length, shown.length);
		text = comparison_from_utf8(shown);
	}
	if (text == NULL)
	{
		text = palloc(shown.length * 2 + 3);
		strcpy(text, "\\x");
		text[2 + hex_encode(shown.data, shown.length, text + 2)] = '\0';
	}
	return shown.length < bytes.length ? psprintf("%s... (%d bytes)", text, bytes.length) : text;
}

static RecoKeyMismatch *
comparison_make_mismatch(const Expected *expected, const RecoSinkValue *found)
{
	RecoKeyMismatch *mismatch = palloc0(sizeof(RecoKeyMismatch));

	mismatch->id = expected->id;
	mismatch->key = comparison_as_text(found->key);
	if (expected->value.data != NULL)
		mismatch->expected = comparison_as_text(expected->value);
	if (found->value.data != NULL)
		mismatch->found = comparison_as_text(found->value);
	return mismatch;
}

/* Check a key that should exist; NULL if it matches. */
static RecoKeyMismatch *
comparison_check_expected(const Expected *expected, const RecoSinkValue *found)
{
	bool		same = found->value.data != NULL && comparison_equal(expected->value, found->value);
	RecoKeyMismatch *mismatch;

	if (same && found->ttl >= expected->life - LIFE_SLACK && found->ttl >= 0)
		return NULL;
	mismatch = comparison_make_mismatch(expected, found);
	if (!found->right_type && found->type != NULL)
		mismatch->found = psprintf("a value of type %s", found->type);
	else if (same)
	{
		mismatch->expected = psprintf("expires after " INT64_FORMAT " s or later", expected->life);
		mismatch->found = found->ttl < 0 ? pstrdup("does not expire") :
			psprintf("expires after " INT64_FORMAT " s", found->ttl);
	}
	return mismatch;
}

/* RecoSinkHandler: check a key, and keep a mismatch. */
static void
comparison_check(void *arg, int n, const RecoSinkValue *found)
{
	Comparison *c = arg;
	const Expected *expected = &c->expected[n];
	MemoryContext caller = MemoryContextSwitchTo(c->memory);
	RecoKeyMismatch *mismatch = NULL;

	if (expected->value.data != NULL)
		mismatch = comparison_check_expected(expected, found);
	else if (found->value.data != NULL &&
			 (c->windows || reco_value_is_list(found->value.data, found->value.length, expected->id)))
		mismatch = comparison_make_mismatch(expected, found);
	if (mismatch != NULL)
		c->mismatches = lappend(c->mismatches, mismatch);
	MemoryContextSwitchTo(caller);
}

/* See the header. */
List *
reco_comparison_run(RecoSinkLink *link, bool windows, const RecoState *state, const int64 *ids, int count,
					bool (*settle) (void))
{
	Comparison	c = {windows, palloc0(sizeof(Expected) * Max(count, 1)), NIL, CurrentMemoryContext};

	for (int i = 0; i < count; i++)
	{
		c.expected[i].id = ids[i];
		if (windows)
			comparison_expect_window(&c.expected[i], state);
	}
	if (!windows)
		comparison_expect_users(c.expected, state, ids, count);
	if (settle != NULL)
		(void) settle();
	reco_sink->fetch(link, windows, ids, count, comparison_check, &c);
	return c.mismatches;
}
