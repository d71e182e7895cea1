/* The administration without a relay: answers from a small fixed world, when the test wants it to.
 *
 * Each call is written down in `heard` as text ("add example.com a.example.com:25"), and waits until
 * fake_relay_run completes it with `result`. Time is the test's.
 */
#ifndef TEST_FAKE_RELAY_H
#define TEST_FAKE_RELAY_H

#include "base/list.h"
#include "relay/admin.h"

struct relay {
	struct clock clock;
	struct clock_reading now;
	struct list calls;
	size_t waiting;	  /* calls not completed */
	char heard[2048]; /* the last call */
	size_t heard_count;
	bool silent;		    /* fake_relay_run completes nothing */
	struct admin_result result; /* of the next completions */
	const char *fail_key;	    /* set: this key is refused */

	/* the world */
	size_t lane_count, domains_per_lane;
	const char *lane_name;		 /* of every lane; NULL: "mail0.example.net:25"... */
	const char *reason, *last_reply; /* of every lane and domain; the test's bytes */
	size_t message_count;		 /* in the queue; ids 1000, 1001... */
	size_t recipients_per_message;
	uint64_t content_bytes;	  /* of each message */
	size_t pieces;		  /* handed out by cat */
	uint64_t fail_content_at; /* cat fails at this offset; 0: never */
	size_t end_count;
	size_t recipient_count; /* that are known, of each domain */
	struct admin_space_view space;
	bool share_used_up; /* of every domain */
};

void fake_relay_init(struct relay *relay);
void fake_relay_run(struct relay *relay);
/* As relay_free: what waits completes with ERR_STATE. */
void fake_relay_deinit(struct relay *relay);

/* Byte of the content at this offset. */
char fake_content_byte(uint64_t offset);

#endif
