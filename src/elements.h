/*-------------------------------------------------------------------------
 *
 * elements.h
 *	  The elements of arrays of numbers, as reco's tables hold them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ELEMENTS_H
#define RECO_ELEMENTS_H

#include "utils/array.h"

extern void *reco_elements(ArrayType *array, Oid type, int count);

#endif							/* RECO_ELEMENTS_H */
