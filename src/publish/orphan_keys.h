/*-------------------------------------------------------------------------
 *
 * orphan_keys.h
 *	  Keys in Redis that reco wrote and that no row stands for any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ORPHAN_KEYS_H
#define RECO_ORPHAN_KEYS_H

#include "common/array.h"
#include "publish/value.h"
#include "redis/connection.h"

/* Redis's cursor of a scan; "0" begins one, and ends it. */
typedef struct RecoScan
{
	char		cursor[24];
	bool		begun;
} RecoScan;

/* One piece of all keys that a template makes; false: there are no more. */
extern bool reco_stale_scan(RecoRedis *redis, const RecoTemplate *template, RecoScan *scan,
							RecoIds *found);

/* Drop those that have a row; needs SPI and the caller's transaction. */
extern void reco_stale_drop_rows(const RecoTemplate *template, RecoIds *ids);

/* Drop those whose value is not reco's own. */
extern void reco_stale_drop_foreign(RecoRedis *redis, const RecoTemplate *template, RecoIds *ids);

#endif							/* RECO_ORPHAN_KEYS_H */
