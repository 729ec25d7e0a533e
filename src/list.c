/*-------------------------------------------------------------------------
 *
 * list.c
 *	  A user's list as its row holds it: int4[] of product numbers.
 *
 * Twenty ids as text[] made the row three times as long, and the maintenance
 * of the users' rows took a third more time.  Ids never change their number
 * while a list holds it, so the view that people and applications read
 * turns numbers into ids.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "list.h"
#include "lookup.h"
#include "utils/snapmgr.h"

/* An empty list with some room, in the present memory context. */
void
reco_list_init(RecoList *list)
{
	list->count = 0;
	list->size = 64;
	list->numbers = palloc(list->size * sizeof(int32));
}

static void
make_room(RecoList *list, int size)
{
	if (size <= list->size)
		return;
	list->size = Max(size, list->size * 2);
	list->numbers = repalloc_huge(list->numbers, list->size * sizeof(int32));
}

void
reco_list_append(RecoList *list, int32 number)
{
	make_room(list, list->count + 1);
	list->numbers[list->count++] = number;
}

/* The array, in the present memory context. */
ArrayType *
reco_list_pack(const RecoList *list)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + list->count * sizeof(int32);
	ArrayType  *array = palloc(size);

	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->dataoffset = 0;
	array->elemtype = INT4OID;
	ARR_DIMS(array)[0] = list->count;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), list->numbers, list->count * sizeof(int32));
	return array;
}

/* Take the numbers of an array. */
void
reco_list_unpack(RecoList *list, Datum packed)
{
	ArrayType  *array = DatumGetArrayTypeP(packed);

	if (ARR_NDIM(array) > 1 || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != INT4OID)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a list of reco.user_state is not a plain array of numbers"),
				 errhint("Run reco_rebuild().")));
	list->count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	make_room(list, list->count);
	memcpy(list->numbers, ARR_DATA_PTR(array), list->count * sizeof(int32));
	if ((Pointer) array != DatumGetPointer(packed))
		pfree(array);
}

PG_FUNCTION_INFO_V1(reco_list_products);

/* reco.list_products(numbers): the products' ids, as the statement's snapshot shows them. */
Datum
reco_list_products(PG_FUNCTION_ARGS)
{
	RecoTable  *dictionary = reco_lookup_open(GetActiveSnapshot());
	ArrayBuildState *ids = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	RecoList	list;

	reco_list_init(&list);
	reco_list_unpack(&list, PG_GETARG_DATUM(0));
	for (int i = 0; i < list.count; i++)
		accumArrayResult(ids, PointerGetDatum(reco_lookup_product(dictionary, list.numbers[i])),
						 false, TEXTOID, CurrentMemoryContext);
	reco_lookup_close(dictionary);
	pfree(list.numbers);
	PG_RETURN_DATUM(makeArrayResult(ids, CurrentMemoryContext));
}
