/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The launcher: starts and restarts the workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_LAUNCHER_H
#define RECO_LAUNCHER_H

#include "common/xact.h"

extern const RecoXactModule reco_launcher_xact;

extern void reco_launcher_register(void);
extern void reco_launcher_announce(void);
extern PGDLLEXPORT void reco_launcher_main(Datum arg);

#endif							/* RECO_LAUNCHER_H */
