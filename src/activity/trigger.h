/*-------------------------------------------------------------------------
 *
 * trigger.h
 *	  Maintenance of the derived tables, whoever writes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TRIGGER_H
#define RECO_TRIGGER_H

#include "common/xact.h"

extern const RecoXactModule reco_trigger_xact;

extern bool reco_trigger_is_truncating(void);

#endif							/* RECO_TRIGGER_H */
