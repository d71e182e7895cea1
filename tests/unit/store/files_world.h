/* A spool on real files in a temporary folder, with its threads. */
#ifndef TEST_FILES_WORLD_H
#define TEST_FILES_WORLD_H

#include "store/spool.h"

struct files_world {
	char path[64];
	int wakes;
	struct spool_config config;
	char message[SPOOL_MESSAGE_SIZE];
};

void *files_make(void); /* small segments, checkpoints and slack */
void files_destroy(void *world);
struct store *files_open(void *world); /* NULL: message says why */
struct store *files_reopen(void *world, struct store *store);
struct store *files_kill(void *world,
			 struct store *store); /* the process dies, as far as the store can tell */
void files_wait(void *world); /* until the store wants to be polled; fails the test after a long time */

#endif
