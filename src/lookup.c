/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Products by their number, as a snapshot shows them.
 *
 * Read-only and without reco's lock: a row that holds a number and the
 * dictionary's row for it are always visible together.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "fmgr.h"
#include "lookup.h"
#include "utils/fmgroids.h"

static const RecoTableName by_number = {
	"product_number", 2, "product_number_number_key", 1, {F_INT4EQ}
};

/* Open the dictionary. */
RecoTable *
reco_lookup_open(Snapshot snapshot)
{
	return reco_table_open_read(&by_number, snapshot);
}

/* The product_id, good until the next look-up. */
text *
reco_lookup_product(RecoTable *dictionary, int32 number)
{
	Datum		key = Int32GetDatum(number);
	TupleTableSlot *row = reco_table_fetch(dictionary, &key);
	bool		null;

	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("product number %d is not in reco.product_number", number),
				 errhint("Run reco_rebuild().")));
	return DatumGetTextPP(slot_getattr(row, 1, &null));
}

void
reco_lookup_close(RecoTable *dictionary)
{
	reco_table_close(dictionary);
}
