/*-------------------------------------------------------------------------
 *
 * worker_health.c
 *	  The health of a worker, judged by readers of its status.
 *
 * A worker that is stopped, waits for a lock or hangs cannot report that itself:
 * its last report is judged by its age.  Lags grow while nothing moves: a
 * worker's report is valid for a moment only, and the publisher's lag is taken
 * from the change queue.  Takes no lock, and reads no table.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xlog.h"
#include "common/guc.h"
#include "common/text_clean.h"
#include "functions/worker_health.h"
#include "shmem/change_queue.h"

/* A process without a tick for so long has been stopped; ms. */
#define DEAD_MS 4000

/* How long a worker's report of its lag is valid. */
#define REPORT_MS 3000

/* A peer, which is asked all the time, should answer within this. */
#define ANSWER_MS 5000

/* A longer wait for a lock is reported. */
#define BLOCKED_MS 1000

/* A round should end within this, unless it is a rebuild. */
#define ROUND_MS 60000

/* The launcher should restart a worker within this. */
#define RESTART_MS 20000

static const char *const health_names[] = {
	[RECO_HEALTH_OK] = "ok",
	[RECO_HEALTH_OFF] = "off",
	[RECO_HEALTH_STARTING] = "starting",
	[RECO_HEALTH_REBUILDING] = "rebuilding",
	[RECO_HEALTH_REJECTING] = "rejecting",
	[RECO_HEALTH_WAITING] = "waiting",
	[RECO_HEALTH_FAILING] = "failing",
};

static const char *const peer_names[] = {
	[RECO_PEER_NONE] = "nobody",
	[RECO_PEER_KAFKA] = "Kafka",
	[RECO_PEER_REDIS] = "Redis",
};

const char *
reco_health_name(RecoHealth health)
{
	return health_names[health];
}

/* Append to the state, and worsen the health. */
pg_attribute_printf(3, 4)
static void
health_add(RecoJudgement *judgement, RecoHealth health, const char *fmt,...)
{
	char		text[512];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	judgement->health = Max(judgement->health, health);
	if (judgement->state.len > 0)
		appendStringInfoString(&judgement->state, "; ");
	appendStringInfoString(&judgement->state, text);
}

static double
health_seconds(int64 ms)
{
	return ms / 1000.0;
}

/* Milliseconds since when the peer has not answered; 0: not for long. */
static int64
health_unanswered(const RecoWorkerStatus *status)
{
	int64		since;

	if (status->pid == 0 || status->peer == RECO_PEER_NONE)
		return 0;
	since = reco_monotonic_since(Max(status->answered, status->expected));
	return since > ANSWER_MS ? since : 0;
}

/* Judge a worker that does not run. */
static void
health_judge_absent(RecoJudgement *judgement, const RecoWorkerStatus *status)
{
	int64		since = reco_monotonic_since(status->ended);

	if (judgement->health != RECO_HEALTH_OFF && judgement->health != RECO_HEALTH_WAITING &&
		status->ended != 0 && since > RESTART_MS)
		health_add(judgement, RECO_HEALTH_FAILING, "has not been started again for %.0f s", health_seconds(since));
}

/* Judge a worker that runs. */
static void
health_judge_present(RecoJudgement *judgement, const RecoWorkerStatus *status, bool blocked)
{
	int64		silent = reco_monotonic_since(status->alive);
	int64		round = reco_monotonic_since(status->round);
	int64		owed = health_unanswered(status);

	if (silent > DEAD_MS)
	{
		health_add(judgement, RECO_HEALTH_FAILING, "the process does not answer for %.0f s", health_seconds(silent));
		return;
	}
	if (blocked)
	{
		if (round > BLOCKED_MS)
			health_add(judgement, RECO_HEALTH_WAITING, "waits for a lock for %.0f s", health_seconds(round));
		return;
	}
	if (judgement->health == RECO_HEALTH_REBUILDING)
		return;

	/* Kafka is not polled while a batch is written */
	if (owed > 0 && (status->peer == RECO_PEER_REDIS || round < ANSWER_MS))
		health_add(judgement, RECO_HEALTH_WAITING, "%s has not answered for %.0f s",
				   peer_names[status->peer], health_seconds(owed));
	else if (round > ROUND_MS)
		health_add(judgement, RECO_HEALTH_FAILING, "has made no progress for %.0f s", health_seconds(round));
}

static void
health_judge_troubles(RecoJudgement *judgement, const RecoWorkerStatus *status)
{
	for (int i = 0; i < RECO_TROUBLES; i++)
	{
		const RecoTrouble *trouble = &status->troubles[i];

		if (!trouble->open)
			continue;
		if (i == RECO_TROUBLE_REJECTING || strcmp(trouble->text, status->error) != 0)
			health_add(judgement, trouble->health, "%.*s", (int) sizeof(trouble->text), trouble->text);
		else
			judgement->health = Max(judgement->health, trouble->health);
	}
}

/* The lag by the worker's own report; once that is out of date, the lag grows. */
static void
health_lag_by_report(RecoJudgement *judgement, const RecoWorkerStatus *status)
{
	int64		age = reco_monotonic_since(status->reported);

	judgement->lag_messages = judgement->lag_seconds = -1;
	if (status->reported == 0 || status->lag_seconds < 0)
		return;
	judgement->lag_seconds = status->lag_seconds;
	if (status->pid != 0 && age < REPORT_MS && health_unanswered(status) == 0 &&
		!status->troubles[RECO_TROUBLE_KAFKA].open && !status->troubles[RECO_TROUBLE_PARTITION].open)
		judgement->lag_messages = status->lag_messages;
	else
		judgement->lag_seconds += health_seconds(age);
}

/*
 * The publisher's lag: what Redis lacks.  If Redis does not answer, it may lack
 * data even if there is nothing to send.
 */
static void
health_lag_of_publish(RecoJudgement *judgement, const RecoWorkerStatus *status)
{
	RecoBacklog backlog = reco_queue_backlog();
	int64		silent = status->answered == 0 ? 0 : reco_monotonic_since(status->answered);
	int64		age = backlog.since == 0 ? 0 : reco_monotonic_since(backlog.since);

	judgement->lag_messages = backlog.keys;
	judgement->lag_seconds = health_seconds(Max(0, silent > ANSWER_MS ? Max(age, silent) : age));
}

static void
health_judge_lag(RecoJudgement *judgement, RecoWorkerId worker, const RecoWorkerStatus *status)
{
	if (worker != RECO_PUBLISH)
		health_lag_by_report(judgement, status);
	else if (reco_redis_url[0] != '\0')
		health_lag_of_publish(judgement, status);
}

/* Judge a worker's status; blocked: it waits for a lock. */
RecoJudgement
reco_health_judge(RecoWorkerId worker, const RecoWorkerStatus *status, bool blocked)
{
	RecoJudgement judgement = {.health = status->health,.lag_messages = -1,.lag_seconds = -1};

	initStringInfo(&judgement.state);
	appendStringInfoString(&judgement.state, status->state);
	judgement.error_is_over = !status->troubles[status->error_kind].open;
	if (RecoveryInProgress())
	{
		resetStringInfo(&judgement.state);
		judgement.health = RECO_HEALTH_OFF;
		health_add(&judgement, RECO_HEALTH_OFF, "standby: reco works on the primary");
		return judgement;
	}
	health_judge_lag(&judgement, worker, status);
	if (status->pid == 0)
		health_judge_absent(&judgement, status);
	else
		health_judge_present(&judgement, status, blocked);
	if (status->health != RECO_HEALTH_OFF)
		health_judge_troubles(&judgement, status);
	reco_text_clean(judgement.state.data);
	return judgement;
}
