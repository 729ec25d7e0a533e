/*-------------------------------------------------------------------------
 *
 * text_output.h
 *	  Values of the shop's types as text, without running code of the shop.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TEXT_OUTPUT_H
#define RECO_TEXT_OUTPUT_H

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/* How values of a type are made text. */
typedef struct RecoTextOutput
{
	Oid			function;		/* InvalidOid: they are text as they are */
	bool		is_cast;		/* the function gives text; else a cstring */
	bool		is_varlena;		/* of any length */
	FmgrInfo	call;
} RecoTextOutput;

/* What the text of a type's values depends on, found by reco_type_describe. */
typedef struct RecoTypeUse
{
	StringInfoData description; /* differs when the text may, too */
	List	   *relations;		/* OIDs: the composite types' */
	List	   *functions;		/* OIDs */
} RecoTypeUse;

extern bool reco_function_is_trusted(Oid function);
extern void reco_text_output_init(RecoTextOutput *output, Oid type);
extern text *reco_text_output_call(RecoTextOutput *output, Datum value);
extern int	reco_text_output_settle(void);
extern void reco_type_describe(RecoTypeUse *use, Oid type);

#endif							/* RECO_TEXT_OUTPUT_H */
