/*-------------------------------------------------------------------------
 *
 * orphan_keys.h
 *	  Orphans: the sink's keys that have no row any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ORPHAN_KEYS_H
#define RECO_ORPHAN_KEYS_H

#include "common/array.h"

/* Remove the ids that have a row, and leave the orphans; needs SPI and a transaction. */
extern void reco_orphan_keys_filter(bool of_windows, RecoIds *ids);

#endif							/* RECO_ORPHAN_KEYS_H */
