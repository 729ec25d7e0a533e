/*-------------------------------------------------------------------------
 *
 * string_table.h
 *	  A hash table from text to int32, for product ids and categories.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_STRING_TABLE_H
#define RECO_STRING_TABLE_H

#include "common/slice.h"

typedef struct RecoNames RecoNames;

extern RecoNames *reco_names_create(MemoryContext context);
extern int32 *reco_names_find(RecoNames *names, RecoText name);
extern int32 *reco_names_add(RecoNames *names, RecoText name);
extern void reco_names_remove(RecoNames *names, RecoText name);
extern int	reco_names_count(const RecoNames *names);

#endif							/* RECO_STRING_TABLE_H */
