/*-------------------------------------------------------------------------
 *
 * subscription.h
 *	  Do the subscriptions stand that feed the catalog table?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SUBSCRIPTION_H
#define RECO_SUBSCRIPTION_H

#include "mirror/source_table.h"

/* Outside transactions; false: what the publisher has may be missing. */
extern bool reco_subscription_check(const RecoSource *source);

/* There is no table to be fed. */
extern void reco_subscription_forget(void);

#endif							/* RECO_SUBSCRIPTION_H */
