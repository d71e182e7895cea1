/* Asking a store and waiting for the answer. Shared by the tests of the store. */
#ifndef TEST_CONTRACT_HELP_H
#define TEST_CONTRACT_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store_contract.h"

struct contract {
	const struct contract_backend *backend;
	void *world;
	struct store *store;
};

struct answer {
	int calls;
	int order; /* of completion, from 1 on */
	enum store_result result;
	enum store_reason reason;
};

/* For a store that nobody needs to wait for or open again. */
extern const struct contract_backend help_plain;

enum { FOUND_MAX = STORE_WALK_MAX, FOUND_BODY_MAX = 4 * 1024 * 1024 };

/* A walk's answer, kept beyond the call. */
struct found {
	struct answer answer;
	size_t count;
	bool more;
	uint64_t id[FOUND_MAX], version[FOUND_MAX], body_bytes[FOUND_MAX];
	uint32_t recipients[FOUND_MAX];
	enum store_recipient_state state[FOUND_MAX][4];
	char forward_path[FOUND_MAX][64];	    /* of the first recipient */
	uint8_t reason[FOUND_MAX];		    /* of the first recipient */
	int64_t not_before_ms[FOUND_MAX];	    /* of the first recipient */
	char reply[FOUND_MAX][STORE_REPLY_MAX + 1]; /* of the first recipient */
	char reverse_path[FOUND_MAX][64];
};

struct pairs {
	struct answer answer;
	size_t count;
	bool more;
	char key[FOUND_MAX][STORE_KEY_MAX + 1];
	size_t value_size[FOUND_MAX];
	char value[FOUND_MAX][64];
};

struct ends {
	struct answer answer;
	size_t count;
	bool more;
	uint64_t id[FOUND_MAX];
	int64_t ended_ms[FOUND_MAX], accepted_ms[FOUND_MAX];
	enum store_recipient_state state[FOUND_MAX];
	bool at_door[FOUND_MAX];
	char forward_path[FOUND_MAX][64], relay[FOUND_MAX][64], reply[FOUND_MAX][64];
};

void help_wait(struct contract *c, const struct answer *answer); /* fails the test when nothing comes */
void help_done(void *owner, enum store_result result, enum store_reason reason); /* owner: struct answer */

/* Recipients "u0@example.com"... one per domain given. */
struct store_envelope help_envelope(struct store_recipient *recipients, const uint32_t *domains,
				    uint32_t count, int64_t arrival_ms);
struct answer help_commit(struct contract *c, uint64_t id, const struct store_envelope *envelope,
			  struct slice prefix, struct slice body);
/* One recipient, arrival = id, body "body of <id>"; must be OK. */
void help_store(struct contract *c, uint64_t id, uint32_t domain);
struct answer help_amend(struct contract *c, uint64_t id, uint64_t version, uint32_t recipient,
			 enum store_recipient_state state, const char *reply, int64_t wall_ms);
struct answer help_change(struct contract *c, uint64_t id, const struct store_change *change,
			  int64_t wall_ms);
/* Lent until the next call of the same kind. */
const struct found *help_walk(struct contract *c, uint32_t domain, uint64_t after, size_t max);
const struct found *help_find(struct contract *c, uint64_t id);
const struct pairs *help_get(struct contract *c, struct slice key);
const struct pairs *help_scan(struct contract *c, struct slice prefix, struct slice after, size_t max);
const struct ends *help_ends(struct contract *c, int64_t since_ms, int64_t before_ms, uint64_t skip,
			     size_t max);
struct answer help_put(struct contract *c, struct slice key, struct slice value);
/* The whole body in pieces of at most `piece` bytes; -1 when a read fails (ret_answer says why). */
int64_t help_read(struct contract *c, uint64_t id, size_t piece, char *to, size_t room,
		  struct answer *ret_answer);
void help_reopen(struct contract *c);
/* accepted == queued + ended, and queued is what is counted. */
void help_totals(struct contract *c, uint64_t accepted, uint64_t queued, uint64_t delivered);

#endif
