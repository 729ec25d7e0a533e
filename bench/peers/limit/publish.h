/* publish.h: commands on their way to Redis, by a thread of their own. */
#ifndef PUBLISH_H
#define PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

extern void publish_start(int port);

/* Begin a command of so many words, then append each of them. */
extern void publish_command(int words);
extern void publish_word(const char *text, int length);

/* Does the thread keep up, so that publish_command will not block? */
extern bool publish_is_ready(void);
extern void publish_flush(void);

/* Wait until Redis has answered to everything. */
extern void publish_finish(void);
extern int64_t publish_count(void);

#endif
