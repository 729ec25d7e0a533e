/*-------------------------------------------------------------------------
 *
 * own_tables.h
 *	  Are the tables of the schema reco as the extension created them?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_OWN_TABLES_H
#define RECO_OWN_TABLES_H

/* Raises an ERROR if not; cheap as long as none of them is altered. */
extern void reco_own_tables_check(void);
extern bool reco_own_tables_have_triggers(void);

extern uint32 reco_own_tables_watch(void);

#endif							/* RECO_OWN_TABLES_H */
