/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  reco's shared memory: which areas there are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SHMEM_H
#define RECO_SHMEM_H

extern void reco_shmem_init(void);

#endif							/* RECO_SHMEM_H */
