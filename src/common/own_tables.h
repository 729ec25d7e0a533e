/*-------------------------------------------------------------------------
 *
 * own_tables.h
 *	  Are the tables of the schema reco as the extension made them?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_OWN_TABLES_H
#define RECO_OWN_TABLES_H

/* ERROR if not; cheap until one of them is altered. */
extern void reco_own_tables_check(void);

extern uint32 reco_own_tables_watch(void);

#endif							/* RECO_OWN_TABLES_H */
