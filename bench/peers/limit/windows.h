/* windows.h: the views of each hour. */
#ifndef WINDOWS_H
#define WINDOWS_H

#include <stdint.h>

#define WINDOW 3600

extern void windows_add(int64_t second, int32_t product);

/* Drop those before this second. */
extern void windows_drop(int64_t horizon);

/* Make popularity the sum of the windows that start after this second. */
extern void windows_count_popularity(int64_t after);

/* Publish those whose top has changed. */
extern void windows_publish(void);

#endif
