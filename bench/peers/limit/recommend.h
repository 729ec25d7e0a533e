/* recommend.h: from a user's views to the list; no I/O. */
#ifndef RECOMMEND_H
#define RECOMMEND_H

#include <stdint.h>

#define MAX_VIEWS 500
#define MAX_LIST 20

typedef struct View
{
	uint32_t	second;			/* rounded up */
	int32_t		product;
} View;

/* Fill the list with product numbers; returns how many. */
extern int	recommend(const View *views, int count, int32_t *list);

#endif
