/* What several tests do on the stage: servers that answer by themselves, restarts, a store that is watched.
 */
#ifndef TEST_RELAY_STAGE_H
#define TEST_RELAY_STAGE_H

#include "play.h"

struct servers {
	struct play *play;
	bool in_data[PLAY_PEERS_MAX];
	char commands[PLAY_PEERS_MAX][65536];	/* what came and was not looked at yet */
	char recipients[PLAY_PEERS_MAX][65536]; /* of the present transaction */
	char delivered[65536];			/* "address server:port\n" for each */
	uint32_t messages;
	/* What server number peer says to this line; NULL: the usual. */
	const char *(*reply)(struct servers *servers, size_t peer, const char *line);
};

struct servers *servers_new(struct play *play);
/* Takes each call, and answers all that was said so far. */
void servers_answer(struct servers *servers);
/* Does so again and again while time goes by. */
void servers_work(struct servers *servers, int64_t ms, int64_t step_ms);

int stage_times(const char *text, const char *what); /* how often what stands in text */
void stage_fail(struct play *play, double failed);   /* so many of the store's operations fail */
/* The process dies and starts again, without its state being read yet. */
void stage_restart(struct play *play);
bool stage_serves(struct play *play, const char *domain);
void stage_set_hosts(struct play *play, const char *domain, const char *hosts);

enum { STAGE_IDS_MAX = 16 };
/* The held messages; returns how many. */
size_t stage_ids(struct play *play, uint64_t ret_ids[STAGE_IDS_MAX]);

/* The store's walks and puts are counted, and its credit is in the hands of the test. */
struct watched_store {
	const struct store_ops *real;
	struct store_ops ops;
	uint32_t walks, puts;
	bool no_credit;
	void (*room)(void *owner); /* whom to tell that there is credit again */
	void *room_owner;
};
struct watched_store *stage_watch(struct play *play); /* one at a time; not to be freed */

#endif
