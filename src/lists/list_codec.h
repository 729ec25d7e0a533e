/*-------------------------------------------------------------------------
 *
 * list_codec.h
 *	  A user's list as stored: int4[] of product numbers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_LIST_CODEC_H
#define RECO_LIST_CODEC_H

#include "utils/array.h"

/* Product numbers, best first. */
typedef struct RecoList
{
	int			count;
	int			size;
	int32	   *numbers;
} RecoList;

extern void reco_list_init(RecoList *list);
extern void reco_list_append(RecoList *list, int32 number);
extern ArrayType *reco_list_pack(const RecoList *list);
extern void reco_list_unpack(RecoList *list, Datum packed);

#endif							/* RECO_LIST_CODEC_H */
