/*-------------------------------------------------------------------------
 *
 * text_output.h
 *	  Conversion of values of the shop's types to text, without running its code.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TEXT_OUTPUT_H
#define RECO_TEXT_OUTPUT_H

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/* How values of a type are converted to text. */
typedef struct RecoTextOutput
{
	Oid			function;		/* InvalidOid: they are binary-coercible to text */
	bool		is_cast;		/* the function returns text, not cstring */
	bool		is_varlena;
	FmgrInfo	call;
} RecoTextOutput;

/* What the text of a type's values depends on; filled by reco_type_describe. */
typedef struct RecoTypeUse
{
	StringInfoData description; /* changes if the text may have */
	List	   *relations;		/* OIDs of composite types' relations */
	List	   *functions;		/* OIDs */
} RecoTypeUse;

extern bool reco_function_is_trusted(Oid function);
extern void reco_text_output_init(RecoTextOutput *output, Oid type);
extern text *reco_text_output_call(RecoTextOutput *output, Datum value);
extern int	reco_text_output_fix_settings(void);
extern void reco_type_describe(RecoTypeUse *use, Oid type);

#endif							/* RECO_TEXT_OUTPUT_H */
