/*-------------------------------------------------------------------------
 *
 * orphan_keys.c
 *	  Orphans: the sink's keys that have no row any more.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/spi.h"
#include "publish/orphan_keys.h"

static RecoPlan users_plan = {
	"SELECT user_id FROM reco.user_state"
	" WHERE user_id = ANY ($1) AND list IS NOT NULL ORDER BY user_id",
	1, {INT8ARRAYOID}
};

/* Windows are passed as TimestampTz, in microseconds since 2000. */
static RecoPlan windows_plan = {
	"SELECT i FROM unnest($1) i WHERE EXISTS (SELECT FROM reco.window_top t"
	" WHERE t.window_start = '2000-01-01+00'::timestamptz + i * interval '1 microsecond') ORDER BY i",
	1, {INT8ARRAYOID}
};

/* See the header. */
void
reco_orphan_keys_filter(bool of_windows, RecoIds *ids)
{
	Datum		values[] = {PointerGetDatum(reco_ids_array(ids->ids, ids->count))};
	uint64		rows = reco_sql_query(of_windows ? &windows_plan : &users_plan, values, NULL, 0);
	uint64		row = 0;
	int			kept = 0;

	for (int i = 0; i < ids->count; i++)
	{
		bool		null;

		if (row < rows && DatumGetInt64(reco_sql_value(row, 1, &null)) == ids->ids[i])
			row++;
		else
			ids->ids[kept++] = ids->ids[i];
	}
	ids->count = kept;
	SPI_freetuptable(SPI_tuptable);
}
