/*-------------------------------------------------------------------------
 *
 * worker_health.c
 *	  How a worker is, judged by who looks.
 *
 * A worker that is stopped, waits for a lock or hangs cannot say so: what it
 * said last is judged here by its age.  Lags grow while nothing moves: a
 * worker's own word holds for a moment only, the publisher's lag is what the
 * change queue holds.  No lock is taken, no table is read.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xlog.h"
#include "common/guc.h"
#include "common/text_clean.h"
#include "functions/worker_health.h"
#include "shmem/change_queue.h"

/* A process that has not ticked for so long has been stopped; ms. */
#define DEAD_MS 4000

/* What a worker said of its lag holds for so long. */
#define REPORT_MS 3000

/* Who is asked all the time should have answered within this. */
#define ANSWER_MS 5000

/* A wait for a lock that is longer than this is worth a word. */
#define BLOCKED_MS 1000

/* A round that is no rebuild should have ended. */
#define ROUND_MS 60000

/* The launcher should have started a worker again. */
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

/* What else is to be said, and how bad it is. */
pg_attribute_printf(3, 4)
static void
add(RecoJudgement *judgement, RecoHealth health, const char *fmt,...)
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
seconds(int64 ms)
{
	return ms / 1000.0;
}

/* Milliseconds for which the peer has owed an answer; 0: it has not for long. */
static int64
unanswered(const RecoWorkerStatus *status)
{
	int64		since;

	if (status->pid == 0 || status->peer == RECO_PEER_NONE)
		return 0;
	since = reco_monotonic_since(Max(status->answered, status->expected));
	return since > ANSWER_MS ? since : 0;
}

/* It does not run. */
static void
judge_absent(RecoJudgement *judgement, const RecoWorkerStatus *status)
{
	int64		since = reco_monotonic_since(status->ended);

	if (judgement->health != RECO_HEALTH_OFF && judgement->health != RECO_HEALTH_WAITING &&
		status->ended != 0 && since > RESTART_MS)
		add(judgement, RECO_HEALTH_FAILING, "has not been started again for %.0f s", seconds(since));
}

/* It runs, or should. */
static void
judge_present(RecoJudgement *judgement, const RecoWorkerStatus *status, bool blocked)
{
	int64		silent = reco_monotonic_since(status->alive);
	int64		round = reco_monotonic_since(status->round);
	int64		owed = unanswered(status);

	if (silent > DEAD_MS)
	{
		add(judgement, RECO_HEALTH_FAILING, "the process does not answer for %.0f s", seconds(silent));
		return;
	}
	if (blocked)
	{
		if (round > BLOCKED_MS)
			add(judgement, RECO_HEALTH_WAITING, "waits for a lock for %.0f s", seconds(round));
		return;
	}
	if (judgement->health == RECO_HEALTH_REBUILDING)
		return;

	/* Kafka is not asked while a batch is written. */
	if (owed > 0 && (status->peer == RECO_PEER_REDIS || round < ANSWER_MS))
		add(judgement, RECO_HEALTH_WAITING, "%s has not answered for %.0f s",
			peer_names[status->peer], seconds(owed));
	else if (round > ROUND_MS)
		add(judgement, RECO_HEALTH_FAILING, "has made no progress for %.0f s", seconds(round));
}

static void
judge_troubles(RecoJudgement *judgement, const RecoWorkerStatus *status)
{
	for (int i = 0; i < RECO_TROUBLES; i++)
	{
		const RecoTrouble *trouble = &status->troubles[i];

		if (!trouble->open)
			continue;
		if (i == RECO_TROUBLE_REJECTING || strcmp(trouble->text, status->error) != 0)
			add(judgement, trouble->health, "%.*s", (int) sizeof(trouble->text), trouble->text);
		else
			judgement->health = Max(judgement->health, trouble->health);
	}
}

/* The worker's own word on its lag, as long as it holds; then the lag grows. */
static void
lag_by_report(RecoJudgement *judgement, const RecoWorkerStatus *status)
{
	int64		age = reco_monotonic_since(status->reported);

	judgement->lag_messages = judgement->lag_seconds = -1;
	if (status->reported == 0 || status->lag_seconds < 0)
		return;
	judgement->lag_seconds = status->lag_seconds;
	if (status->pid != 0 && age < REPORT_MS && unanswered(status) == 0 &&
		!status->troubles[RECO_TROUBLE_KAFKA].open && !status->troubles[RECO_TROUBLE_PARTITION].open)
		judgement->lag_messages = status->lag_messages;
	else
		judgement->lag_seconds += seconds(age);
}

/*
 * What Redis lacks.  With nothing to send, one that does not answer may lack
 * it all the same.
 */
static void
lag_of_publish(RecoJudgement *judgement, const RecoWorkerStatus *status)
{
	RecoBacklog backlog = reco_queue_backlog();
	int64		silent = status->answered == 0 ? 0 : reco_monotonic_since(status->answered);
	int64		age = backlog.since == 0 ? 0 : reco_monotonic_since(backlog.since);

	judgement->lag_messages = backlog.keys;
	judgement->lag_seconds = seconds(Max(0, silent > ANSWER_MS ? Max(age, silent) : age));
}

static void
judge_lag(RecoJudgement *judgement, RecoWorkerId worker, const RecoWorkerStatus *status)
{
	if (worker != RECO_PUBLISH)
		lag_by_report(judgement, status);
	else if (reco_redis_url[0] != '\0')
		lag_of_publish(judgement, status);
}

/* Judge what a worker said of itself; blocked: it waits for a lock. */
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
		add(&judgement, RECO_HEALTH_OFF, "standby: reco works on the primary");
		return judgement;
	}
	judge_lag(&judgement, worker, status);
	if (status->pid == 0)
		judge_absent(&judgement, status);
	else
		judge_present(&judgement, status, blocked);
	if (status->health != RECO_HEALTH_OFF)
		judge_troubles(&judgement, status);
	reco_text_clean(judgement.state.data);
	return judgement;
}
