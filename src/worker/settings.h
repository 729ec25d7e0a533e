/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  Server settings that the workers override.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SETTINGS_H
#define RECO_SETTINGS_H

extern void reco_settings_override(void);

#endif							/* RECO_SETTINGS_H */
