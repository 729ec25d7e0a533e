/*-------------------------------------------------------------------------
 *
 * zipf.c
 *	  Random numbers, and items drawn from a Zipf distribution.
 *
 * By alias tables: two reads of memory a draw.  The same seed gives the same draws.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "zipf.h"

static uint64_t random_state;

void
random_seed(uint64_t seed)
{
	random_state = seed * 0x2545f4914f6cdd1du;
}

/* splitmix64 */
uint64_t
random_bits(void)
{
	uint64_t	z = (random_state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void *
allocate(size_t size)
{
	void	   *p = malloc(size);

	if (p == NULL)
	{
		fprintf(stderr, "load: out of memory for the tables of users and products\n");
		exit(1);
	}
	return p;
}

static uint64_t
common_divisor(uint64_t a, uint64_t b)
{
	return b == 0 ? a : common_divisor(b, a % b);
}

/* Vose's alias method: item i has the weight (i + 1) ^ -skew. */
void
zipf_make(Zipf *zipf, uint32_t n, double skew)
{
	double	   *weight = allocate(n * sizeof(double));
	uint32_t   *small = allocate(n * sizeof(uint32_t));
	uint32_t   *large = allocate(n * sizeof(uint32_t));
	uint32_t	smalls = 0;
	uint32_t	larges = 0;
	double		sum = 0;

	zipf->n = n;
	zipf->threshold = allocate(n * sizeof(uint32_t));
	zipf->alias = allocate(n * sizeof(uint32_t));
	for (uint32_t i = 0; i < n; i++)
		sum += weight[i] = pow(i + 1, -skew);
	for (uint32_t i = 0; i < n; i++)
	{
		weight[i] *= n / sum;
		if (weight[i] < 1)
			small[smalls++] = i;
		else
			large[larges++] = i;
	}
	while (smalls > 0 && larges > 0)
	{
		uint32_t	s = small[--smalls];
		uint32_t	l = large[larges - 1];

		zipf->threshold[s] = (uint32_t) (weight[s] * UINT32_MAX);
		zipf->alias[s] = l;
		weight[l] -= 1 - weight[s];
		if (weight[l] < 1)
			small[smalls++] = large[--larges];
	}
	while (larges > 0)
		small[smalls++] = large[--larges];
	while (smalls > 0)
	{
		uint32_t	s = small[--smalls];

		zipf->threshold[s] = UINT32_MAX;
		zipf->alias[s] = s;
	}
	for (zipf->stride = (uint64_t) (n * 0.618) | 1; common_divisor(zipf->stride, n) != 1;)
		zipf->stride += 2;
	free(weight);
	free(small);
	free(large);
}

uint32_t
zipf_draw(const Zipf *zipf)
{
	uint64_t	bits = random_bits();
	uint32_t	slot = (uint32_t) (((bits >> 32) * zipf->n) >> 32);
	uint32_t	rank = (uint32_t) bits <= zipf->threshold[slot] ? slot : zipf->alias[slot];

	return (uint32_t) (rank * zipf->stride % zipf->n);
}
