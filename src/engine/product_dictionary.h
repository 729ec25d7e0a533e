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

extern const RecoXactModule reco_dictionary_xact;

extern void reco_dictionary_reset(void);

extern void reco_dictionary_check(int32 number);
extern void reco_dictionary_resolve(RecoWrite *write, const RecoSlice *ids, int32 *numbers, int n);
extern void reco_dictionary_learn(text *id, int32 number);
extern void reco_dictionary_load(const int32 *first, int n, Size stride);
extern int	reco_dictionary_compare(int32 a, int32 b);

#endif							/* RECO_PRODUCT_DICTIONARY_H */
