/*-------------------------------------------------------------------------
 *
 * list_codec.c
 *	  A user's list as stored: int4[] of product numbers.
 *
 * With twenty IDs as text[], a row was three times as long, and maintaining
 * the users' rows took half as much time again.  A product keeps its number
 * as long as a list contains it; for_user.c turns numbers into IDs.  Does no
 * I/O.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "lists/list_codec.h"

/* Initialize an empty list, in the current memory context. */
void
reco_list_init(RecoList *list)
{
	list->count = 0;
	list->size = 64;
	list->numbers = palloc(list->size * sizeof(int32));
}

static void
list_make_room(RecoList *list, int size)
{
	if (size <= list->size)
		return;
	list->size = Max(size, list->size * 2);
	list->numbers = repalloc_huge(list->numbers, list->size * sizeof(int32));
}

void
reco_list_append(RecoList *list, int32 number)
{
	list_make_room(list, list->count + 1);
	list->numbers[list->count++] = number;
}

/* Make the array, in the current memory context. */
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

/* Extract the numbers from an array. */
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
	list_make_room(list, list->count);
	memcpy(list->numbers, ARR_DATA_PTR(array), list->count * sizeof(int32));
	if ((Pointer) array != DatumGetPointer(packed))
		pfree(array);
}
