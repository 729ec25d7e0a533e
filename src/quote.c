/*-------------------------------------------------------------------------
 *
 * quote.c
 *	  Lists as Redis holds them, from lists as rows hold them.
 *
 * A process that formats lists keeps each product's id as the JSON string
 * that it becomes, by the product's number.  That is good while no number was
 * given free, which reco.state tells: it is looked at under the snapshot that
 * shows the lists, so neither reco's lock nor the newest state is needed.
 *
 * Writes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "format.h"
#include "list.h"
#include "lookup.h"
#include "number.h"
#include "quote.h"
#include "sql.h"
#include "utils/memutils.h"

/* Made-up ids must not fill a process's memory: start again beyond this. */
#define MAX_CACHED 2000000

static MemoryContext cache = NULL;
static RecoText *quoted = NULL; /* by number; data NULL: not cached */
static int32 size = 0;
static int32 cached = 0;
static Oid	cached_table = InvalidOid;	/* differs after DROP and CREATE EXTENSION */
static int64 cached_version = 0;
static uint64 cached_epoch = 0; /* changes when numbers that we made are rolled back */

static Snapshot reading = NULL;
static RecoTable *dictionary = NULL;	/* opened when it is asked for */
static RecoList numbers;

static RecoPlan version_plan = {"SELECT numbers_version FROM reco.state LIMIT 1"};

static void
forget(void)
{
	if (cache == NULL)
		cache = AllocSetContextCreate(TopMemoryContext, "reco quoted products",
									  ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(cache);
	quoted = NULL;
	size = cached = 0;
}

/* Begin to read lists under a snapshot. */
void
reco_quote_begin(Snapshot snapshot)
{
	Oid			table = reco_sql_table("product_number");
	int64		version = 0;
	bool		null;

	if (reco_sql_query_at(&version_plan, NULL, snapshot) > 0)
		version = DatumGetInt64(reco_sql_value(0, 1, &null));
	SPI_freetuptable(SPI_tuptable);
	if (cache == NULL || cached_table != table || cached_version != version ||
		cached_epoch != reco_number_epoch() || cached > MAX_CACHED)
		forget();
	cached_table = table;
	cached_version = version;
	cached_epoch = reco_number_epoch();
	reading = snapshot;
	dictionary = NULL;
	reco_list_init(&numbers);
}

static void
make_room(int32 number)
{
	int32		wanted = Max(number + 1, Max(1024, size * 2));

	if (number < size)
		return;
	quoted = quoted == NULL ? MemoryContextAllocHuge(cache, wanted * sizeof(RecoText)) :
		repalloc_huge(quoted, wanted * sizeof(RecoText));
	memset(quoted + size, 0, (wanted - size) * sizeof(RecoText));
	size = wanted;
}

/* A product's id as a JSON string. */
static RecoText
quote(int32 number)
{
	text	   *id;
	StringInfoData string;

	if (number >= 0 && number < size && quoted[number].data != NULL)
		return quoted[number];
	if (dictionary == NULL)
		dictionary = reco_lookup_open(reading);
	id = reco_lookup_product(dictionary, number);
	make_room(number);
	initStringInfo(&string);
	reco_format_json_string(&string, VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
	quoted[number].data = memcpy(MemoryContextAlloc(cache, string.len), string.data, string.len);
	quoted[number].len = string.len;
	cached++;
	pfree(string.data);
	return quoted[number];
}

/* Append the value of a user whose row holds the list. */
void
reco_quote_list(StringInfo value, int64 user_id, Datum list)
{
	reco_list_unpack(&numbers, list);
	reco_format_list_begin(value, user_id);
	for (int i = 0; i < numbers.count; i++)
	{
		RecoText	id = quote(numbers.numbers[i]);

		if (i > 0)
			appendStringInfoCharMacro(value, ',');
		appendBinaryStringInfo(value, id.data, id.len);
	}
	reco_format_list_end(value);
}

void
reco_quote_end(void)
{
	if (dictionary != NULL)
		reco_lookup_close(dictionary);
	dictionary = NULL;
	pfree(numbers.numbers);
}
