/*-------------------------------------------------------------------------
 *
 * order.h
 *	  The order of all products, by the popularity that was taken last.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ORDER_H
#define RECO_ORDER_H

/* Products in the order of popularity; those without a category are left out. */
typedef struct RecoOrder
{
	int			count;
	const int32 *numbers;
	const int64 *popularity;
} RecoOrder;

extern void reco_order_write(int64 version);
extern bool reco_order_read(int64 after, int64 version, RecoOrder *order);

#endif							/* RECO_ORDER_H */
