/*-------------------------------------------------------------------------
 *
 * role.c
 *	  The role that the workers run as: reco.role.
 *
 * The workers connect as this role, so that session_user is this role, too:
 * nothing that they run can gain more privileges.  It owns reco's objects
 * (reco.assign_role()).  Without the setting they run as the extension's owner,
 * who must be a superuser: session_user is one, and triggers that another owner
 * puts on the tables could become it.
 *
 * The launcher checks the role by the shared catalogs: otherwise a worker that
 * may not connect would fail with FATAL, again and again.  A connected worker
 * checks who owns the objects, and again whenever that may have changed: a
 * superuser that works on tables of another role would run that role's triggers.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "common/guc.h"
#include "common/own_tables.h"
#include "common/spi.h"
#include "common/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/syscache.h"
#include "worker/role.h"

#define CREATE_HINT "Run CREATE ROLE %s LOGIN REPLICATION IN ROLE pg_read_all_stats, or set reco.role to another one."

/* One of reco's objects that belongs neither to $1 nor, if $2, to a superuser. */
static RecoPlan foreign_plan = {
	"SELECT pg_describe_object(d.classid, d.objid, 0), r.rolname::text"
	" FROM pg_extension e"
	" JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'"
	" LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid"
	" LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid"
	" LEFT JOIN pg_namespace n ON d.classid = 'pg_namespace'::regclass AND n.oid = d.objid"
	" JOIN pg_roles r ON r.oid = coalesce(c.relowner, p.proowner, n.nspowner)"
	" WHERE e.extname = 'reco' AND r.oid <> $1 AND NOT (r.rolsuper AND $2)"
	" AND NOT (p.proname = 'assign_role' AND p.pronargs = 0)"
	" ORDER BY d.classid, d.objid LIMIT 1", 2, {OIDOID, BOOLOID}
};

bool
reco_role_is_set(void)
{
	return reco_role != NULL && reco_role[0] != '\0';
}

static bool
role_may_log_in(Oid role)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool		may;

	if (!HeapTupleIsValid(tuple))
		return false;
	may = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	return may;
}

/*
 * Why the workers cannot run as reco.role, with a hint; NULL if they can.  Must
 * be called in a transaction.  Uses only syscaches that are available without a
 * database.
 */
char *
reco_role_obstacle(Oid role, Oid database, char **hint)
{
	const char *quoted = quote_identifier(reco_role);

	if (!OidIsValid(role))
	{
		*hint = psprintf(CREATE_HINT, quoted);
		return psprintf("role \"%s\" does not exist", reco_role);
	}
	if (!role_may_log_in(role))
	{
		*hint = psprintf("Run ALTER ROLE %s LOGIN.", quoted);
		return psprintf("role \"%s\" is not permitted to log in", reco_role);
	}
	if (!has_rolreplication(role))
	{
		*hint = psprintf("Run ALTER ROLE %s REPLICATION.", quoted);
		return psprintf("role \"%s\" lacks REPLICATION, which logical decoding needs", reco_role);
	}
	if (!has_privs_of_role(role, ROLE_PG_READ_ALL_STATS))
	{
		*hint = psprintf("Run GRANT pg_read_all_stats TO %s.", quoted);
		return psprintf("role \"%s\" is not a member of pg_read_all_stats", reco_role);
	}
	if (OidIsValid(database) &&
		reco_database_aclcheck(database, role, ACL_CONNECT) != ACLCHECK_OK)
	{
		*hint = psprintf("Run GRANT CONNECT ON DATABASE %s TO %s.", quote_identifier(reco_database), quoted);
		return psprintf("role \"%s\" may not connect to database \"%s\"", reco_role, reco_database);
	}
	return NULL;
}

/*
 * Can the workers connect to the database as reco.role?  If not, their status
 * says why.  For the launcher, outside any transaction.
 */
bool
reco_role_may_connect(Oid database)
{
	static bool watching = false;
	char	   *obstacle = NULL;
	char	   *hint = NULL;

	reco_xact_begin();
	if (!watching)
		initialize_acl();		/* to see changes of memberships, without a database */
	watching = true;
	if (reco_role_is_set())
		obstacle = reco_role_obstacle(get_role_oid(reco_role, true), database, &hint);
	for (int i = 0; i < RECO_WORKERS; i++)
	{
		if (obstacle == NULL)
			reco_trouble_end(i, RECO_TROUBLE_ROLE);
		else
		{
			reco_trouble_begin(i, RECO_TROUBLE_ROLE, RECO_HEALTH_FAILING, hint, "%s", obstacle);
			reco_status_report(i, RECO_HEALTH_FAILING, "cannot run as reco.role: %s", obstacle);
		}
	}
	reco_xact_commit();
	return obstacle == NULL;
}

/* Report that an object belongs to another role. */
static void
role_report_foreign(RecoWorkerId worker, Oid role, const char *object, const char *owner)
{
	const char *hint = psprintf("Run SELECT reco.assign_role() as a superuser in database \"%s\".", reco_database);

	if (superuser_arg(role))	/* reco.assign_role() would fail */
		hint = "Set reco.role to a role that is not a superuser, or run DROP EXTENSION reco and CREATE EXTENSION reco.";
	if (reco_role_is_set())
		reco_trouble_begin(worker, RECO_TROUBLE_OWNER, RECO_HEALTH_FAILING, hint,
						   "%s belongs to role \"%s\", but reco.role is \"%s\"", object, owner, reco_role);
	else
		reco_trouble_begin(worker, RECO_TROUBLE_OWNER, RECO_HEALTH_FAILING,
						   psprintf("Set reco.role = '%s', or run DROP EXTENSION reco and CREATE EXTENSION reco.", owner),
						   "%s belongs to role \"%s\", but reco.role is not set", object, owner);
	reco_status_report(worker, RECO_HEALTH_FAILING, "waiting for reco.assign_role()");
}

/* Report that the extension's owner is not a superuser. */
static void
role_report_plain_owner(RecoWorkerId worker, Oid owner)
{
	reco_trouble_begin(worker, RECO_TROUBLE_OWNER, RECO_HEALTH_FAILING,
					   "Set reco.role, and run SELECT reco.assign_role() as a superuser.",
					   "role \"%s\" owns the extension and is not a superuser, but reco.role is not set",
					   GetUserNameFromId(owner, false));
	reco_status_report(worker, RECO_HEALTH_FAILING, "waiting for reco.role");
}

static bool owners_may_differ = true;

static void
role_altered(Datum arg, int cache, uint32 hash)
{
	owners_may_differ = true;
}

/* May the result of reco_role_owns_objects() have changed?  Outside any transaction. */
bool
reco_role_is_stale(void)
{
	static uint32 seen = 0;

	AcceptInvalidationMessages();
	if (reco_own_tables_watch() != seen)
	{
		seen = reco_own_tables_watch();
		owners_may_differ = true;
	}
	return owners_may_differ;
}

/*
 * Do reco's objects belong to the role that this worker runs as?  If not, its
 * status names one.  Outside any transaction.
 */
bool
reco_role_owns_objects(RecoWorkerId worker, Oid role)
{
	static bool watching = false;
	Datum		values[2] = {ObjectIdGetDatum(role)};
	bool		owns;

	reco_sql_begin();
	if (!watching)
	{
		(void) reco_own_tables_watch();
		CacheRegisterSyscacheCallback(AUTHOID, role_altered, (Datum) 0);
		watching = true;
	}
	owners_may_differ = false;
	values[1] = BoolGetDatum(superuser_arg(role));
	owns = reco_sql_query(&foreign_plan, values, NULL, 1) == 0;
	if (!owns)
		role_report_foreign(worker, role, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
							SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2));
	else if (!reco_role_is_set() && !superuser_arg(role))
	{
		owns = false;
		role_report_plain_owner(worker, role);
	}
	else
		reco_trouble_end(worker, RECO_TROUBLE_OWNER);
	reco_sql_commit();
	return owns;
}
