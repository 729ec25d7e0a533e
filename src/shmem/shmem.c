/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  reco's shared memory: which areas there are.
 *
 * Each area gives its size and sets itself up, in the server's start, under
 * AddinShmemInitLock.  All of it begins anew then, as the unlogged state
 * does after a crash.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "miscadmin.h"
#include "shmem/change_queue.h"
#include "shmem/metrics.h"
#include "shmem/rejections.h"
#include "shmem/service_state.h"
#include "shmem/shmem.h"
#include "shmem/worker_status.h"
#include "shmem/written.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

typedef struct RecoArea
{
	Size		(*size) (void);
	void		(*startup) (void);
	const char *tranche;		/* of its one LWLock; NULL: it has none */
} RecoArea;

static const RecoArea areas[] = {
	{reco_status_shmem_size, reco_status_shmem_startup, "reco"},
	{reco_service_shmem_size, reco_service_shmem_startup, "reco_service"},
	{reco_rejections_shmem_size, reco_rejections_shmem_startup, NULL},
	{reco_ring_shmem_size, reco_ring_shmem_startup, "reco_ring"},
	{reco_counters_shmem_size, reco_counters_shmem_startup, NULL},
	{reco_written_shmem_size, reco_written_shmem_startup, NULL},
};

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	for (int i = 0; i < lengthof(areas); i++)
	{
		RequestAddinShmemSpace(MAXALIGN(areas[i].size()));
		if (areas[i].tranche)
			RequestNamedLWLockTranche(areas[i].tranche, 1);
	}
}

static void
shmem_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < lengthof(areas); i++)
		areas[i].startup();
	LWLockRelease(AddinShmemInitLock);
}

/* Ask for shared memory; called from _PG_init. */
void
reco_shmem_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}
