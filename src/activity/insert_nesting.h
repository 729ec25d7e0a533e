/*-------------------------------------------------------------------------
 *
 * insert_nesting.h
 *	  INSERTs into reco.activity that are in progress in the transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_INSERT_NESTING_H
#define RECO_INSERT_NESTING_H

#include "common/xact.h"

extern const RecoXactModule reco_insert_nesting_xact;
extern void reco_insert_nesting_begin(void);
extern void reco_insert_nesting_end(void);
extern void reco_insert_nesting_check(const char *what);

#endif							/* RECO_INSERT_NESTING_H */
