/*-------------------------------------------------------------------------
 *
 * product_dictionary.h
 *	  The dictionary of product numbers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PRODUCT_DICTIONARY_H
#define RECO_PRODUCT_DICTIONARY_H

#include "common/string_table.h"
#include "engine/write.h"

/* As reco--1.0.sql has it. */
#define RECO_NUMBER_MAX 1000000000

extern const RecoXactModule reco_number_xact;

extern void reco_number_reset(void);
extern uint64 reco_number_epoch(void);
extern void reco_number_set_dirty(void);
extern void reco_number_set_mirrored(int64 count);

extern void reco_number_check(int32 number);
extern void reco_number_resolve(RecoWrite *write, const RecoSlice *ids, int32 *numbers, int n);
extern int32 reco_number_learn(text *id, int32 number);
extern void reco_number_load(const int32 *first, int n, Size stride);
extern text *reco_number_name(int32 number);
extern int	reco_number_compare(int32 a, int32 b);

#endif							/* RECO_PRODUCT_DICTIONARY_H */
