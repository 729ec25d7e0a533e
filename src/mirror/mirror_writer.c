/*-------------------------------------------------------------------------
 *
 * mirror_writer.c
 *	  Writing the delta of catalog and mirror to the mirror.
 *
 * The rows come from a tuplestore, which spills to disk.  The invalidation of
 * a step is planned first (invalidation.c), in transactions of its own; then
 * one transaction writes reco.product and computes the stale lists.
 *
 * That transaction locks reco.product before reco's lock, as popularity.c
 * does.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "engine/product_table.h"
#include "engine/write.h"
#include "lists/invalidation.h"
#include "mirror/mirror_writer.h"
#include "miscadmin.h"
#include "shmem/metrics.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Interval at which skipped keys are reported, in ms. */
#define SKIPPED_INTERVAL 60000

/* Initial size of the array of rows. */
#define FIRST_ROOM 64

typedef struct DeltaRow
{
	RecoDeltaKind kind;
	Datum		id;
	NullableDatum category;
} DeltaRow;

/* The rows written by one transaction. */
typedef struct DeltaStep
{
	DeltaRow   *rows;
	int			count;
	int			room;
	int			skipped;
	const char *example;		/* a key that was skipped */
} DeltaStep;

/* Create an empty delta. */
RecoMirrorDelta *
reco_mirror_delta_create(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "reco mirror delta",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	RecoMirrorDelta *delta = palloc(sizeof(RecoMirrorDelta));
	TupleDesc	desc = CreateTemplateTupleDesc(3);

	TupleDescInitBuiltinEntry(desc, 1, "kind", TEXTOID, -1, 0);
	TupleDescInitBuiltinEntry(desc, 2, "product_id", TEXTOID, -1, 0);
	TupleDescInitBuiltinEntry(desc, 3, "category", TEXTOID, -1, 0);
	delta->context = context;
	delta->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	delta->rows = tuplestore_begin_heap(false, true, work_mem);
	MemoryContextSwitchTo(caller);
	return delta;
}

void
reco_mirror_delta_free(RecoMirrorDelta *delta)
{
	tuplestore_end(delta->rows);
	MemoryContextDelete(delta->context);
}

/* Warn of keys that cannot be product IDs, at intervals. */
static void
delta_report_skipped(const char *catalog, int count, const char *example)
{
	static RecoMoment due = 0;

	if (!reco_monotonic_is_due(&due, SKIPPED_INTERVAL))
		return;
	ereport(WARNING,
			(errmsg("products of catalog table %s are skipped because their key is empty or longer than 512 bytes",
					catalog),
			 errdetail("The last comparison found %d, among them \"%.60s\".", count, example)));
}

/* Copy a text of the current row. */
static NullableDatum
delta_copy_text(TupleTableSlot *slot, int column)
{
	NullableDatum copy;

	copy.value = slot_getattr(slot, column, &copy.isnull);
	if (!copy.isnull)
		copy.value = PointerGetDatum(PG_DETOAST_DATUM_COPY(copy.value));
	return copy;
}

/* Add the current row. */
static void
delta_step_add(DeltaStep *step, TupleTableSlot *slot)
{
	DeltaRow	row;
	bool		null;

	row.kind = *VARDATA_ANY(DatumGetTextPP(slot_getattr(slot, 1, &null)));
	row.id = delta_copy_text(slot, 2).value;
	if (row.kind == RECO_DELTA_SKIPPED)
	{
		if (step->skipped++ == 0)
			step->example = TextDatumGetCString(row.id);
		return;
	}
	row.category = delta_copy_text(slot, 3);
	if (step->count == step->room)
	{
		step->room *= 2;
		step->rows = repalloc_huge(step->rows, step->room * sizeof(DeltaRow));
	}
	step->rows[step->count++] = row;
}

/* Read the next rows, at most limit (0: all); true if there may be more. */
static bool
delta_step_read(DeltaStep *step, RecoMirrorDelta *delta, int limit)
{
	int			nread = 0;

	step->room = FIRST_ROOM;
	step->rows = palloc(step->room * sizeof(DeltaRow));
	while ((limit == 0 || nread < limit) && tuplestore_gettupleslot(delta->rows, true, false, delta->slot))
	{
		nread++;
		delta_step_add(step, delta->slot);
	}
	ExecClearTuple(delta->slot);
	return limit > 0 && nread == limit;
}

/* Collect the products that a step changes. */
static RecoInvalidation *
delta_step_change(const DeltaStep *step)
{
	RecoInvalidation *change = reco_invalidation_create();

	for (int i = 0; i < step->count; i++)
	{
		const DeltaRow *row = &step->rows[i];
		bool		uncategorized = row->kind == RECO_DELTA_GONE || row->category.isnull;

		reco_invalidation_add(change, DatumGetTextPP(row->id),
							  uncategorized ? NULL : DatumGetTextPP(row->category.value),
							  row->kind == RECO_DELTA_NEW);
	}
	return change;
}

static void
delta_write_row(RecoTable *table, const DeltaRow *row)
{
	TupleTableSlot *found = row->kind == RECO_DELTA_NEW ? NULL : reco_table_fetch(table, &row->id);

	if (row->kind == RECO_DELTA_NEW)
		reco_product_table_insert(table, row->id, row->category);
	else if (found != NULL && row->kind == RECO_DELTA_GONE)
		reco_product_table_delete(table, found);
	else if (found != NULL)
		reco_product_table_set_category(table, found, row->category);
}

/* Write a step to the mirror, and bring the lists up to date. */
static void
delta_step_write(const DeltaStep *step, RecoInvalidation *change, RecoWrite *write)
{
	RecoTable  *table = reco_product_table_open(write);

	for (int i = 0; i < step->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		delta_write_row(table, &step->rows[i]);
	}
	reco_table_close(table);
	reco_invalidation_apply(change, write);
}

int
reco_mirror_delta_write(RecoMirrorDelta *delta, int limit, const char *catalog, bool *more)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "reco mirror step",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	DeltaStep	step = {0};

	*more = delta_step_read(&step, delta, limit);
	if (step.skipped > 0)
		delta_report_skipped(catalog, step.skipped, step.example);
	if (step.count > 0)
	{
		RecoInvalidation *change = delta_step_change(&step);
		RecoWrite  *write;

		reco_invalidation_plan(change);
		reco_sql_begin();
		LockRelationOid(reco_sql_table("product"), RowExclusiveLock);
		write = reco_write_begin(NoLock);
		delta_step_write(&step, change, write);
		reco_write_end(write);
		reco_sql_commit();
		reco_metrics_add(RECO_METRIC_CATALOG, step.count);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return step.count;
}
