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

typedef struct RecoStringTable RecoStringTable;

extern RecoStringTable *reco_string_table_create(MemoryContext context);
extern int32 *reco_string_table_find(RecoStringTable *table, RecoSlice string);
extern int32 *reco_string_table_add(RecoStringTable *table, RecoSlice string);
extern void reco_string_table_remove(RecoStringTable *table, RecoSlice string);
extern int	reco_string_table_count(const RecoStringTable *table);

#endif							/* RECO_STRING_TABLE_H */
