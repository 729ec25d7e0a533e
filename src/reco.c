/*-------------------------------------------------------------------------
 *
 * reco.c
 *	  The module's entry point: a table of contents of what starts here.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "activity/insert_nesting.h"
#include "activity/late_flush.h"
#include "activity/membership.h"
#include "activity/pending_events.h"
#include "activity/trigger.h"
#include "common/guc.h"
#include "common/xact.h"
#include "engine/lookup.h"
#include "engine/product_cache.h"
#include "engine/product_dictionary.h"
#include "engine/write.h"
#include "fmgr.h"
#include "kafka/ingest_worker.h"
#include "lists/strategy.h"
#include "mirror/follow_worker.h"
#include "miscadmin.h"
#include "publish/publish_worker.h"
#include "redis/redis_sink.h"
#include "shmem/change_queue.h"
#include "shmem/metrics.h"
#include "shmem/rejections.h"
#include "shmem/service_state.h"
#include "shmem/shmem.h"
#include "shmem/worker_status.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

static const RecoShmemArea *const shmem_areas[] = {
	&reco_status_area, &reco_service_area, &reco_rejections_area, &reco_change_queue_area, &reco_metrics_area,
	&reco_version_area
};

const RecoRoutine *const reco_worker_routines[RECO_WORKERS] = {
	&reco_ingest_routine, &reco_follow_routine, &reco_publish_routine
};

const RecoStrategy *const reco_strategy = &reco_category_strategy;

const RecoSink *const reco_sink = &reco_redis_sink;

/* Who has something to do when a transaction ends, in this order. */
static const RecoXactModule *const xact_modules[] = {
	&reco_write_xact, &reco_product_xact, &reco_dictionary_xact, &reco_lookup_xact, &reco_change_queue_xact,
	&reco_insert_nesting_xact, &reco_pending_xact, &reco_late_flush_xact, &reco_trigger_xact, &reco_launcher_xact
};

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("reco must be loaded via shared_preload_libraries"),
				 errhint("Add 'reco' to shared_preload_libraries in postgresql.conf and restart the server.")));

	reco_guc_define();
	reco_xact_init(xact_modules, lengthof(xact_modules));
	reco_shmem_init(shmem_areas, lengthof(shmem_areas));
	reco_membership_init();
	reco_late_flush_init();
	reco_product_init();
	reco_launcher_register();
}
