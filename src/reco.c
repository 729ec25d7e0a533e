/*-------------------------------------------------------------------------
 *
 * reco.c
 *	  The module's entry point: a table of contents of what starts here.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "activity/insert_nesting.h"
#include "activity/trigger.h"
#include "common/guc.h"
#include "engine/product_dictionary.h"
#include "engine/state.h"
#include "fmgr.h"
#include "lists/invalidation.h"
#include "miscadmin.h"
#include "shmem/change_queue.h"
#include "shmem/worker_status.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("reco must be loaded via shared_preload_libraries"),
				 errhint("Add 'reco' to shared_preload_libraries in postgresql.conf and restart the server.")));

	reco_guc_define();
	reco_shared_init();
	reco_state_init();
	reco_ring_init();
	reco_number_init();
	reco_affected_init();
	reco_inflight_init();
	reco_trigger_init();
	reco_launcher_register();
}
