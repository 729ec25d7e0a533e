/*-------------------------------------------------------------------------
 *
 * foresee.h
 *	  The lists that a change of the mirror will touch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_FORESEE_H
#define RECO_FORESEE_H

#include "state.h"
#include "touched.h"
#include "written.h"

extern void reco_foresee(const Datum *ids, const Datum *categories, const bool *uncategorized, int n);
extern bool reco_foresee_take(const RecoState *state, const RecoTouched *touched,
							  RecoUserPlace **users, int *count);

#endif							/* RECO_FORESEE_H */
