/*-------------------------------------------------------------------------
 *
 * message.h
 *	  An event of a shop as JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "zipf.h"

#define MESSAGE_SIZE 256

extern size_t message_make(char *message, int64_t ms, const Zipf *users, const Zipf *products, uint32_t *user);

#endif							/* MESSAGE_H */
