/*-------------------------------------------------------------------------
 *
 * reject.c
 *	  Rejecting writes to reco.activity that could not be maintained.
 *
 * Each of them would silently make the derived tables wrong, so it gets an
 * error that says what to do instead.  Takes no lock, changes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "activity/trigger.h"
#include "commands/trigger.h"
#include "common/spi.h"
#include "replication/logicalworker.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(reco_activity_rejected);

/*
 * Trigger that rejects UPDATE of reco.activity, and any write to one of its
 * partitions by name, which would not fire the parent's triggers.  TRUNCATE of
 * the parent also fires the triggers of the partitions.
 */
Datum
reco_activity_rejected(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function was not called by trigger manager")));
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event) && reco_trigger_is_truncating())
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event) &&
		RelationGetRelid(data->tg_relation) == reco_sql_table("activity"))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot update reco.activity"),
				 errdetail("An event that happened does not change."),
				 errhint("Delete the row and insert another one.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot write to partition \"%s\" directly",
					RelationGetRelationName(data->tg_relation)),
			 errhint("Write to reco.activity instead.")));
}

PG_FUNCTION_INFO_V1(reco_activity_replicated);

/*
 * Row trigger of reco.activity, enabled for replicas only: the apply worker of
 * logical replication fires no statement triggers, so its rows would not be
 * counted.
 */
Datum
reco_activity_replicated(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function was not called by trigger manager")));
	if (IsLogicalWorker())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot replicate into reco.activity"),
				 errdetail("Logical replication does not fire the triggers that maintain what is derived from it."),
				 errhint("Send the activity through Kafka, or replicate into another table and insert from there.")));
	return PointerGetDatum(NULL);
}
