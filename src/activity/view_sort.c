/*-------------------------------------------------------------------------
 *
 * view_sort.c
 *	  Sorting views by user, and those of a user by time.
 *
 * As many as a batch from Kafka contains are sorted in an array, in a quarter
 * of the time that tuples take.  More than that, from a client's COPY or a
 * rebuild, go to a tuplesort, which spills to disk beyond work_mem.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "activity/view_sort.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/tuplesort.h"

/* Views in the array: 1 MB. */
#define MAX_IN_ARRAY 65536

struct RecoViewSort
{
	MemoryContext context;		/* in which the sort was begun */
	RecoUserView *array;
	int			count;
	int			size;
	int			next;			/* to be returned next */
	Tuplesortstate *tuples;		/* NULL while the array suffices */
	TupleTableSlot *in;
	TupleTableSlot *out;
};

#define ST_SORT sort_user_views
#define ST_ELEMENT_TYPE RecoUserView
#define ST_COMPARE(a, b) \
	((a)->user_id != (b)->user_id ? ((a)->user_id < (b)->user_id ? -1 : 1) : \
	 ((a)->view.second > (b)->view.second) - ((a)->view.second < (b)->view.second))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

RecoViewSort *
reco_view_sort_begin(void)
{
	RecoViewSort *sort = palloc0(sizeof(RecoViewSort));

	sort->context = CurrentMemoryContext;
	return sort;
}

static void
sort_begin_tuples(RecoViewSort *sort)
{
	MemoryContext caller = MemoryContextSwitchTo(sort->context);
	AttrNumber	columns[] = {1, 2};
	Oid			operators[] = {Int8LessOperator, Int4LessOperator};
	Oid			collations[] = {InvalidOid, InvalidOid};
	bool		nulls_first[] = {false, false};
	TupleDesc	desc = CreateTemplateTupleDesc(3);

	TupleDescInitEntry(desc, 1, "user_id", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "second", INT4OID, -1, 0);
	TupleDescInitEntry(desc, 3, "number", INT4OID, -1, 0);
	sort->tuples = tuplesort_begin_heap(desc, 2, columns, operators, collations, nulls_first,
										work_mem, NULL, TUPLESORT_NONE);
	sort->in = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	sort->out = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(caller);
}

static void
sort_put_tuple(RecoViewSort *sort, const RecoUserView *view)
{
	TupleTableSlot *slot = sort->in;

	ExecClearTuple(slot);
	slot->tts_values[0] = Int64GetDatum(view->user_id);
	slot->tts_values[1] = Int32GetDatum(view->view.second);
	slot->tts_values[2] = Int32GetDatum(view->view.number);
	memset(slot->tts_isnull, 0, 3 * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(sort->tuples, slot);
}

void
reco_view_sort_put(RecoViewSort *sort, const RecoUserView *view)
{
	if (sort->tuples == NULL && sort->count == MAX_IN_ARRAY)
	{
		sort_begin_tuples(sort);
		for (int i = 0; i < sort->count; i++)
			sort_put_tuple(sort, &sort->array[i]);
		sort->count = 0;
	}
	if (sort->tuples != NULL)
	{
		sort_put_tuple(sort, view);
		return;
	}
	if (sort->count == sort->size)
	{
		sort->size = Max(64, sort->size * 2);
		sort->array = sort->array == NULL ?
			MemoryContextAlloc(sort->context, sort->size * sizeof(RecoUserView)) :
			repalloc(sort->array, sort->size * sizeof(RecoUserView));
	}
	sort->array[sort->count++] = *view;
}

/* Sort, after all views have been put. */
void
reco_view_sort_perform(RecoViewSort *sort)
{
	if (sort->tuples != NULL)
		tuplesort_performsort(sort->tuples);
	else if (sort->count > 0)
		sort_user_views(sort->array, sort->count);
}

/* Get the next view; false if there are no more. */
bool
reco_view_sort_next(RecoViewSort *sort, RecoUserView *view)
{
	bool		null;

	if (sort->tuples == NULL)
	{
		if (sort->next == sort->count)
			return false;
		*view = sort->array[sort->next++];
		return true;
	}
	if (!tuplesort_gettupleslot(sort->tuples, true, false, sort->out, NULL))
		return false;
	view->user_id = DatumGetInt64(slot_getattr(sort->out, 1, &null));
	view->view.second = DatumGetInt32(slot_getattr(sort->out, 2, &null));
	view->view.number = DatumGetInt32(slot_getattr(sort->out, 3, &null));
	return true;
}

/* The view n places further on; NULL if that is not known. */
const RecoUserView *
reco_view_sort_ahead(const RecoViewSort *sort, int n)
{
	return sort->tuples == NULL && sort->next + n < sort->count ? &sort->array[sort->next + n] : NULL;
}

void
reco_view_sort_end(RecoViewSort *sort)
{
	if (sort->tuples != NULL)
	{
		ExecDropSingleTupleTableSlot(sort->in);
		ExecDropSingleTupleTableSlot(sort->out);
		tuplesort_end(sort->tuples);
	}
	if (sort->array != NULL)
		pfree(sort->array);
	pfree(sort);
}
