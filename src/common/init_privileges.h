/*-------------------------------------------------------------------------
 *
 * init_privileges.h
 *	  Initial privileges of the extension's members (pg_init_privs).
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_INIT_PRIVILEGES_H
#define RECO_INIT_PRIVILEGES_H

extern bool reco_init_privileges_match(Oid relation);
extern void reco_init_privileges_replace_role(Oid classid, Oid object, Oid before, Oid after);

#endif							/* RECO_INIT_PRIVILEGES_H */
