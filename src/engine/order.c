/*-------------------------------------------------------------------------
 *
 * order.c
 *	  The order of all products, by the popularity that was taken last.
 *
 * A popularity changes each product, so each process that computes lists needs
 * all of them anew, under reco's lock.  Rows, sorted by the executor, take
 * 0.3 s for 100,000 products; two arrays that whoever takes the popularity
 * leaves in reco.product_order take 6 ms.
 *
 * Who writes takes the popularity, and is alone in that; who reads holds
 * reco's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/spi.h"
#include "engine/order.h"

static RecoPlan delete_plan = {"DELETE FROM reco.product_order"};
static RecoPlan insert_plan = {
	"INSERT INTO reco.product_order (version, numbers, popularity)"
	" SELECT $1, array_agg(number), array_agg(popularity) FROM ("
	" SELECT n.number, p.popularity FROM reco.product p JOIN reco.product_number n USING (product_id)"
	" WHERE p.category IS NOT NULL ORDER BY p.popularity DESC, p.product_id) o"
	" HAVING count(*) > 0",
	1, {INT8OID}
};
static RecoPlan read_plan = {
	"SELECT numbers, popularity FROM reco.product_order WHERE version > $1 AND version <= $2",
	2, {INT8OID, INT8OID}
};

/* Keep the order of the products as they are now: it makes this version of the mirror. */
void
reco_order_write(int64 version)
{
	Datum		values[1] = {Int64GetDatum(version)};

	reco_sql_execute(&delete_plan, NULL, NULL);
	reco_sql_execute(&insert_plan, values, NULL);
}

/*
 * The order that made a version later than after, and not later than version;
 * false: none did, or it is not known.
 */
bool
reco_order_read(int64 after, int64 version, RecoOrder *order)
{
	Datum		values[2] = {Int64GetDatum(after), Int64GetDatum(version)};
	bool		found = reco_sql_query(&read_plan, values, NULL, 1) > 0;

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
