/*-------------------------------------------------------------------------
 *
 * stamp.c
 *	  The stamp key: does Redis still hold what was published?
 *
 * The key reco.redis_stamp_key holds "system identifier:timeline:counter".
 * GETSET swaps it for the next counter and gives the old one, after the
 * replies to a batch and before its keys leave the ring.  So Redis may hold
 * the last acknowledged counter, or, if the reply to the last swap was lost,
 * the one that was sent.  Anything else means that Redis lost something since
 * (flushed, restarted empty, an older copy became the primary) or that somebody
 * else publishes: everything is sent again.
 *
 * A stamp of this system on a newer timeline is the work of a server that was
 * promoted: this one must not publish any more.  What it wrote between the
 * promotion and this discovery is overwritten, since the other one finds our
 * stamp in place of its own.
 *
 * Counters come from the clock, so none comes twice, also after a restart
 * that emptied shared memory.  Runs outside transactions.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xlog.h"
#include "common/guc.h"
#include "common/hashfn.h"
#include "redis/stamp.h"
#include "shmem/change_queue.h"
#include "utils/timestamp.h"

/* A hash of the settings that say which keys reco writes where. */
uint32
reco_stamp_target(void)
{
	const char *const settings[] = {
		reco_redis_url, reco_redis_user_key, reco_redis_trending_key, reco_redis_stamp_key
	};
	uint32		hash = 0;

	for (int i = 0; i < lengthof(settings); i++)
		hash = hash_combine(hash, hash_bytes((const unsigned char *) settings[i],
											 strlen(settings[i])));
	return hash;
}

/* Judge the stamp that was found: is it one that we left? */
static void
judge(RecoRedis *redis, const RecoReply *found)
{
	RecoStamp	stamp = reco_ring_stamp();
	unsigned long long system;
	unsigned long long counter;
	unsigned int timeline;

	if (found->type != RECO_REPLY_TEXT && found->type != RECO_REPLY_NIL)
		reco_redis_unexpected(redis, "GET");
	if (found->type == RECO_REPLY_TEXT &&
		sscanf(found->text, "%llu:%u:%llu", &system, &timeline, &counter) == 3 &&
		system == GetSystemIdentifier())
	{
		TimeLineID	own = GetWALInsertionTimeLine();

		if (timeline > own)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("a publisher on a newer timeline of this system writes to Redis"),
					 errdetail("The stamp is of timeline %u, this server is on timeline %u.",
							   timeline, own),
					 errhint("Another server was promoted: stop this one, or let reco.redis_url name another Redis.")));
		if (timeline == own && (counter == stamp.acknowledged || counter == stamp.sent))
		{
			stamp.acknowledged = counter;
			reco_ring_set_stamp(&stamp);
			return;
		}
	}
	reco_ring_request_publish_all();
}

/* Look without changing it, once connected. */
void
reco_stamp_look(RecoRedis *redis)
{
	RecoWord	words[] = {reco_redis_word("GET"), reco_redis_word(reco_redis_stamp_key)};

	judge(redis, reco_redis_call(redis, lengthof(words), words));
}

/* Look and leave a new one, after every batch and while idle. */
void
reco_stamp_swap(RecoRedis *redis)
{
	RecoStamp	stamp = reco_ring_stamp();
	char		text[80];
	RecoWord	words[] = {reco_redis_word("GETSET"), reco_redis_word(reco_redis_stamp_key), {text, 0}};
	RecoReply  *found;

	stamp.sent = Max(stamp.sent + 1, (uint64) GetCurrentTimestamp());
	words[2].length = snprintf(text, sizeof(text), UINT64_FORMAT ":%u:" UINT64_FORMAT,
							   GetSystemIdentifier(), GetWALInsertionTimeLine(), stamp.sent);
	reco_ring_set_stamp(&stamp);
	found = reco_redis_call(redis, lengthof(words), words);
	judge(redis, found);

	stamp.acknowledged = stamp.sent;
	reco_ring_set_stamp(&stamp);
}
