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

/* A structure of fixed size, zeroed before it is set up. */
typedef struct RecoShmemArea
{
	const char *name;			/* in pg_shmem_allocations, and of the lock's tranche */
	Size		size;
	void	  **address;		/* where its module keeps the address */
	void		(*init) (LWLock *lock); /* while the server starts; may be NULL */
	bool		has_lock;		/* else init gets NULL */
} RecoShmemArea;

extern void reco_shmem_init(const RecoShmemArea *const *areas, int count);

#endif							/* RECO_SHMEM_H */
