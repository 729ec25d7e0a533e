/*-------------------------------------------------------------------------
 *
 * login.c
 *	  The password for Redis, and the meaning of its error replies; no sockets.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/private_file.h"
#include "common/string.h"
#include "redis/login.h"
#include "storage/fd.h"

#define CLUSTER_HINT "reco does not publish to a Redis Cluster yet: let reco.redis_url name a server that is none."

/* The first version whose HSET takes several fields. */
#define OLDEST_MAJOR 4

/* What the first word of an error reply means. */
typedef struct ReplyError
{
	const char *word;
	int			sqlstate;
	const char *hint;
} ReplyError;

static const ReplyError reply_errors[] = {
	{"READONLY", ERRCODE_READ_ONLY_SQL_TRANSACTION, "Let reco.redis_url name the primary."},
	{"OOM", ERRCODE_INSUFFICIENT_RESOURCES, "Raise Redis's maxmemory."},
	{"MISCONF", ERRCODE_IO_ERROR, "Redis cannot save its data: check its log and disk."},
	{"LOADING", ERRCODE_CANNOT_CONNECT_NOW, "Redis loads its data and will be ready soon."},
	{"BUSY", ERRCODE_CANNOT_CONNECT_NOW, "A script blocks Redis."},
	{"MASTERDOWN", ERRCODE_CANNOT_CONNECT_NOW, "Let reco.redis_url name the primary."},
	{"NOREPLICAS", ERRCODE_CANNOT_CONNECT_NOW, "Redis lacks the replicas that it must have to write."},
	{"NOAUTH", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, "Set reco.redis_password_file."},
	{"WRONGPASS", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"Check the user in reco.redis_url and the first line of reco.redis_password_file."},
	{"NOPERM", ERRCODE_INSUFFICIENT_PRIVILEGE, "Check the Redis ACL of the user in reco.redis_url."},
	{"DENIED", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"Redis is in protected mode: give it a password, and reco.redis_password_file its file."},
	{"WRONGTYPE", ERRCODE_WRONG_OBJECT_TYPE,
	"A key is another application's: delete it, or change the templates of reco's keys."},
	{"MOVED", ERRCODE_FEATURE_NOT_SUPPORTED, CLUSTER_HINT},
	{"ASK", ERRCODE_FEATURE_NOT_SUPPORTED, CLUSTER_HINT},
	{"CROSSSLOT", ERRCODE_FEATURE_NOT_SUPPORTED, CLUSTER_HINT},
	{"CLUSTERDOWN", ERRCODE_FEATURE_NOT_SUPPORTED, CLUSTER_HINT},
	{NULL, ERRCODE_EXTERNAL_ROUTINE_EXCEPTION, NULL}
};

/* See the header. */
char *
reco_redis_read_password(const char *path)
{
	FILE	   *file;
	char	   *line;

	if (path == NULL || *path == '\0')
		return NULL;
	file = AllocateFile(path, "r");
	if (file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read password file \"%s\": %m", path)));
	reco_private_file_check(file, "password file", path);
	line = pg_get_line(file, NULL);
	FreeFile(file);
	if (line == NULL || pg_strip_crlf(line) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("the first line of password file \"%s\" is empty", path)));
	return line;
}

/* The value of a line "name:value" in INFO; NULL if there is none. */
static const char *
login_info_value(const char *info, const char *name)
{
	const char *at = strstr(info, name);

	return at != NULL ? at + strlen(name) : NULL;
}

/* See the header. */
const char *
reco_redis_check_info(const char *info, const char **hint)
{
	const char *mode = login_info_value(info, "\nredis_mode:");
	const char *version = login_info_value(info, "\nredis_version:");

	if (mode != NULL && strncmp(mode, "cluster", 7) == 0)
	{
		*hint = CLUSTER_HINT;
		return "it is a node of a Redis Cluster";
	}
	if (mode != NULL && strncmp(mode, "sentinel", 8) == 0)
	{
		*hint = "Let reco.redis_url name the primary that the Sentinel watches.";
		return "it is a Redis Sentinel";
	}
	if (version != NULL && *version >= '0' && *version <= '9' && atoi(version) < OLDEST_MAJOR)
	{
		*hint = psprintf("Use Redis %d or later.", OLDEST_MAJOR);
		return "it is too old";
	}
	return NULL;
}

/* Raise an error reply as an ERROR. */
void
reco_redis_raise(const char *where, const char *reply)
{
	const ReplyError *known = reply_errors;
	size_t		length = strcspn(reply, " ");

	while (known->word &&
		   (strlen(known->word) != length || strncmp(known->word, reply, length) != 0))
		known++;
	ereport(ERROR,
			(errcode(known->sqlstate),
			 errmsg("Redis at %s rejected a command: %s", where, reply),
			 known->hint ? errhint("%s", known->hint) : 0));
}
