/*-------------------------------------------------------------------------
 *
 * quote.c
 *	  Lists as Redis holds them, from lists as rows hold them.
 *
 * A process keeps each product's id as the JSON string that it becomes, for
 * as long as lookup.c keeps the id.  Writes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "format.h"
#include "list.h"
#include "lookup.h"
#include "names.h"
#include "quote.h"
#include "utils/memutils.h"

static MemoryContext cache = NULL;
static RecoText *quoted = NULL; /* by number; data NULL: not cached */
static int32 size = 0;
static uint64 cached_epoch = 0; /* lookup.c's */
static RecoList numbers;

/* Begin to read lists under a snapshot. */
void
reco_quote_begin(Snapshot snapshot)
{
	reco_lookup_begin(snapshot);
	if (cached_epoch != reco_lookup_epoch())
	{
		if (cache == NULL)
			cache = AllocSetContextCreate(TopMemoryContext, "reco quoted products",
										  ALLOCSET_DEFAULT_SIZES);
		MemoryContextReset(cache);
		quoted = NULL;
		size = 0;
		cached_epoch = reco_lookup_epoch();
	}
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
	id = reco_lookup_product(number);
	initStringInfo(&string);
	reco_format_json_string(&string, VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
	if (!reco_lookup_is_lasting(number))
		return (RecoText) {string.data, string.len};
	make_room(number);
	quoted[number].data = memcpy(MemoryContextAlloc(cache, string.len), string.data, string.len);
	quoted[number].len = string.len;
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
	reco_lookup_end();
	pfree(numbers.numbers);
}
