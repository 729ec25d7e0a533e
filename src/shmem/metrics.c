/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  What has been done since the server started, and what it cost.
 *
 * Atomics in shared memory: any process counts without a lock, whether its
 * transaction commits or not.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "port/atomics.h"
#include "shmem/metrics.h"
#include "shmem/shmem.h"

typedef struct RecoMetrics
{
	pg_atomic_uint64 counters[RECO_METRICS];
	pg_atomic_uint64 phases[RECO_PHASES];
} RecoMetrics;

static RecoMetrics *counts = NULL;

static void
counters_init(LWLock *lock)
{
	for (int i = 0; i < RECO_METRICS; i++)
		pg_atomic_init_u64(&counts->counters[i], 0);
	for (int i = 0; i < RECO_PHASES; i++)
		pg_atomic_init_u64(&counts->phases[i], 0);
}

const RecoShmemArea reco_metrics_area = {
	.name = "reco_counters",.size = sizeof(RecoMetrics),.address = (void **) &counts,
	.init = counters_init
};

/* Count n more. */
void
reco_metrics_add(RecoMetric counter, uint64 n)
{
	pg_atomic_fetch_add_u64(&counts->counters[counter], n);
}

uint64
reco_metrics_value(RecoMetric counter)
{
	return pg_atomic_read_u64(&counts->counters[counter]);
}

/* A phase took so many nanoseconds. */
void
reco_metrics_phase_add(RecoPhase phase, uint64 ns)
{
	pg_atomic_fetch_add_u64(&counts->phases[phase], ns);
}

/* A phase took the time since *start; the next one starts now. */
void
reco_metrics_phase_end(RecoPhase phase, instr_time *start)
{
	instr_time	now;
	instr_time	took;

	INSTR_TIME_SET_CURRENT(now);
	took = now;
	INSTR_TIME_SUBTRACT(took, *start);
	reco_metrics_phase_add(phase, (uint64) (INSTR_TIME_GET_DOUBLE(took) * 1e9));
	*start = now;
}

uint64
reco_metrics_phase_value(RecoPhase phase)
{
	return pg_atomic_read_u64(&counts->phases[phase]);
}
