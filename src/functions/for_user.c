/*-------------------------------------------------------------------------
 *
 * for_user.c
 *	  SQL functions that show users' lists.
 *
 * Both functions read under the statement's snapshot, and only lock the tables.
 * EXECUTE on reco_for_user is sufficient, whatever the privileges on the tables.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/spi.h"
#include "engine/lookup.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lists/list_codec.h"
#include "lists/user_state.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

static bool
for_user_may_read(const char *view)
{
	return pg_class_aclcheck(reco_sql_table(view), GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* Products' numbers may only be looked up by roles that can see products in reco's views. */
static void
for_user_require_view(void)
{
	if (!for_user_may_read("user_recommendations") && !for_user_may_read("trending_products"))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_VIEW, "user_recommendations");
}

static Datum
text_datum(RecoSlice text)
{
	return PointerGetDatum(cstring_to_text_with_len(text.data, text.length));
}

PG_FUNCTION_INFO_V1(reco_list_products);

/* reco.list_products(numbers): the products' ids. */
Datum
reco_list_products(PG_FUNCTION_ARGS)
{
	RecoList	list;
	Datum	   *ids;

	for_user_require_view();
	reco_list_init(&list);
	reco_list_unpack(&list, PG_GETARG_DATUM(0));
	ids = palloc(Max(1, list.count) * sizeof(Datum));
	reco_lookup_begin(GetActiveSnapshot());
	for (int i = 0; i < list.count; i++)
		ids[i] = text_datum(reco_lookup_product(list.numbers[i]));
	reco_lookup_end();
	PG_RETURN_ARRAYTYPE_P(reco_array(ids, list.count, TEXTOID));
}

/* Return a product of the list as a row (rank, product_id, reason, because). */
static void
for_user_put_row(ReturnSetInfo *result, int rank, int32 number, Datum reason)
{
	RecoSlice	category = reco_lookup_category(number);
	bool		nulls[4] = {false, false, false, category.data == NULL};
	Datum		values[4] = {Int32GetDatum(rank), text_datum(reco_lookup_product(number)), reason,
	nulls[3] ? (Datum) 0 : text_datum(category)};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(reco_for_user);

/* reco_for_user(user_id, n): the first n products of the list; NULL: all of it. */
Datum
reco_for_user(PG_FUNCTION_ARGS)
{
	Snapshot	snapshot = GetActiveSnapshot();
	RecoTable  *users;
	Datum		packed;
	Datum		reason = CStringGetTextDatum("category");

	if (!PG_ARGISNULL(1) && PG_GETARG_INT32(1) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE),
				 errmsg("n must not be negative")));
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	users = reco_user_open_read(snapshot);
	if (reco_user_fetch_list(users, PG_GETARG_INT64(0), NULL, &packed))
	{
		RecoList	list;
		int			n;

		reco_list_init(&list);
		reco_list_unpack(&list, packed);
		n = PG_ARGISNULL(1) ? list.count : Min(list.count, PG_GETARG_INT32(1));
		reco_lookup_begin(snapshot);
		for (int i = 0; i < n; i++)
			for_user_put_row((ReturnSetInfo *) fcinfo->resultinfo, i + 1, list.numbers[i], reason);
		reco_lookup_end();
	}
	reco_table_close(users);
	return (Datum) 0;
}
