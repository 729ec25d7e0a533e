/*-------------------------------------------------------------------------
 *
 * service_state.h
 *	  State of the service as a whole: the database served, its progress.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SERVICE_STATE_H
#define RECO_SERVICE_STATE_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"

/* A long computation, for reco_progress; total = 0: none. */
typedef struct RecoProgress
{
	int64		done;
	int64		total;
	TimestampTz started_at;
} RecoProgress;

/* The row of reco.state; windows in seconds. */
typedef struct RecoState
{
	TimestampTz clock;			/* whole seconds */
	TimestampTz horizon;		/* start of the oldest window kept */
	TimestampTz popularity_at;	/* the clock when popularity was last computed */
	int64		generation;
	int64		mirror_version; /* of reco.product */
	int64		numbers_version;	/* rises when numbers are freed */
	int			trending_window;	/* W */
	int			recent_window;	/* H */
	int			retention;
	int			trending_size;
	int			trending_max;	/* products of a window at most, however many tie */
	int			max_user_views;
	int			top_categories;
	int			max_recommendations;	/* 0: no limit */
} RecoState;

extern const struct RecoShmemArea reco_service_area;

extern void reco_service_set_mirror_ready(bool ready);
extern bool reco_service_is_mirror_ready(void);
extern void reco_service_set_replaying(bool replaying);
extern bool reco_service_is_replaying(void);
extern void reco_service_set_follow_position(XLogRecPtr position);
extern XLogRecPtr reco_service_follow_position(void);
extern void reco_service_set_reload_time(TimestampTz at);
extern TimestampTz reco_service_reload_time(void);
extern void reco_service_set_database(Oid database, Oid extension);
extern void reco_service_forget_database(void);
extern uint32 reco_service_times_forgotten(void);
extern Oid	reco_service_database(void);
extern Oid	reco_service_extension(void);
extern bool reco_service_serves_database(void);
extern void reco_service_announce_extension(void);
extern uint32 reco_service_times_announced(void);
extern void reco_service_set_progress(int64 done, int64 total);
extern RecoProgress reco_service_progress(void);

/* The row as it was last committed; clock = 0: not known. */
extern void reco_service_set_state(const RecoState *state);
extern RecoState reco_service_state(void);

#endif							/* RECO_SERVICE_STATE_H */
