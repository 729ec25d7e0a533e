/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings of reco and their check hooks.
 *
 * A check hook sees a single value and may run in any process at any time, so
 * it checks the syntax only; whatever depends on other settings, on files or on
 * the catalog is checked by the worker that uses it.  All settings but
 * reco.database take effect on reload.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include <limits.h>

#include "common/catalog_columns.h"
#include "common/guc.h"
#include "common/redis_url.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/varlena.h"

char	   *reco_database = NULL;
char	   *reco_role = NULL;
bool		reco_enabled = true;
char	   *reco_kafka_brokers = NULL;
char	   *reco_kafka_topic = NULL;
char	   *reco_kafka_config = NULL;
char	   *reco_catalog_table = NULL;
char	   *reco_catalog_columns = NULL;
char	   *reco_redis_url = NULL;
char	   *reco_redis_password_file = NULL;
char	   *reco_redis_user_key = NULL;
char	   *reco_redis_trending_key = NULL;
char	   *reco_redis_stamp_key = NULL;
int			reco_redis_ttl = 0;

int			reco_trending_window = 3600;
int			reco_recent_window = 86400;
int			reco_retention = 0;
int			reco_trending_size = 10;
int			reco_trending_max = 1000;
int			reco_max_user_views = 500;
int			reco_top_categories = 3;
int			reco_max_recommendations = 20;

int			reco_max_future = 3600;
int			reco_popularity_interval = 300;
int			reco_product_memory = 1024 * 1024;
int			reco_max_message_bytes = 65536;
int			reco_batch_events = 10000;
int			reco_batch_bytes = 8 * 1024 * 1024;
int			reco_batch_delay = 10;
int			reco_rejected_max_age = 7 * 86400;
int			reco_rejected_max_rows = 100000;
int			reco_rejected_max_bytes = 64 * 1024;

#define YEAR_SECONDS (366 * 86400)

typedef struct StringSetting
{
	const char *name;
	char	  **variable;
	const char *initial;
	GucContext	context;
	const char *description;
	GucStringCheckHook check;
} StringSetting;

typedef struct IntSetting
{
	const char *name;
	int		   *variable;
	int			initial;
	int			min;
	int			max;
	int			unit;
	const char *description;
	const char *detail;
} IntSetting;

/* The message replaces PostgreSQL's own, which would show the value: it may hold a password. */
static bool
guc_check_redis_url(char **newval, void **extra, GucSource source)
{
	RecoRedisUrl url;
	const char *hint;
	const char *wrong;

	if (*newval == NULL || **newval == '\0')
		return true;
	wrong = reco_redis_url_parse(*newval, &url, &hint);
	if (wrong == NULL)
		return true;
	GUC_check_errmsg("invalid value for parameter \"reco.redis_url\"");
	GUC_check_errdetail("%s", wrong);
	GUC_check_errhint("%s", hint);
	return false;
}

static bool
guc_check_template(const char *value, const char *placeholder)
{
	const char *found = value ? strstr(value, placeholder) : NULL;

	if (found != NULL && strstr(found + 1, placeholder) == NULL)
		return true;
	GUC_check_errdetail("The template must hold %s exactly once.", placeholder);
	return false;
}

static bool
guc_check_user_key(char **newval, void **extra, GucSource source)
{
	return guc_check_template(*newval, "{user_id}");
}

static bool
guc_check_trending_key(char **newval, void **extra, GucSource source)
{
	return guc_check_template(*newval, "{window_start}");
}

static bool
guc_check_not_empty(char **newval, void **extra, GucSource source)
{
	if (*newval != NULL && (*newval)[0] != '\0')
		return true;
	GUC_check_errdetail("The value must not be empty.");
	return false;
}

/* PostgreSQL would truncate a longer name. */
static bool
guc_check_role(char **newval, void **extra, GucSource source)
{
	if (*newval == NULL || strlen(*newval) < NAMEDATALEN)
		return true;
	GUC_check_errdetail("The name of a role has at most %d bytes.", NAMEDATALEN - 1);
	return false;
}

/* host[:port] separated by commas */
static bool
guc_check_brokers(char **newval, void **extra, GucSource source)
{
	const char *p;

	for (p = *newval; p != NULL && *p != '\0'; p++)
	{
		if (!isalnum((unsigned char) *p) && strchr(".-_:,[]/ ", *p) == NULL)
		{
			GUC_check_errdetail("Unexpected character \"%c\" in a list of host:port.", *p);
			return false;
		}
	}
	return true;
}

/* table, schema.table or database.schema.table, each part quoted as in SQL */
static bool
guc_check_catalog_table(char **newval, void **extra, GucSource source)
{
	char	   *copy;
	List	   *names;
	bool		valid;

	if (*newval == NULL || **newval == '\0')
		return true;
	copy = pstrdup(*newval);
	valid = SplitIdentifierString(copy, '.', &names) && list_length(names) <= 3;
	list_free(names);
	pfree(copy);
	if (!valid)
		GUC_check_errdetail("Expected the name of a table with its schema, such as \"public.products\".");
	return valid;
}

static bool
guc_check_catalog_columns(char **newval, void **extra, GucSource source)
{
	RecoCatalogColumns columns;

	if (reco_catalog_columns_parse(*newval, &columns))
		return true;
	GUC_check_errdetail("Expected a list such as \"product_id=sku, category=path\".");
	return false;
}

static const StringSetting string_settings[] = {
	{"reco.database", &reco_database, "postgres", PGC_POSTMASTER,
	"Sets the database that reco serves.", guc_check_not_empty},
	{"reco.role", &reco_role, "", PGC_SIGHUP,
	"Sets the role that the workers connect as; if empty, they run as the extension's owner.", guc_check_role},
	{"reco.kafka_brokers", &reco_kafka_brokers, "", PGC_SIGHUP,
	"Sets the Kafka brokers, as host:port separated by commas; if empty, Kafka is not used.", guc_check_brokers},
	{"reco.kafka_topic", &reco_kafka_topic, "user_activity", PGC_SIGHUP,
	"Sets the Kafka topic that contains the shoppers' activity.", guc_check_not_empty},
	{"reco.kafka_config", &reco_kafka_config, "", PGC_SIGHUP,
	"Sets the file of librdkafka properties, with one key=value per line.", NULL},
	{"reco.catalog_table", &reco_catalog_table, "", PGC_SIGHUP,
	"Sets the catalog table, schema-qualified; if empty, there is no catalog.", guc_check_catalog_table},
	{"reco.catalog_columns", &reco_catalog_columns, "", PGC_SIGHUP,
		"Maps product_id and category to columns of the catalog that have other names.",
	guc_check_catalog_columns},
	{"reco.redis_url", &reco_redis_url, "", PGC_SIGHUP,
	"Sets the Redis server, as redis://user@host:port/db; if empty, nothing is published.", guc_check_redis_url},
	{"reco.redis_password_file", &reco_redis_password_file, "", PGC_SIGHUP,
	"Sets the file whose first line is the password for Redis.", NULL},
	{"reco.redis_user_key", &reco_redis_user_key, "{user_id}", PGC_SIGHUP,
	"Sets the template of the Redis key of a user's list.", guc_check_user_key},
	{"reco.redis_trending_key", &reco_redis_trending_key, "trending:{window_start}", PGC_SIGHUP,
	"Sets the template of the Redis key of a window's trending products.", guc_check_trending_key},
	{"reco.redis_stamp_key", &reco_redis_stamp_key, "reco:stamp", PGC_SIGHUP,
	"Sets the Redis key that identifies the publisher and reveals lost data.", guc_check_not_empty},
};

static const IntSetting int_settings[] = {
	{"reco.redis_ttl", &reco_redis_ttl, 0, 0, YEAR_SECONDS, GUC_UNIT_S,
		"Sets the time after which a user's key expires unless it is published again.",
	"Values below reco.recent_window + reco.max_future + 1 hour, including 0, are raised to that."},
	{"reco.trending_window", &reco_trending_window, 3600, 1, 7 * 86400, GUC_UNIT_S,
	"Sets the length of a window of trending products.", NULL},
	{"reco.recent_window", &reco_recent_window, 86400, 1, YEAR_SECONDS, GUC_UNIT_S,
	"Sets how long a view counts for its user's recommendations.", NULL},
	{"reco.retention", &reco_retention, 0, 0, 2 * YEAR_SECONDS, GUC_UNIT_S,
		"Sets how long activity is kept.",
	"Values below reco.recent_window + reco.trending_window, including 0, are raised to that."},
	{"reco.trending_size", &reco_trending_size, 10, 1, 10000, 0,
	"Sets the lowest rank at which a window's products are trending.", NULL},
	{"reco.trending_max", &reco_trending_max, 1000, 1, 100000, 0,
		"Sets the maximum number of a window's trending products, including ties.",
	"Of the products that tie for the last places, the first by product_id are kept."},
	{"reco.max_user_views", &reco_max_user_views, 500, 1, 100000, 0,
	"Sets the number of a user's latest views that count.", NULL},
	{"reco.top_categories", &reco_top_categories, 3, 1, 1000, 0,
	"Sets the lowest rank at which a user's categories are recommended from.", NULL},
	{"reco.max_recommendations", &reco_max_recommendations, 20, 0, 100000, 0,
	"Sets the maximum length of a user's list; 0 means no limit.", NULL},
	{"reco.max_future", &reco_max_future, 3600, 0, 30 * 86400, GUC_UNIT_S,
	"Sets how far an event's time may be in the future.", NULL},
	{"reco.popularity_interval", &reco_popularity_interval, 300, 1, 86400, GUC_UNIT_S,
	"Sets how often the products' popularity is computed.", NULL},
	{"reco.product_memory", &reco_product_memory, 1024 * 1024, 4096, MAX_KILOBYTES, GUC_UNIT_KB,
		"Sets the maximum shared memory for the products of the catalog.",
	"It is allocated as products come, about 100 bytes for each, and up to twice as much during changes."},
	{"reco.max_message_bytes", &reco_max_message_bytes, 65536, 64, 100 * 1024 * 1024, GUC_UNIT_BYTE,
	"Sets the size above which a Kafka message is rejected.", NULL},
	{"reco.batch_events", &reco_batch_events, 10000, 1, 100000, 0,
	"Sets the maximum number of Kafka messages in a transaction.", NULL},
	{"reco.batch_bytes", &reco_batch_bytes, 8 * 1024 * 1024, 1024, 256 * 1024 * 1024, GUC_UNIT_BYTE,
	"Sets the maximum size of the Kafka messages in a transaction.", NULL},
	{"reco.batch_delay", &reco_batch_delay, 10, 0, 10000, GUC_UNIT_MS,
	"Sets the minimum time between the starts of two batches of Kafka messages that are not full.", NULL},
	{"reco.rejected_max_age", &reco_rejected_max_age, 7 * 86400, 1, YEAR_SECONDS, GUC_UNIT_S,
	"Sets how long a message is kept in reco.rejected.", NULL},
	{"reco.rejected_max_rows", &reco_rejected_max_rows, 100000, 0, 100000000, 0,
	"Sets the maximum number of messages kept in reco.rejected.", NULL},
	{"reco.rejected_max_bytes", &reco_rejected_max_bytes, 64 * 1024, 0, INT_MAX, GUC_UNIT_KB,
	"Sets the maximum size of the messages kept in reco.rejected.", NULL},
};

/* Define every setting; called once, from _PG_init. */
void
reco_guc_define(void)
{
	DefineCustomBoolVariable("reco.enabled", "Runs reco's workers.",
							 "When off, time stands still and the workers leave the database.",
							 &reco_enabled, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	for (int i = 0; i < lengthof(string_settings); i++)
	{
		const StringSetting *s = &string_settings[i];

		DefineCustomStringVariable(s->name, s->description, NULL, s->variable, s->initial,
								   s->context, 0, s->check, NULL, NULL);
	}
	for (int i = 0; i < lengthof(int_settings); i++)
	{
		const IntSetting *s = &int_settings[i];

		DefineCustomIntVariable(s->name, s->description, s->detail, s->variable, s->initial,
								s->min, s->max, PGC_SIGHUP, s->unit, NULL, NULL, NULL);
	}
	MarkGUCPrefixReserved("reco");
}

/* The retention in effect, in seconds: at least what the views need. */
int
reco_guc_retention(void)
{
	return Max(reco_retention, reco_recent_window + reco_trending_window);
}

/* The TTL of a user's key in effect, in seconds: a key must outlive its row. */
int
reco_guc_redis_ttl(void)
{
	return Max(reco_redis_ttl, reco_recent_window + reco_max_future + 3600);
}
