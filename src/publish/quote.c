/*-------------------------------------------------------------------------
 *
 * quote.c
 *	  Lists as Redis holds them, from lists as rows hold them.
 *
 * Writes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "engine/lookup.h"
#include "lists/list_codec.h"
#include "publish/quote.h"
#include "publish/value.h"

static RecoList numbers;		/* of the list at hand */

/* Begin to read lists under a snapshot. */
void
reco_quote_begin(Snapshot snapshot)
{
	reco_lookup_begin(snapshot);
	reco_list_init(&numbers);
}

/* Append the value of a user whose row holds the list. */
void
reco_quote_list(StringInfo value, int64 user_id, Datum list)
{
	reco_list_unpack(&numbers, list);
	reco_format_list_begin(value, user_id);
	for (int i = 0; i < numbers.count; i++)
	{
		RecoText	id = reco_lookup_quoted(numbers.numbers[i]);

		if (i > 0)
			appendStringInfoCharMacro(value, ',');
		appendBinaryStringInfo(value, id.data, id.length);
	}
	reco_format_list_end(value);
}

void
reco_quote_end(void)
{
	reco_lookup_end();
	pfree(numbers.numbers);
}
