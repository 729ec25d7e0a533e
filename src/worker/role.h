/*-------------------------------------------------------------------------
 *
 * role.h
 *	  The role that the workers run as: reco.role.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ROLE_H
#define RECO_ROLE_H

#include "shmem/worker_status.h"

extern bool reco_role_is_set(void);
extern char *reco_role_obstacle(Oid role, Oid database, char **hint);
extern bool reco_role_may_connect(Oid database);
extern bool reco_role_is_stale(void);
extern bool reco_role_owns_objects(RecoWorkerId worker, Oid role);

#endif							/* RECO_ROLE_H */
