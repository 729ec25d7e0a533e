/*-------------------------------------------------------------------------
 *
 * subscription.h
 *	  Do the subscriptions that feed the catalog table run?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SUBSCRIPTION_H
#define RECO_SUBSCRIPTION_H

#include "mirror/source_table.h"

/* To be called outside transactions; false: the table may be out of date. */
extern bool reco_subscription_check(const RecoSource *source);

/* The catalog table has changed: start again. */
extern void reco_subscription_forget(void);

#endif							/* RECO_SUBSCRIPTION_H */
