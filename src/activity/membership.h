/*-------------------------------------------------------------------------
 *
 * membership.h
 *	  Partitions of reco.activity as members of the extension.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_MEMBERSHIP_H
#define RECO_MEMBERSHIP_H

extern void reco_membership_init(void);
extern void reco_membership_begin(Oid partition);
extern void reco_membership_end(Oid partition);

#endif							/* RECO_MEMBERSHIP_H */
