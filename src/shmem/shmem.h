/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  Areas of shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SHMEM_H
#define RECO_SHMEM_H

#include "storage/lwlock.h"

/* A structure of fixed size, zeroed before init is called. */
typedef struct RecoShmemArea
{
	const char *name;			/* in pg_shmem_allocations, and of the lock's tranche */
	Size		size;
	void	  **address;		/* the module's pointer to it */
	void		(*init) (LWLock *lock); /* at server start; may be NULL */
	bool		has_lock;		/* if not, init gets NULL */
} RecoShmemArea;

extern void reco_shmem_init(const RecoShmemArea *const *areas, int count);

#endif							/* RECO_SHMEM_H */
