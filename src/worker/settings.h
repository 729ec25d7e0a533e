/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  Settings of the server that the workers have values of their own for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SETTINGS_H
#define RECO_SETTINGS_H

extern void reco_settings_override(void);

#endif							/* RECO_SETTINGS_H */
