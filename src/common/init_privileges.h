/*-------------------------------------------------------------------------
 *
 * init_privileges.h
 *	  The privileges that members of the extension came with (pg_init_privs).
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_INIT_PRIVILEGES_H
#define RECO_INIT_PRIVILEGES_H

extern bool reco_init_privileges_match(Oid relation);
extern void reco_init_privileges_replace_role(Oid classid, Oid object, Oid before, Oid after);

#endif							/* RECO_INIT_PRIVILEGES_H */
