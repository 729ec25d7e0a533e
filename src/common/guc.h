/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings of reco; docs/configuration.md describes each.
 *
 * Times are in seconds, but for reco_batch_delay (milliseconds); sizes in
 * bytes, but for reco_rejected_max_bytes (kB).
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_GUC_H
#define RECO_GUC_H

/* connections and names */
extern char *reco_database;
extern char *reco_role;
extern bool reco_enabled;
extern char *reco_kafka_brokers;
extern char *reco_kafka_topic;
extern char *reco_kafka_config;
extern char *reco_catalog_table;
extern char *reco_catalog_columns;
extern char *reco_redis_url;
extern char *reco_redis_password_file;
extern char *reco_redis_user_key;
extern char *reco_redis_trending_key;
extern char *reco_redis_stamp_key;
extern int	reco_redis_ttl;

/* parameters of the derived state; those in effect are in reco.state (state.h) */
extern int	reco_trending_window;
extern int	reco_recent_window;
extern int	reco_retention;
extern int	reco_trending_size;
extern int	reco_trending_max;
extern int	reco_max_user_views;
extern int	reco_top_categories;
extern int	reco_max_recommendations;

/* how the state is maintained */
extern int	reco_max_future;
extern int	reco_popularity_interval;
extern int	reco_product_memory;
extern int	reco_max_message_bytes;
extern int	reco_batch_events;
extern int	reco_batch_bytes;
extern int	reco_batch_delay;
extern int	reco_rejected_max_age;
extern int	reco_rejected_max_rows;
extern int	reco_rejected_max_bytes;

extern void reco_guc_define(void);
extern int	reco_guc_retention(void);
extern int	reco_guc_redis_ttl(void);

#endif							/* RECO_GUC_H */
