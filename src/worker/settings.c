/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  Server settings that the workers override.
 *
 * ALTER DATABASE, ALTER ROLE and postgresql.conf set parameters for the shop's
 * sessions: timeouts, session_replication_role, planner switches.  The workers
 * must run whatever these say, as autovacuum workers do.  Parameters for memory
 * and logging are not overridden.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "utils/guc.h"
#include "worker/settings.h"

static const char *const overrides[][2] = {
	/* timeouts: a worker's transactions are bounded by their work */
	{"statement_timeout", "0"},
	{"lock_timeout", "0"},
	{"transaction_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},

	/* comparing the catalog spills at most the catalog's size */
	{"temp_file_limit", "-1"},

	/* transactions */
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"synchronous_commit", "off"},	/* what could be lost is rebuilt */
	{"exit_on_error", "off"},	/* expected errors are caught */

	/* the meaning of statements */
	{"role", "none"},
	{"search_path", "pg_catalog, pg_temp"}, /* as the triggers set it: another would invalidate plans */
	{"session_replication_role", "origin"},
	{"row_security", "on"},
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},

	/* output formats: the catalog's keys are read as text */
	{"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"bytea_output", "hex"},
	{"extra_float_digits", "1"},
	{"lc_monetary", "C"},
	{"quote_all_identifiers", "off"},

	/* new tables */
	{"default_table_access_method", "heap"},
	{"default_tablespace", ""},

	/* plans: small statements by key */
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
 * Override them for the life of the process.  To be called after connecting,
 * which applies the settings of database and role.
 */
void
reco_settings_override(void)
{
	for (int i = 0; i < lengthof(overrides); i++)
	{
		/* older servers do not have all of them */
		if (GetConfigOption(overrides[i][0], true, false) != NULL)
			SetConfigOption(overrides[i][0], overrides[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
}
