/* A stopped spool in the hands of a command: opened without a daemon, each question asked and waited for.
 *
 * What goes wrong is said on standard error, in words that name the folder and what to do.
 */
#ifndef DAEMON_CLI_SPOOL_TOOL_H
#define DAEMON_CLI_SPOOL_TOOL_H

#include <jansson.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "store/spool.h"

enum {
	TOOL_PATH_SIZE = 4096,
	TOOL_REPORTS_MAX = 100, /* remembered for printing; all are counted */
	TOOL_PIECE_BYTES = 256 * 1024,
};

enum tool_mode {
	TOOL_LOOK,    /* as it is; nothing changes */
	TOOL_LOG,     /* the same, from the log alone, whatever the index says */
	TOOL_CHANGE,  /* as the daemon would open it */
	TOOL_REBUILD, /* with a new index beside the old one, which is at index_path */
};

struct tool_report {
	enum spool_event event;
	uint64_t id, segment;
	uint32_t offset;
};

struct spool_tool {
	struct store *store;
	enum tool_mode mode;
	char path[TOOL_PATH_SIZE];	 /* of the spool */
	char index_path[TOOL_PATH_SIZE]; /* "" or of an index that is not the spool's own */
	struct tool_report reports[TOOL_REPORTS_MAX];
	size_t report_count;
	char message[SPOOL_MESSAGE_SIZE]; /* of an open that failed */
};

/* data: the data folder, or a spool itself. Another tool may have it open already (of this process). Fails
 * with the errors of spool_open: ERR_BUSY while a daemon has it; tool->message says why, nothing is printed.
 * tool_close in every case. */
nodiscard int tool_open(struct spool_tool *tool, const char *data, enum tool_mode mode, bool again);
void tool_close(struct spool_tool *tool);
/* Prints why an open failed. Exit status. */
int tool_refused(const char *command, const struct spool_tool *tool, int error);

/* --- asking and waiting -------------------------------------------------------------------------- */

/* Messages of a queue (0: held; STORE_GRACE: in grace) in the order of their ids. The entry that is lent is
 * valid until the next call. */
struct tool_pager {
	struct spool_tool *tool;
	struct arena arena;
	struct store_entry entries[STORE_WALK_MAX];
	size_t at, count;
	uint64_t after;
	uint32_t queue;
	bool more, failed;
};
void pager_init(struct tool_pager *pager, struct spool_tool *tool, uint32_t queue);
void pager_deinit(struct tool_pager *pager);
const struct store_entry *pager_next(struct tool_pager *pager); /* NULL: no more, or failed */

/* The bytes of a message, piece by piece; piece returns an error to stop, which is returned. ERR_CORRUPT,
 * ERR_MISSING, ERR_IO, ERR_MEMORY. */
nodiscard int tool_read(struct spool_tool *tool, uint64_t id, int (*piece)(void *owner, struct slice bytes),
			void *owner);
/* Every pair whose key begins with the prefix; it may not ask the store anything. */
nodiscard int tool_scan(struct spool_tool *tool, struct slice prefix,
			void (*pair)(void *owner, struct slice key, struct slice value), void *owner);
/* Every end record that is remembered, newest first; it may not ask the store anything. */
nodiscard int tool_ends(struct spool_tool *tool, void (*each)(void *owner, const struct store_end *end),
			void *owner);
nodiscard int tool_put(struct spool_tool *tool, struct slice key, struct slice value);
/* Is a message with this id and size held? */
bool tool_holds(struct spool_tool *tool, uint64_t id, uint64_t body_bytes);

/* A completion, and waiting for it. */
struct tool_answer {
	bool done;
	enum store_result result;
	enum store_reason reason;
};
void tool_answered(void *owner, enum store_result result, enum store_reason reason);
int tool_wait(struct spool_tool *tool, const struct tool_answer *answer); /* 0, or the reason as an error */

/* --- domains ------------------------------------------------------------------------------------- */

struct tool_domain {
	uint32_t number;
	const char *name, *record; /* as it stands in the store */
};

struct tool_domains {
	struct arena arena;
	struct tool_domain *rows; /* by name */
	size_t count, capacity;
	uint32_t next_number;
	int error;
};
nodiscard int tool_domains_load(struct tool_domains *domains, struct spool_tool *tool);
void tool_domains_free(struct tool_domains *domains);
const struct tool_domain *tool_domain_named(const struct tool_domains *domains, const char *name);
const char *tool_domain_name(const struct tool_domains *domains, uint32_t number); /* "" */

/* --- files --------------------------------------------------------------------------------------- */

/* Gives what root made in the spool back to whom it belongs. */
void tool_give_back(const struct spool_tool *tool);
void tool_remove_tree(const char *path);
/* fsync of a file or folder. False: it failed. */
bool tool_sync(const char *path);

#endif
