/*-------------------------------------------------------------------------
 *
 * value.h
 *	  Formats lists and windows as the values that applications read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_VALUE_H
#define RECO_VALUE_H

#include "common/slice.h"
#include "lib/stringinfo.h"
#include "utils/snapshot.h"

/* Between begin and end products are read under the snapshot; needs SPI. */
extern void reco_value_begin(Snapshot snapshot);
extern void reco_value_append_list(StringInfo value, int64 user_id, Datum list);
extern void reco_value_end(void);

/* Needs a transaction if the database's encoding is not UTF-8. */
extern void reco_value_append_product(StringInfo value, RecoSlice product);

/* Each field: a product, a space, and its views. */
extern RecoSlice reco_value_join(RecoSlice *fields, int count);

/* Has a value the form of a list for this user? */
extern bool reco_value_is_list(const char *value, size_t length, int64 user_id);

#endif							/* RECO_VALUE_H */
