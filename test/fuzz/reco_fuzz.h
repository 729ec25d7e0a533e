/*-------------------------------------------------------------------------
 *
 * reco_fuzz.h
 *	  A corpus, and inputs that are mutated from it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_FUZZ_H
#define RECO_FUZZ_H

#include "common/pg_prng.h"
#include "utils/array.h"

#define FUZZ_INPUT_BYTES (256 * 1024)

typedef struct FuzzCorpus
{
	int			count;
	Datum	   *elements;
	pg_prng_state random;
	char	   *input;			/* FUZZ_INPUT_BYTES bytes of a file in the data directory */
	Size		length;
} FuzzCorpus;

extern FuzzCorpus *fuzz_open(ArrayType *array, int64 seed);
extern void fuzz_close(FuzzCorpus *corpus);
extern Size fuzz_below(FuzzCorpus *corpus, Size limit);
extern char *fuzz_element(FuzzCorpus *corpus);
extern char *fuzz_next(FuzzCorpus *corpus);

#endif							/* RECO_FUZZ_H */
