/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  Settings of the server that the workers have values of their own for.
 *
 * ALTER DATABASE and ALTER ROLE set parameters for the shop's sessions, and
 * postgresql.conf for all: a time limit, a replica's role, a planner without
 * indexes.  A worker is no such session, and starts whatever they say.  What
 * only tells how much memory to use or what to log stays as it is set.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "utils/guc.h"
#include "worker/settings.h"

static const char *const overrides[][2] = {
	/* time limits: a worker's transactions are bounded by what they do */
	{"statement_timeout", "0"},
	{"lock_timeout", "0"},
	{"transaction_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},

	/* a comparison of the catalog spills, to no more than the catalog's size */
	{"temp_file_limit", "-1"},

	/* what a transaction is */
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"synchronous_commit", "off"},	/* what it could lose is rebuilt */
	{"exit_on_error", "off"},	/* errors that are expected are caught */

	/* who runs, and what a statement means */
	{"role", "none"},
	{"search_path", "pg_catalog, pg_temp"}, /* the triggers' own: plans of another are made anew */
	{"session_replication_role", "origin"},
	{"row_security", "on"},
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},

	/* how values are written: the catalog's keys are taken as text */
	{"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"bytea_output", "hex"},
	{"extra_float_digits", "1"},
	{"lc_monetary", "C"},
	{"quote_all_identifiers", "off"},

	/* what a new table is like */
	{"default_table_access_method", "heap"},
	{"default_tablespace", ""},

	/* plans: small statements by key, again and again */
	{"jit", "off"},
	{"plan_cache_mode", "auto"},
	{"enable_bitmapscan", "on"},
	{"enable_hashagg", "on"},
	{"enable_hashjoin", "on"},
	{"enable_indexonlyscan", "on"},
	{"enable_indexscan", "on"},
	{"enable_material", "on"},
	{"enable_memoize", "on"},
	{"enable_mergejoin", "on"},
	{"enable_nestloop", "on"},
	{"enable_partition_pruning", "on"},
	{"enable_seqscan", "on"},
	{"enable_sort", "on"},
	{"enable_tidscan", "on"},
};

/*
 * Override them for the life of the process, which has connected: connecting
 * applies what database and role say.
 */
void
reco_settings_override(void)
{
	for (int i = 0; i < lengthof(overrides); i++)
	{
		/* some are newer than the oldest server */
		if (GetConfigOption(overrides[i][0], true, false) != NULL)
			SetConfigOption(overrides[i][0], overrides[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
}
