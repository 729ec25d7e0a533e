/*-------------------------------------------------------------------------
 *
 * orphan_keys.h
 *	  Keys in the sink that no row stands for any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ORPHAN_KEYS_H
#define RECO_ORPHAN_KEYS_H

#include "common/array.h"

/* Drop those that have a row; needs SPI and the caller's transaction. */
extern void reco_orphans_drop_rows(bool of_windows, RecoIds *ids);

#endif							/* RECO_ORPHAN_KEYS_H */
