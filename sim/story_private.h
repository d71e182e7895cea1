/* Between the files of stories: story.c (reading, what happens), story_server.c (moods), story_expect.c (what
 * must come of it).
 */
#ifndef SIM_STORY_PRIVATE_H
#define SIM_STORY_PRIVATE_H

#include "sim/scene.h"

enum { STORY_WORDS_MAX = 16, STORY_WORD_SIZE = 48 };

struct story {
	struct sim_scene scene;
	const char *path;
	unsigned line;
	bool failed;
	char words[STORY_WORDS_MAX][STORY_WORD_SIZE];
	size_t count;
	struct sim_event kill;
	double kill_at_ack, kill_at_stored;
	uint64_t connects_at_mark[SIM_SERVERS_MAX], stored_at_mark[SIM_SERVERS_MAX];
	bool calmed;
};

/* False: the words are not understood. What is understood but not so, is said with story_fail. */
bool story_server(struct story *story, struct sim_server *server);
bool story_expect(struct story *story);

void story_fail(struct story *story, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The word number i, or "". */
const char *story_word(const struct story *story, size_t i);
bool story_is(const struct story *story, size_t i, const char *word);
bool story_time(const struct story *story, size_t i, int64_t *ret_us);
bool story_number(const struct story *story, size_t i, uint64_t *ret_number);
bool story_chance(const struct story *story, size_t i, double *ret_chance);
struct sim_server *story_find_server(struct story *story, size_t i);
size_t story_find_domain(const struct story *story, size_t i); /* SIM_DOMAINS_MAX: none */

#endif
