/*-------------------------------------------------------------------------
 *
 * mirror_log.c
 *	  What each version of the mirror has changed.
 *
 * A process that caches the mirror applies the changes instead of loading it
 * again.  reco.mirror_change names the products that a change of the catalog
 * wrote.  Only the latest versions are kept, and none that changed many
 * products, since it is cheaper to load all of them then.
 *
 * A new popularity changes the rank of nearly every product.
 * reco.product_order contains the whole order as two arrays, which take 6 ms
 * to read for 100,000 products; sorting the rows takes the executor 0.3 s.
 * It is written under the locks of popularity.c, before reco's lock is taken,
 * for the version that the new generation will begin.
 *
 * Everything else here is done under reco's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/spi.h"
#include "engine/mirror_log.h"
#include "utils/array.h"

/* Number of versions that are kept, and of products that one may change. */
#define KEPT_VERSIONS 1000
#define MAX_CHANGES 1000

static RecoPlan write_changes_plan = {
	"INSERT INTO reco.mirror_change SELECT $1, unnest($2)", 2, {INT8OID, INT4ARRAYOID}
};
static RecoPlan trim_changes_plan = {
	"DELETE FROM reco.mirror_change WHERE version <= $1", 1, {INT8OID}
};
static RecoPlan read_changes_plan = {
	"SELECT c.number, p.category, p.popularity, n.product_id,"
	" (SELECT count(DISTINCT version) FROM reco.mirror_change WHERE version > $1 AND version <= $2)"
	" FROM (SELECT DISTINCT number FROM reco.mirror_change WHERE version > $1) c"
	" LEFT JOIN reco.product_number n USING (number) LEFT JOIN reco.product p USING (product_id)",
	2, {INT8OID, INT8OID}
};
static RecoPlan delete_order_plan = {"DELETE FROM reco.product_order"};
static RecoPlan write_order_plan = {
	"INSERT INTO reco.product_order (version, numbers, popularity)"
	" SELECT $1, array_agg(number), array_agg(popularity) FROM ("
	" SELECT n.number, p.popularity FROM reco.product p JOIN reco.product_number n USING (product_id)"
	" WHERE p.category IS NOT NULL ORDER BY p.popularity DESC, p.product_id) o"
	" HAVING count(*) > 0",
	1, {INT8OID}
};
static RecoPlan read_order_plan = {
	"SELECT numbers, popularity FROM reco.product_order WHERE version > $1 AND version <= $2",
	2, {INT8OID, INT8OID}
};

/*
 * Record the products that a version changes; if they are too many, it is not
 * recorded, and caches are loaded again.
 */
void
reco_mirror_log_changes(RecoWrite *write, int64 version, const int32 *numbers, int n)
{
	Datum	   *elements;
	Datum		values[2] = {Int64GetDatum(version - KEPT_VERSIONS)};

	if (n > MAX_CHANGES)
		return;
	reco_sql_execute(&trim_changes_plan, values, NULL);
	elements = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
		elements[i] = Int32GetDatum(numbers[i]);
	values[0] = Int64GetDatum(version);
	values[1] = PointerGetDatum(reco_array(elements, n, INT4OID));
	reco_sql_execute(&write_changes_plan, values, NULL);
}

/*
 * Read the products that later versions have changed, as they are now: rows of
 * SPI (number, category or null, popularity, id), which the caller frees.
 * *versions is set to the number of recorded versions up to upto; -1 if too
 * many products have changed.
 */
int
reco_mirror_log_read_changes(int64 after, int64 upto, int64 *versions)
{
	Datum		values[2] = {Int64GetDatum(after), Int64GetDatum(upto)};
	uint64		count = reco_sql_query(&read_changes_plan, values, NULL, MAX_CHANGES + 1);
	bool		null;

	*versions = 0;
	if (count > MAX_CHANGES)
		*versions = -1;
	else if (count > 0)
		*versions = DatumGetInt64(reco_sql_value(0, 5, &null));
	return (int) count;
}

/* Record the present order of the products as that of a version of the mirror. */
void
reco_mirror_log_order(int64 version)
{
	Datum		values[1] = {Int64GetDatum(version)};

	reco_sql_execute(&delete_order_plan, NULL, NULL);
	reco_sql_execute(&write_order_plan, values, NULL);
}

/*
 * Read the order that began a version later than after, up to version; false
 * if none did, or if it is unknown.
 */
bool
reco_mirror_log_read_order(int64 after, int64 version, RecoOrder *order)
{
	Datum		values[2] = {Int64GetDatum(after), Int64GetDatum(version)};
	bool		found = reco_sql_query(&read_order_plan, values, NULL, 1) > 0;

	if (found)
	{
		bool		null;
		ArrayType  *numbers = DatumGetArrayTypePCopy(reco_sql_value(0, 1, &null));
		ArrayType  *popularity = DatumGetArrayTypePCopy(reco_sql_value(0, 2, &null));

		order->count = ArrayGetNItems(ARR_NDIM(numbers), ARR_DIMS(numbers));
		order->numbers = reco_array_elements(numbers, INT4OID, order->count);
		order->popularity = reco_array_elements(popularity, INT8OID, order->count);
		found = order->numbers != NULL && order->popularity != NULL;
	}
	SPI_freetuptable(SPI_tuptable);
	return found;
}
