/*-------------------------------------------------------------------------
 *
 * service_state.h
 *	  What holds for reco as a whole: the database served, how far it is.
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

/* What reco.state said when it was last committed; times in seconds; clock = 0: not known. */
typedef struct RecoStateCopy
{
	TimestampTz clock;
	TimestampTz horizon;
	TimestampTz popularity_at;
	int64		generation;
	int64		mirror_version;
	int64		numbers_version;
	int			trending_window;
	int			recent_window;
	int			retention;
	int			trending_size;
	int			trending_max;
	int			max_user_views;
	int			top_categories;
	int			max_recommendations;
} RecoStateCopy;

extern const struct RecoShmemArea reco_service_area;
extern bool reco_service_is_attached(void);

extern void reco_shared_set_mirror_ready(bool ready);
extern bool reco_shared_is_mirror_ready(void);
extern void reco_shared_set_replaying(bool replaying);
extern bool reco_shared_is_replaying(void);
extern void reco_shared_set_follow_position(XLogRecPtr position);
extern XLogRecPtr reco_shared_follow_position(void);
extern void reco_shared_set_database(Oid database, Oid extension);
extern void reco_shared_forget_database(void);
extern uint32 reco_shared_forgotten(void);
extern Oid	reco_shared_database(void);
extern Oid	reco_shared_extension(void);
extern bool reco_shared_serves_database(void);
extern void reco_shared_announce_extension(void);
extern uint32 reco_shared_extensions_announced(void);
extern void reco_shared_set_progress(int64 done, int64 total);
extern RecoProgress reco_shared_progress(void);
extern void reco_shared_set_state(const RecoStateCopy *copy);
extern RecoStateCopy reco_shared_state_copy(void);

#endif							/* RECO_SERVICE_STATE_H */
