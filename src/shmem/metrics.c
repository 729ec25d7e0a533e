/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  Counters and timings since the server started.
 *
 * Atomics in shared memory: any process adds to them without a lock, whether
 * its transaction commits or not.
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

static RecoMetrics *metrics = NULL;

static void
metrics_init(LWLock *lock)
{
	for (int i = 0; i < RECO_METRICS; i++)
		pg_atomic_init_u64(&metrics->counters[i], 0);
	for (int i = 0; i < RECO_PHASES; i++)
		pg_atomic_init_u64(&metrics->phases[i], 0);
}

const RecoShmemArea reco_metrics_area = {
	.name = "reco_metrics",.size = sizeof(RecoMetrics),.address = (void **) &metrics,
	.init = metrics_init
};

/* Add n to a metric. */
void
reco_metrics_add(RecoMetric metric, uint64 n)
{
	pg_atomic_fetch_add_u64(&metrics->counters[metric], n);
}

uint64
reco_metrics_value(RecoMetric metric)
{
	return pg_atomic_read_u64(&metrics->counters[metric]);
}

/* Begin a phase; the result goes to reco_metrics_phase_end. */
instr_time
reco_metrics_phase_begin(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return now;
}

uint64
reco_metrics_phase_since(instr_time begun)
{
	instr_time	now = reco_metrics_phase_begin();

	INSTR_TIME_SUBTRACT(now, begun);
	return (uint64) (INSTR_TIME_GET_DOUBLE(now) * 1e9);
}

void
reco_metrics_phase_end(RecoPhase phase, instr_time begun)
{
	reco_metrics_phase_add(phase, reco_metrics_phase_since(begun));
}

/* Add nanoseconds to a phase, for one so short that its process sums it up first. */
void
reco_metrics_phase_add(RecoPhase phase, uint64 ns)
{
	pg_atomic_fetch_add_u64(&metrics->phases[phase], ns);
}

uint64
reco_metrics_phase_value(RecoPhase phase)
{
	return pg_atomic_read_u64(&metrics->phases[phase]);
}
