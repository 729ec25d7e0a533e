/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Areas of shared memory.
 *
 * They are initialized at server start, under AddinShmemInitLock.  After a crash
 * they start empty, as the unlogged tables do.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "miscadmin.h"
#include "shmem/shmem.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

static const RecoShmemArea *const *shmem_areas;
static int	shmem_nareas;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	for (int i = 0; i < shmem_nareas; i++)
	{
		RequestAddinShmemSpace(MAXALIGN(shmem_areas[i]->size));
		if (shmem_areas[i]->has_lock)
			RequestNamedLWLockTranche(shmem_areas[i]->name, 1);
	}
}

static void
shmem_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < shmem_nareas; i++)
	{
		const RecoShmemArea *area = shmem_areas[i];
		bool		found;

		*area->address = ShmemInitStruct(area->name, area->size, &found);
		if (found)
			continue;
		memset(*area->address, 0, area->size);
		if (area->init)
			area->init(area->has_lock ? &GetNamedLWLockTranche(area->name)->lock : NULL);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Request these areas; called once, from _PG_init. */
void
reco_shmem_init(const RecoShmemArea *const *wanted, int count)
{
	shmem_areas = wanted;
	shmem_nareas = count;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}
