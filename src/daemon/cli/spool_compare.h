/* What an index says and what the log alone says, side by side.
 */
#ifndef DAEMON_CLI_SPOOL_COMPARE_H
#define DAEMON_CLI_SPOOL_COMPARE_H

#include "daemon/cli/spool_tool.h"

/* Ids that are held by the log alone: the index has ended them, or has never heard of them. */
struct compare_id {
	uint64_t id;
	int64_t arrival_ms;
	uint32_t recipients;
	bool ended;			  /* the index says so */
	enum store_recipient_state state; /* how, of the newest end record */
};

struct comparison {
	struct compare_id *log_only;
	size_t log_only_count, log_only_capacity;
	uint64_t *index_only; /* held by the index; the log has no record of them */
	size_t index_only_count, index_only_capacity;
	uint64_t different; /* in both, with another size */
};

/* index and log are open on the same spool. ERR_MEMORY, ERR_IO. comparison_free in every case. */
nodiscard int compare_index(struct spool_tool *index, struct spool_tool *log,
			    struct comparison *ret_comparison);
void comparison_free(struct comparison *comparison);
size_t comparison_ended(const struct comparison *comparison); /* of log_only */
size_t
comparison_unknown(const struct comparison *comparison); /* of log_only: neither ended nor too old to tell */

#endif
