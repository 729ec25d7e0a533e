/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Areas of shared memory.
 *
 * They are set up in the server's start, under AddinShmemInitLock.  All of it
 * begins anew then, as the unlogged state does after a crash.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "miscadmin.h"
#include "shmem/shmem.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

static const RecoShmemArea *const *areas;
static int	nareas;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	for (int i = 0; i < nareas; i++)
	{
		RequestAddinShmemSpace(MAXALIGN(areas[i]->size));
		if (areas[i]->has_lock)
			RequestNamedLWLockTranche(areas[i]->name, 1);
	}
}

static void
shmem_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < nareas; i++)
	{
		const RecoShmemArea *area = areas[i];
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

/* Ask for these; called from _PG_init. */
void
reco_shmem_init(const RecoShmemArea *const *wanted, int count)
{
	areas = wanted;
	nareas = count;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}
