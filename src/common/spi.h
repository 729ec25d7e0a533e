/*-------------------------------------------------------------------------
 *
 * spi.h
 *	  The workers' transactions, and prepared statements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SPI_H
#define RECO_SPI_H

#include "executor/spi.h"

#define RECO_PLAN_MAX_ARGS 16

/*
 * A statement that is prepared at its first use and kept for the life of the
 * process.  Declare it static, with plan = NULL.
 */
typedef struct RecoPlan
{
	const char *query;
	int			nargs;
	Oid			argtypes[RECO_PLAN_MAX_ARGS];
	SPIPlanPtr	plan;
	bool		own;			/* it uses tables of the schema reco */
} RecoPlan;

extern void reco_sql_begin(void);
extern void reco_sql_commit(void);
extern SPIPlanPtr reco_sql_prepare(RecoPlan *plan);
extern uint64 reco_sql_execute(RecoPlan *plan, Datum *values, const char *nulls);
extern uint64 reco_sql_query(RecoPlan *plan, Datum *values, const char *nulls,
							 uint64 limit);
extern uint64 reco_sql_query_at(RecoPlan *plan, Datum *values, Snapshot snapshot);
extern void reco_sql_send(const RecoPlan *plan, Datum *values, DestReceiver *receiver);
extern Datum reco_sql_value(uint64 row, int column, bool *isnull);
extern void reco_sql_set_local(const char *name, const char *value);
extern void reco_sql_require_primary(void);
extern void reco_sql_require_read_committed(const char *what);
extern Oid	reco_sql_table(const char *name);
extern bool reco_sql_lock_table(Oid table, int lockmode, int timeout);

#endif							/* RECO_SPI_H */
