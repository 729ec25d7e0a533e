/*-------------------------------------------------------------------------
 *
 * text_output.c
 *	  Conversion of values of the shop's types to text, without running its code.
 *
 * A value is converted by its type's cast, if the type and the cast's function
 * belong to superusers, and otherwise by the type's output function.  Output
 * functions are safe: those of types that anybody may create (domains, enums,
 * composites, ranges, arrays) are the server's own, only superusers can create
 * base types, and a function returning cstring cannot be replaced by one in a
 * procedural language.  None of them evaluates a domain's constraints; input
 * functions do, and are never called.
 *
 * Takes no locks; needs a transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "mirror/text_output.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* A larger value is not converted: its text would be too long to be used. */
#define VALUE_MAX (1024 * 1024)

/* The length of the text that replaces it. */
#define TOO_LONG 4096

/* May the function run with reco's privileges?  Only if a superuser owns it. */
bool
reco_function_is_trusted(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		trusted;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	trusted = superuser_arg(((Form_pg_proc) GETSTRUCT(tuple))->proowner);
	ReleaseSysCache(tuple);
	return trusted;
}

/* Casts of a type are trusted if only superusers can create them. */
static bool
text_output_casts_are_trusted(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	bool		trusted;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	trusted = superuser_arg(((Form_pg_type) GETSTRUCT(tuple))->typowner);
	ReleaseSysCache(tuple);
	return trusted;
}

/* Choose how values of the type are converted; allocates in the current context. */
void
reco_text_output_init(RecoTextOutput *output, Oid type)
{
	Oid			base = getBaseType(type);
	CoercionPathType path = find_coercion_pathway(TEXTOID, base, COERCION_EXPLICIT,
												  &output->function);
	bool		is_varlena;

	output->is_cast = false;
	output->is_varlena = get_typlen(base) == -1;
	if (base == TEXTOID || (path == COERCION_PATH_RELABELTYPE && text_output_casts_are_trusted(base)))
	{
		output->function = InvalidOid;
		return;
	}
	if (path == COERCION_PATH_FUNC && text_output_casts_are_trusted(base) &&
		reco_function_is_trusted(output->function))
		output->is_cast = true;
	else
		getTypeOutputInfo(base, &output->function, &is_varlena);
	fmgr_info(output->function, &output->call);
}

/*
 * Convert a value to text, palloc'd or the value itself.  A value that is too
 * large is replaced by a text that is too long for any key or category, because
 * converting it might exceed the limit of an allocation.
 */
text *
reco_text_output_call(RecoTextOutput *output, Datum value)
{
	if (output->is_varlena && toast_raw_datum_size(value) > VALUE_MAX)
		return cstring_to_text(psprintf("%-*s", TOO_LONG,
										psprintf("(%zu bytes)", toast_raw_datum_size(value))));
	if (!OidIsValid(output->function))
		return DatumGetTextPP(value);
	if (!output->is_cast)
		return cstring_to_text(OutputFunctionCall(&output->call, value));

	if (output->call.fn_nargs == 1)
		return DatumGetTextPP(FunctionCall1Coll(&output->call, DEFAULT_COLLATION_OID, value));

	/* it takes the type modifier, and perhaps whether the cast is explicit */
	if (output->call.fn_nargs == 2)
		return DatumGetTextPP(FunctionCall2Coll(&output->call, DEFAULT_COLLATION_OID, value,
												Int32GetDatum(-1)));
	return DatumGetTextPP(FunctionCall3Coll(&output->call, DEFAULT_COLLATION_OID, value,
											Int32GetDatum(-1), BoolGetDatum(true)));
}

/*
 * Make text independent of the session's settings, until AtEOXact_GUC() is called
 * with the result: reco_verify() must see what the follow worker saw.
 */
int
reco_text_output_fix_settings(void)
{
	static const char *const fixed[][2] = {
		{"DateStyle", "ISO"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"lc_monetary", "C"},
		{"xmlbinary", "base64"},
		{"quote_all_identifiers", "off"},
		{"search_path", "pg_catalog, pg_temp"}, /* regclass and its like */
	};
	int			nest = NewGUCNestLevel();

	for (int i = 0; i < lengthof(fixed); i++)
		(void) set_config_option(fixed[i][0], fixed[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return nest;
}

/* Append the version of a function, which CREATE OR REPLACE changes. */
static void
type_describe_function(RecoTypeUse *use, Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	appendStringInfo(&use->description, " f%u.%u", function,
					 HeapTupleHeaderGetRawXmin(tuple->t_data));
	ReleaseSysCache(tuple);
	use->functions = list_append_unique_oid(use->functions, function);
}

static void
type_describe_enum(RecoTypeUse *use, Oid type)
{
	CatCList   *labels = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));

	for (int i = 0; i < labels->n_members; i++)
	{
		Form_pg_enum label = (Form_pg_enum) GETSTRUCT(&labels->members[i]->tuple);

		appendStringInfo(&use->description, " %u=%s", label->oid, NameStr(label->enumlabel));
	}
	ReleaseSysCacheList(labels);
}

static void
type_describe_composite(RecoTypeUse *use, Oid type)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(type, -1);

	use->relations = list_append_unique_oid(use->relations, get_typ_typrelid(type));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped)
			appendStringInfoString(&use->description, " -");
		else
			reco_type_describe(use, column->atttypid);
	}
	ReleaseTupleDesc(desc);
}

/* Append all that the text of the type's values depends on. */
void
reco_type_describe(RecoTypeUse *use, Oid type)
{
	RecoTextOutput output;

	check_stack_depth();
	type = getBaseType(type);
	appendStringInfo(&use->description, " (%u", type);
	reco_text_output_init(&output, type);
	if (OidIsValid(output.function))
		type_describe_function(use, output.function);
	switch (get_typtype(type))
	{
		case TYPTYPE_ENUM:
			type_describe_enum(use, type);
			break;
		case TYPTYPE_COMPOSITE:
			type_describe_composite(use, type);
			break;
		case TYPTYPE_RANGE:
			reco_type_describe(use, get_range_subtype(type));
			break;
		case TYPTYPE_MULTIRANGE:
			reco_type_describe(use, get_multirange_range(type));
			break;
		default:
			if (OidIsValid(get_element_type(type)))
				reco_type_describe(use, get_element_type(type));
	}
	appendStringInfoChar(&use->description, ')');
}
