/*-------------------------------------------------------------------------
 *
 * reclaim.c
 *	  Product numbers that nothing refers to any more.
 *
 * Events may name products that do not exist, a new one each: their numbers
 * are given free when neither the mirror nor a user's row nor a window's
 * counter refers to them, and used again.  A process may have them cached, so
 * the numbers' version is raised.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "product.h"
#include "reclaim.h"
#include "sql.h"
#include "state.h"
#include "user.h"
#include "utils/array.h"

/* Numbers of products outside of the catalog that are no reason to look. */
#define MIN_STRAY 10000

/* Numbers given free in one transaction. */
#define MAX_FREED 10000

static RecoPlan stray_plan = {
	"SELECT (SELECT count(*) FROM reco.product_number) - (SELECT count(*) FROM reco.product)"
};
static RecoPlan unused_plan = {
	"SELECT n.number FROM reco.product_number n"
	" WHERE NOT EXISTS (SELECT FROM reco.product p WHERE p.product_id = n.product_id)"
	" AND NOT EXISTS (SELECT FROM reco.window_count c WHERE c.number = n.number)"
};
static RecoPlan free_plan = {
	"WITH gone AS (DELETE FROM reco.product_number WHERE number = ANY ($1) RETURNING number)"
	" INSERT INTO reco.free_number SELECT number FROM gone", 1, {INT4ARRAYOID}
};

/* Numbers that may be given free, as flags by number. */
typedef struct Unused
{
	bool	   *flags;
	int32		size;
} Unused;

static void
mark_used(Unused *unused, int32 number)
{
	if (number >= 0 && number < unused->size)
		unused->flags[number] = false;
}

/* Take the numbers in a user's row out; a list of an older generation may hold any. */
static bool
visit(RecoUsers *users, TupleTableSlot *row, void *arg)
{
	const RecoRecent *recent = reco_user_views(users, row);
	const RecoList *list = reco_user_list(users, row);

	for (int i = 0; i < recent->count; i++)
		mark_used(arg, recent->views[i].number);
	for (int i = 0; i < list->count; i++)
		mark_used(arg, list->numbers[i]);
	return true;
}

/* Candidates: neither in the mirror nor counted in a window. */
static void
read_candidates(Unused *unused)
{
	uint64		count = reco_sql_query(&unused_plan, NULL, NULL, 0);
	bool		null;

	unused->size = 0;
	for (uint64 i = 0; i < count; i++)
		unused->size = Max(unused->size, DatumGetInt32(reco_sql_value(i, 1, &null)) + 1);
	unused->flags = palloc0(Max(1, unused->size));
	for (uint64 i = 0; i < count; i++)
		unused->flags[DatumGetInt32(reco_sql_value(i, 1, &null))] = true;
	SPI_freetuptable(SPI_tuptable);
}

static void
free_numbers(RecoState *state)
{
	RecoUsers  *users = reco_user_open(state);
	BlockNumber blocks = reco_user_blocks(users);
	Datum	   *numbers = palloc(MAX_FREED * sizeof(Datum));
	Datum		values[1];
	Unused		unused;
	int			n = 0;

	read_candidates(&unused);
	if (blocks > 0)
		reco_user_scan(users, 0, blocks, visit, &unused);
	reco_user_close(users);
	for (int32 i = 0; i < unused.size && n < MAX_FREED; i++)
		if (unused.flags[i])
			numbers[n++] = Int32GetDatum(i);
	if (n == 0)
		return;
	values[0] = PointerGetDatum(construct_array(numbers, n, INT4OID, 4, true, TYPALIGN_INT));
	reco_sql_execute(&free_plan, values, NULL);
	reco_product_numbers_changed(state);
	reco_state_write(state);
}

static int64
count_stray(void)
{
	bool		null;
	int64		stray;

	reco_sql_query(&stray_plan, NULL, NULL, 1);
	stray = DatumGetInt64(reco_sql_value(0, 1, &null));
	SPI_freetuptable(SPI_tuptable);
	return stray;
}

void
reco_reclaim_step(void)
{
	static int64 looked_at = 0; /* the generation */
	RecoState	state;

	reco_sql_begin();
	if (reco_state_peek(&state) && state.generation != looked_at)
	{
		looked_at = state.generation;
		if (count_stray() > MIN_STRAY)
		{
			reco_state_lock();
			reco_state_read(&state);
			reco_product_sync(&state);
			free_numbers(&state);
		}
	}
	reco_sql_commit();
}

PG_FUNCTION_INFO_V1(reco_reclaim);

/* reco.reclaim(): the same, at once and however few they are. */
Datum
reco_reclaim(PG_FUNCTION_ARGS)
{
	RecoState	state;

	SPI_connect();
	reco_state_lock();
	reco_state_read(&state);
	reco_product_sync(&state);
	free_numbers(&state);
	SPI_finish();
	PG_RETURN_VOID();
}
