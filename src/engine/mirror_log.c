/*-------------------------------------------------------------------------
 *
 * mirror_log.c
 *	  Which products each version of the mirror has changed.
 *
 * A process that caches the mirror catches up with the changes, instead of
 * loading all of it.  Few versions are kept, and none that changes many
 * products: to load all is cheaper then.
 *
 * Runs under reco's lock, in the transaction of whoever changes the mirror or
 * reads it.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/spi.h"
#include "engine/mirror_log.h"
#include "engine/state.h"
#include "utils/array.h"

/* Versions that can be caught up with, and products that one may change. */
#define KEPT_VERSIONS 1000
#define MAX_CHANGES 1000

static RecoPlan write_plan = {
	"INSERT INTO reco.mirror_change SELECT $1, unnest($2)", 2, {INT8OID, INT4ARRAYOID}
};
static RecoPlan trim_plan = {
	"DELETE FROM reco.mirror_change WHERE version <= $1", 1, {INT8OID}
};
static RecoPlan read_plan = {
	"SELECT c.number, p.category, p.popularity, n.product_id,"
	" (SELECT count(DISTINCT version) FROM reco.mirror_change WHERE version > $1 AND version <= $2)"
	" FROM (SELECT DISTINCT number FROM reco.mirror_change WHERE version > $1) c"
	" LEFT JOIN reco.product_number n USING (number) LEFT JOIN reco.product p USING (product_id)",
	2, {INT8OID, INT8OID}
};

/* The version changes these products; too many are not kept: it cannot be caught up with. */
void
reco_changes_write(int64 version, const int32 *numbers, int n)
{
	Datum	   *elements;
	Datum		values[2] = {Int64GetDatum(version - KEPT_VERSIONS)};

	Assert(reco_state_is_locked());
	if (n > MAX_CHANGES)
		return;
	reco_sql_execute(&trim_plan, values, NULL);
	elements = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
		elements[i] = Int32GetDatum(numbers[i]);
	values[0] = Int64GetDatum(version);
	values[1] = PointerGetDatum(reco_array(elements, n, INT4OID));
	reco_sql_execute(&write_plan, values, NULL);
}

/*
 * The products that later versions have changed, as they are now: rows of SPI
 * (number, category or null, popularity, id), which the caller frees.  versions:
 * of how many versions up to one that is known; -1: more products than are read.
 */
int
reco_changes_read(int64 after, int64 upto, int64 *versions)
{
	Datum		values[2] = {Int64GetDatum(after), Int64GetDatum(upto)};
	uint64		count = reco_sql_query(&read_plan, values, NULL, MAX_CHANGES + 1);
	bool		null;

	*versions = 0;
	if (count > MAX_CHANGES)
		*versions = -1;
	else if (count > 0)
		*versions = DatumGetInt64(reco_sql_value(0, 5, &null));
	return (int) count;
}
