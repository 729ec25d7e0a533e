/*-------------------------------------------------------------------------
 *
 * array.h
 *	  The elements of arrays of numbers, as reco's tables hold them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ARRAY_H
#define RECO_ARRAY_H

#include "utils/array.h"

extern void *reco_elements(ArrayType *array, Oid type, int count);

#endif							/* RECO_ARRAY_H */
