/*-------------------------------------------------------------------------
 *
 * zipf.h
 *	  Random numbers, and items drawn from a Zipf distribution.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ZIPF_H
#define ZIPF_H

#include <stdint.h>

typedef struct Zipf
{
	uint32_t	n;
	uint32_t   *threshold;		/* below it the slot's own item, else alias */
	uint32_t   *alias;
	uint64_t	stride;			/* scatters the ranks over the numbers 0 .. n - 1 */
} Zipf;

extern void random_seed(uint64_t seed);
extern uint64_t random_bits(void);
extern void zipf_make(Zipf *zipf, uint32_t n, double skew);
extern uint32_t zipf_draw(const Zipf *zipf);

#endif							/* ZIPF_H */
