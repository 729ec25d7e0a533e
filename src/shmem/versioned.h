/*-------------------------------------------------------------------------
 *
 * versioned.h
 *	  A structure in shared memory that is read without waiting.
 *
 * A version counts the writes and is odd during one, as in PgBackendStatus.
 * Writers exclude each other by a lock; readers never wait: if a writer was
 * stopped halfway, the reader takes what is there after a bounded number of
 * attempts.  So texts must be NUL-terminated whatever is copied, and the reader
 * cleans them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_VERSIONED_H
#define RECO_VERSIONED_H

#include "port/atomics.h"
#include "storage/s_lock.h"

#define RECO_VERSIONED_ATTEMPTS 1000

static inline void
reco_versioned_begin(pg_atomic_uint32 *version)
{
	pg_atomic_write_u32(version, pg_atomic_read_u32(version) + 1);
	pg_write_barrier();
}

static inline void
reco_versioned_end(pg_atomic_uint32 *version)
{
	pg_write_barrier();
	pg_atomic_write_u32(version, pg_atomic_read_u32(version) + 1);
}

static inline void
reco_versioned_read(pg_atomic_uint32 *version, void *to, const void *from, size_t size)
{
	for (int i = 0; i < RECO_VERSIONED_ATTEMPTS; i++)
	{
		uint32		before = pg_atomic_read_u32(version);

		pg_read_barrier();
		memcpy(to, from, size);
		pg_read_barrier();
		if ((before & 1) == 0 && pg_atomic_read_u32(version) == before)
			return;
		pg_spin_delay();
	}
}

#endif							/* RECO_VERSIONED_H */
